"""What two runs differ in: code, config, environment."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine.code import is_module
from launch.code.snapshot import changed_files, mark_of
from launch.node.provenance import code_text, different_code, same_code
from launch.records.run_folder import RunFolder
from launch.records.store import Store
from launch.reproduce import differences, environment_differences, latest_provenance, provenance


@dataclass(frozen=True)
class FileChange:
    """A file of the code that one of two runs had otherwise.

    Attributes:
        change: "added", "removed" or "changed", from the first run to the second.
        module: whether a cell may import it; other files change no result.
        patch: lines of a unified diff.
    """

    name: str
    change: str
    module: bool
    patch: tuple[str, ...]


def diff_lines(a: RunFolder, b: RunFolder, *, patch: bool) -> Iterator[str]:
    """What differs from one run to another, by the latest attempt of each, line by line.

    Args:
        patch: also the lines in which the code's files differ.

    Raises:
        UserError: one of them was never started, or its config cannot be read.
    """
    first, second = latest_provenance(a)[1], latest_provenance(b)[1]
    then, now = first["environment"], second["environment"]
    same, files = same_code(first, second), _files(_folder(a, then), _folder(b, now))
    config = list(differences("", a.config().to_dict(), b.config().to_dict()))
    environment = list(environment_differences(then, now))
    if files is None:
        yield "code: " + ("the same" if same else "differs; the files are not known")
    elif not files:
        yield f"code: the same ({_code_of(a, first)})"
    else:
        count = "1 file differs" if len(files) == 1 else f"{len(files)} files differ"
        yield f"code: {count}" + (", none that a cell imports" if same else "")
    if files is None or files:
        for run, record in ((a, first), (b, second)):
            yield f"  {run.signature}: {_code_of(run, record)}"
    for file in files or ():
        plus, minus = (sum(line[0] == sign for line in file.patch[2:]) for sign in "+-")
        apart = "" if file.module else "  (not imported)"
        yield f"  {file.change:8} {file.name}  +{plus} -{minus}{apart}"
    for title, values in (("config", config), ("environment", environment)):
        yield f"{title}:" + ("" if values else " the same")
        yield from (f"  {name}: {x} -> {y}" for name, x, y in values)
    if patch:
        for file in files or ():
            yield from file.patch


def _code_of(run: RunFolder, record: Mapping[str, Any]) -> str:
    trained = different_code(provenance(run))
    more = f"; {len(trained)} codes trained it" if len(trained) > 1 else ""
    return code_text(record) + more


def _folder(run: RunFolder, environment: Mapping[str, Any]) -> Path | None:
    """The frozen copy that a run was made by, if it is in the run's store."""
    store, name = Store(run.path.parents[1]), (environment.get("code") or {}).get("id")
    return store.code / name if name and mark_of(store, name) else None


def _files(a: Path | None, b: Path | None) -> tuple[FileChange, ...] | None:
    """The files that differ; None: not known, since a copy of the code is not in the store."""
    if a is None or b is None:
        return None
    before, after = (mark_of(Store(folder.parents[1]), folder.name) for folder in (a, b))
    return tuple(
        FileChange(
            name,
            _change(before["files"], after["files"], name),
            is_module(name),
            tuple(
                difflib.unified_diff(
                    _lines(a / name), _lines(b / name), f"a/{name}", f"b/{name}", lineterm=""
                )
            ),
        )
        for name in changed_files(before, after)
    )


def _change(before: Mapping[str, str], after: Mapping[str, str], name: str) -> str:
    if name not in before:
        return "added"
    return "changed" if name in after else "removed"


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.is_file() else []
