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
from launch.reproduce import COMPARED_FACTS, differences, latest_provenance, provenance


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


@dataclass(frozen=True)
class RunDiff:
    """From one run to another.

    Attributes:
        codes: of each, in words.
        same_code: whether all that a cell can import is the same.
        files: that differ; none: not known, since a copy of the code is not in the store.
        config: dotted field to its two values.
        environment: likewise.
    """

    codes: tuple[str, str]
    same_code: bool
    files: tuple[FileChange, ...] | None
    config: tuple[tuple[str, str, str], ...]
    environment: tuple[tuple[str, str, str], ...]


def diff_runs(a: RunFolder, b: RunFolder) -> RunDiff:
    """What differs, by the latest attempt of each.

    Raises:
        UserError: one of them was never started, or its config cannot be read.
    """
    first, second = latest_provenance(a)[1], latest_provenance(b)[1]
    codes = _code_of(a, first), _code_of(b, second)
    then, now = first["environment"], second["environment"]
    return RunDiff(
        codes,
        same_code(first, second),
        _files(_folder(a, then), _folder(b, now)),
        tuple(differences("", a.config().to_dict(), b.config().to_dict())),
        tuple(
            d for fact in COMPARED_FACTS for d in differences(fact, then.get(fact), now.get(fact))
        ),
    )


def diff_lines(a: RunFolder, b: RunFolder, *, patch: bool) -> Iterator[str]:
    """The same as lines for a terminal.

    Args:
        patch: also the lines in which the code's files differ.

    Raises:
        UserError: as :func:`diff_runs`.
    """
    found = diff_runs(a, b)
    if found.files is None:
        yield "code: " + ("the same" if found.same_code else "differs; the files are not known")
    elif not found.files:
        yield f"code: the same ({found.codes[0]})"
    else:
        count = "1 file differs" if len(found.files) == 1 else f"{len(found.files)} files differ"
        yield f"code: {count}" + (", none that a cell imports" if found.same_code else "")
    if found.files is None or found.files:
        for run, code in zip((a, b), found.codes, strict=True):
            yield f"  {run.signature}: {code}"
    for file in found.files or ():
        plus, minus = (sum(line[0] == sign for line in file.patch[2:]) for sign in "+-")
        apart = "" if file.module else "  (not imported)"
        yield f"  {file.change:8} {file.name}  +{plus} -{minus}{apart}"
    for title, values in (("config", found.config), ("environment", found.environment)):
        yield f"{title}:" + ("" if values else " the same")
        yield from (f"  {name}: {x} -> {y}" for name, x, y in values)
    if patch:
        for file in found.files or ():
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
