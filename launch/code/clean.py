"""Frozen copies of the code that no run names any more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine.code import MARK
from core.errors import UserError
from core.files import temporary_name
from launch.code.snapshot import mark_of
from launch.records import lease
from launch.records.journal import Journal
from launch.records.store import Store

IN_USE_SECONDS = 24 * 3600.0
"""A launch may be about to use a copy that it has just made, or found."""


@dataclass(frozen=True)
class Unused:
    """A folder that may go.

    Attributes:
        size: of its files, in bytes.
        what: where it was taken from, in words.
    """

    folder: Path
    size: int
    what: str


def unused(store: Store) -> list[Unused]:
    """Copies that no attempt ran, that no queued cell is to run, and that no launch uses."""
    named, found = set(_named(store)), []
    for folder in sorted(store.code.iterdir()) if store.code.is_dir() else ():
        mark = mark_of(store, folder.name)
        stamp = folder / MARK if mark else folder
        if folder.name in named or time.time() - stamp.stat().st_mtime < IN_USE_SECONDS:
            continue
        size = sum(path.lstat().st_size for path in folder.rglob("*"))
        commit = str((mark.get("git") or {}).get("commit") or "")[:12]
        what = f"of {mark.get('source')}, {mark.get('created')}" if mark else "left half-written"
        found.append(Unused(folder, size, what + (f", commit {commit}" if commit else "")))
    return found


def remove(copies: list[Unused]) -> None:
    """Delete them; one that is half-deleted no longer bears its name.

    Raises:
        UserError: one cannot be deleted.
    """
    for copy in copies:
        try:
            gone = copy.folder.rename(temporary_name(copy.folder))
            shutil.rmtree(gone)
        except OSError as error:
            raise UserError(f"{copy.folder} cannot be deleted: {error}") from error


def _named(store: Store) -> Iterator[str]:
    """The code of every attempt, and of every cell that is queued."""
    journal = Journal(store)
    for signature in store.existing():
        run = store.run(signature)
        yield from (str(claim.holder.get("code")) for claim in run.attempts())
        mark = lease.read_dict(run.queued_path)
        if mark is not None:
            try:
                yield str(journal.read(str(mark.get("batch"))).code(int(mark.get("index", 0))))
            except (UserError, IndexError):
                continue
