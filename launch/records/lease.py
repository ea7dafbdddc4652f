"""Who works in a folder: numbered claims with a heartbeat, safe on network file systems.

A claim is a file ``<n>.json`` made by a hard link, which exactly one of several contenders can
make.  The holder is the one with the highest number.  Claims are never removed to be released:
they are marked as ended by ``<n>.end.json``.  So the number works as a fencing token: whoever
was replaced, however slow, sees a higher number and stops.  No ``flock``, no clock but the file
server's.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.files import temporary_name, write_json
from core.periodic import periodically
from launch.records.process import is_gone
from launch.records.shapes import EndFile, FileShape, HolderFile, misfit


def seconds_of_a_beat(text: str) -> float:
    """What ``TEVIT_HEARTBEAT`` asks for.

    Raises:
        UserError: it is no positive number.
    """
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) < float("inf"):
            return seconds
    raise UserError(f"environment variable TEVIT_HEARTBEAT={text!r}: expected seconds, such as 15")


BEAT_SECONDS = seconds_of_a_beat(os.environ.get("TEVIT_HEARTBEAT", "15"))
"""Seconds between two signs of life of a holder."""

_RACE_SECONDS = 0.05
STALE_BEATS = 8
"""Beats after which a silent holder counts as dead (long calls into C may delay a beat)."""


class LeaseHeldError(Exception):
    """Somebody else who is alive holds the lease."""

    def __init__(self, claim: Claim) -> None:
        holder = claim.holder
        job = f", job {holder['job_id']}" if holder.get("job_id") else ""
        super().__init__(f"held by process {holder.get('pid')} on {holder.get('host')}{job}")
        self.claim = claim


@dataclass(frozen=True)
class Claim:
    """One claim on a folder, as found on disk.

    Attributes:
        number: rising from 1.
        holder: what the holder said of itself (see :func:`launch.records.process.myself`).
        beat: time of the last sign of life, by the file server's clock (seconds).
        end: how it ended, or None while it is held.
    """

    number: int
    holder: Mapping[str, Any]
    beat: float
    end: Mapping[str, Any] | None

    def silent(self, now: float | None = None) -> float:
        """Seconds since the last sign of life."""
        return (time.time() if now is None else now) - self.beat

    def alive(self, now: float | None = None) -> bool:
        """Held, and heard of lately, and not a process of this machine that is gone."""
        stale = self.silent(now) > stale_after()
        return self.end is None and not stale and not is_gone(self.holder)


@dataclass(frozen=True)
class Lease:
    """A claim that this process made."""

    folder: Path
    number: int

    @property
    def path(self) -> Path:
        """The claim's file; its modification time is the heartbeat."""
        return self.folder / f"{self.number}.json"

    def beat(self) -> bool:
        """Give a sign of life; False if the lease is lost (replaced, ended or removed).

        A file server that does not answer for a while proves nothing: the lease counts as held.
        """
        try:
            os.utime(self.path)
            return self.held()
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def held(self) -> bool:
        """Whether no later claim exists and nobody declared this one ended."""
        numbers, ended = _numbers(self.folder)
        return bool(numbers) and numbers[-1] == self.number and self.number not in ended

    def end(self, record: Mapping[str, Any]) -> None:
        """Give the lease back, saying how it ended; replaces what was said before."""
        write_json(self.folder / f"{self.number}.end.json", {"time": time.time(), **record})


def beating(
    lease: Lease, each: Callable[[bool], None] = lambda held: None
) -> AbstractContextManager[None]:
    """While in the block, give signs of life from a thread.

    Args:
        each: called after every beat, with whether the lease is still held.
    """
    return periodically(lambda: each(lease.beat()), BEAT_SECONDS, "heartbeat")


def stale_after() -> float:
    """Seconds of silence after which a holder counts as dead."""
    return STALE_BEATS * BEAT_SECONDS


def acquire(folder: Path, holder: Mapping[str, Any], *, wait: bool = True) -> Lease:
    """Claim ``folder``, taking over from a holder that is dead.

    A holder that was silent for less than :func:`stale_after` may have died just now, so it is
    watched until it either gives a sign of life or counts as dead.

    Args:
        holder: facts of this process, from :func:`launch.records.process.myself`.
        wait: False: do not watch; a holder not known to be dead keeps the lease.

    Raises:
        LeaseHeldError: another holder is alive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    watched: Claim | None = None
    while True:
        last = latest(folder)
        if last is None or _replaceable(folder, last, holder):
            lease = _create(folder, last.number + 1 if last else 1, holder)
            if lease is not None:
                return lease
            time.sleep(_RACE_SECONDS)  # somebody was faster; a file server may show it late
            continue
        moved = watched is not None and (watched.number, watched.beat) != (last.number, last.beat)
        if moved or not wait:
            raise LeaseHeldError(last)
        watched = last
        time.sleep(min(1.0, BEAT_SECONDS / 2))


def latest(folder: Path) -> Claim | None:
    """The claim with the highest number, or None."""
    numbers, ended = _numbers(folder)
    if not numbers:
        return None
    return read_claim(folder, numbers[-1], ended=numbers[-1] in ended)


def read_claim(folder: Path | str, number: int, *, ended: bool) -> Claim:
    """Claim ``number`` of ``folder``; ``ended`` says whether to look for its end."""
    path = f"{folder}/{number}.json"
    try:
        beat = os.stat(path).st_mtime  # noqa: PTH116 (10,000 folders: a Path costs more)
    except FileNotFoundError:
        beat = 0.0
    end = read_dict(f"{folder}/{number}.end.json", EndFile) if ended else None
    return Claim(
        number, read_dict(path, HolderFile) or {}, beat, end if end is not None or not ended else {}
    )


def claims(folder: Path) -> list[Claim]:
    """Every claim on ``folder``, in order."""
    numbers, ended = _numbers(folder)
    return [read_claim(folder, n, ended=n in ended) for n in numbers]


def parse_numbers(names: list[str]) -> tuple[list[int], set[int]]:
    """Claim numbers in rising order, and those of them that have ended, from file names."""
    numbers, ended = [], set()
    for name in names:
        stem, _, rest = name.partition(".")
        if stem.isdigit():
            if rest == "json":
                numbers.append(int(stem))
            elif rest == "end.json":
                ended.add(int(stem))
    return sorted(numbers), ended


def read_dict(path: str | Path, shape: type[FileShape] | None = None) -> dict[str, Any] | None:
    """A JSON object, or None where there is none (missing or being removed).

    Args:
        shape: an object that does not fit it counts as none.
    """
    try:
        with open(path, "rb") as stream:  # noqa: PTH123
            value = json.loads(stream.read())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return value if shape is None or misfit(value, shape) is None else None


def link_new(path: Path, text: str) -> bool:
    """Create ``path`` with its whole content; False if it exists already.

    By a hard link, which is atomic on NFS as well; where links are not supported by ``O_EXCL``.
    """
    temporary = temporary_name(path)
    temporary.write_text(text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        # an NFS server may repeat a request that it already carried out
        return temporary.stat().st_nlink == 2
    except OSError:
        return _create_exclusively(path, text)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create_exclusively(path: Path, text: str) -> bool:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    return True


def _create(folder: Path, number: int, holder: Mapping[str, Any]) -> Lease | None:
    if not link_new(folder / f"{number}.json", json.dumps(dict(holder)) + "\n"):
        return None
    return Lease(folder, number)


def _replaceable(folder: Path, last: Claim, holder: Mapping[str, Any]) -> bool:
    if last.end is not None or is_gone(last.holder) or _same_job_again(last.holder, holder):
        return True
    return last.silent(server_time(folder)) > stale_after()


def _same_job_again(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """The scheduler restarted the job, so to it the former copy is dead (it may still run)."""
    if not new.get("job_id") or old.get("job_id") != new["job_id"]:
        return False
    return int(new.get("restarts") or 0) > int(old.get("restarts") or 0)


def _numbers(folder: Path) -> tuple[list[int], set[int]]:
    try:
        return parse_numbers(os.listdir(folder))  # noqa: PTH208
    except FileNotFoundError:
        return [], set()


def server_time(folder: Path) -> float:
    """Now, by the clock that stamps the files of ``folder``; where nothing can be written, ours."""
    probe = temporary_name(folder / "clock")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
