"""Frozen code: what stands in the checkout at the launch, once per content, in the store.

    <store>/code/<hash>/     the files, read-only, and what they are (benchmarks.machine.code.MARK)

Jobs run from there, however long they wait and whatever is edited meanwhile.  A project that was
installed from a wheel is not copied: its version and the hash of its files are its name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine.code import (
    LARGEST_TREE,
    MARK,
    MOST_FILES,
    code_files,
    code_id,
    code_root,
    file_hash,
    file_sizes,
    git_provenance,
    kind_of_code,
    modules_hash,
    read_code_file,
    too_much,
    tree_hash,
)
from core.errors import UserError
from core.files import read_json, temporary_name, write_json
from launch.records import lease
from launch.records.run_folder import timestamp
from launch.records.store import Store

MEGABYTE = 2**20
LARGEST_FILE = 50 * MEGABYTE
_ADVICE = "add what is not code to .gitignore (git rm --cached, if git tracks it)"


def freeze(store: Store, root: Path | None = None, *, write: bool = True) -> str:
    """Keep the code as it stands now; returns the name that :func:`start_command` takes.

    Several launchers may do so at once: each writes under a name of its own and renames.

    Args:
        root: the folder of the project's packages; none: that of this process.
        write: False: only find out its name.

    Raises:
        UserError: a file over 50 MB, more than 500 MB or 20,000 files, a copy that was changed
            since, or a store that cannot be written.
    """
    root = root or code_root()
    kind = kind_of_code(root)
    names = list(code_files(root, store.root))
    _check_sizes(root, names)
    try:
        contents = {name: read_code_file(root / name, root) for name in names}
    except OSError as error:
        raise UserError(f"{root}: the code cannot be read: {error}") from error
    files = {name: file_hash(*content) for name, content in contents.items()}
    name = code_id(kind, files)
    if kind == "installed" or not write:
        return name
    mark = {
        "schema": 1,
        "id": name,
        "modules": modules_hash(files),
        "kind": kind,
        "source": str(root),
        "created": timestamp(),
        "git": git_provenance(root if kind == "checkout" else None),
        "files": files,
    }
    folder = store.code / name
    try:
        if not (folder / MARK).exists():
            _write(root, folder, contents, mark)
        _check(folder, mark)
    except OSError as error:
        raise UserError(f"{folder}: the code cannot be frozen: {error}") from error
    return name


def start_command(store: Store, code: str | None, module: str) -> tuple[str, ...]:
    """What Python is told so that it runs ``module`` of the code of this name.

    ``-P``: what lies in the folder that the launch is called from must not replace our modules.

    Args:
        code: from :func:`freeze`; none: whatever Python finds.
    """
    if code is None or "-" in code:  # not frozen: of a wheel
        return ("-P", "-m", module)
    return ("-P", str(store.code / code / "launch" / "code" / "start.py"), module)


def mark_of(store: Store, code: str) -> Mapping[str, Any]:
    """What is known of a frozen copy; empty if the store has none of this name."""
    return lease.read_dict(store.code / code / MARK) or {}


def changed_files(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Files in which two frozen copies, by what is known of them, differ; both must be there."""
    before, after = a.get("files"), b.get("files")
    if not before or not after:
        return []
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _check_sizes(root: Path, names: list[str]) -> None:
    sizes = file_sizes(root, names)
    large = [name for name, size in sizes.items() if size > LARGEST_FILE]
    if large:
        each = ", ".join(f"{name} ({sizes[name] / MEGABYTE:.0f} MB)" for name in large[:5])
        raise UserError(
            f"{root}: files over {LARGEST_FILE // MEGABYTE} MB are not frozen with the code: "
            f"{each}; {_ADVICE}"
        )
    if too_much(sizes):
        per_file = LARGEST_TREE / MOST_FILES
        folders: Counter[str] = Counter()
        for name, size in sizes.items():
            folders[name.partition("/")[0]] += round(size + per_file)
        most = folders.most_common(1)[0][0]
        total = sum(sizes.values()) / MEGABYTE
        raise UserError(
            f"{root}: {total:.0f} MB in {len(sizes)} files are too much to freeze with the code, "
            f"most of it in {most}; {_ADVICE}"
        )


def _write(root: Path, folder: Path, contents: Mapping[str, tuple[str, bytes]], mark: Any) -> None:
    temporary = temporary_name(folder)
    try:
        for name, (kind, content) in contents.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                path.symlink_to(os.fsdecode(content))
                continue
            path.write_bytes(content)
            with contextlib.suppress(OSError):  # nobody edits it by mistake
                path.chmod(0o444 | (root / name).stat().st_mode & 0o111)
        write_json(temporary / MARK, mark)
        temporary.rename(folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not (folder / MARK).exists():  # else another launcher was faster
            raise


def _check(folder: Path, mark: Mapping[str, Any]) -> None:
    """The copy is what it is called; the plainest words for where it came from are kept."""
    known = read_json(folder / MARK)
    changed = [
        name
        for name, wanted in known["files"].items()
        if not os.path.lexists(folder / name)
        or file_hash(*read_code_file(folder / name, folder)) != wanted
    ]
    if changed or tree_hash(known["files"]) != folder.name:
        raise UserError(
            f"{folder}: {', '.join(changed[:5]) or MARK} is no longer as it was frozen; remove the "
            "folder and launch again"
        )
    with contextlib.suppress(OSError):  # it may be a colleague's
        if known["git"].get("dirty") is not False and mark["git"].get("dirty") is False:
            write_json(folder / MARK, mark)  # what was uncommitted has been committed since
        else:
            os.utime(folder / MARK)  # in use: see launch.code.clean
