"""Files that are never half-written: a new name, fsync, rename; lines appended whole.

Everything that one process writes and another reads goes through here, so a killed job leaves
either the old file or the new one, also on a network file system.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from core.errors import UserError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``path`` as a whole or not at all; parent folders are made.

    Of several writers at once the last one to finish wins; readers see one whole file.  What of a
    text is no character, as of a file's name that is not UTF-8, is written as ``?``.
    """
    data = content.encode(errors="replace") if isinstance(content, str) else content
    # not tempfile: its 0600 would hide the file from colleagues; this obeys the umask
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; the file becomes ``path`` if the block ends well.

    It survives a power cut from then on, where the file system can have it so.  Parent folders are
    made; a block that fails leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):
        sync(path.parent)


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Refuse a place before the work whose results are to go there; leaves nothing behind.

    Args:
        folder: files are to go into ``path``; else it is the file.

    Raises:
        OSError: what writing would raise, and which place refuses: no right, no room, ...
        UserError: no folder can be made there.
    """
    parent = path if folder else path.parent
    probe, missing = temporary_name(parent / "probe"), []
    try:
        if not folder and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        missing = [p for p in (parent, *parent.parents) if not p.exists()]
        parent.mkdir(parents=True, exist_ok=True)
        with probe.open("xb") as stream:
            stream.write(b"\0" * 4096)
            os.fsync(stream.fileno())
    except FileNotFoundError as error:  # as below /proc
        raise UserError(f"{path}: no folder can be made there; choose another place") from error
    except OSError as error:
        where = error.filename if error.filename != str(probe) else None
        raise OSError(error.errno, error.strerror, where or str(path)) from error
    finally:
        for undo in (probe.unlink, *(p.rmdir for p in missing)):
            with contextlib.suppress(OSError):
                undo()


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Write ``value`` as JSON, atomically.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON cannot say: write ``None``.
        TypeError: the value is not made of plain JSON types.
    """
    write_atomic(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        UserError: the file is missing, unreadable or not JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        if error.object.startswith(b"\x1f\x8b"):
            raise UserError(f"{path}: is compressed by gzip; unpack it first") from error
        raise UserError(f"{path}: not a text file: {error}") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise UserError(f"{path}: not valid JSON: {error}") from error


def append_line(path: Path, line: str) -> None:
    """Append one line to ``path``, whole, also while other processes append to it.

    A line that a killed writer left unfinished is closed first, so it spoils itself alone.

    Raises:
        ValueError: ``line`` holds a line break.
    """
    if "\n" in line:
        raise ValueError(f"one line at a time, not {line!r}")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666), "rb+", 0) as f:
        # O_APPEND alone does not order writers on NFS; a POSIX lock does
        with contextlib.suppress(OSError):
            fcntl.lockf(f, fcntl.LOCK_EX)
        size = os.fstat(f.fileno()).st_size
        unfinished = size > 0 and os.pread(f.fileno(), 1, size - 1) != b"\n"
        _write_all(f.fileno(), (b"\n" if unfinished else b"") + line.encode() + b"\n")
        os.fsync(f.fileno())


def read_json_lines(path: Path) -> Iterator[Any]:
    """The values of a file of JSON lines; lines that a killed writer left broken are skipped.

    A file that does not exist has no lines.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            if line.strip():
                yield json.loads(line)


def kind_of(path: Path) -> Literal["file", "folder"] | None:
    """What a path that a user wrote leads to; none: nothing is there.

    A name that is longer than a file's may be leads nowhere; pathlib would raise.
    """
    try:
        return "folder" if path.is_dir() else "file" if path.exists() else None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return None


def cache_folder() -> Path:
    """``$TEVIT_CACHE``, or ``~/.cache/tevit``.

    Raises:
        UserError: neither is known, as for a user number without a name and a home.
    """
    if folder := os.environ.get("TEVIT_CACHE"):
        return Path(folder)
    try:
        return Path.home() / ".cache" / "tevit"
    except RuntimeError:
        raise UserError("no home folder is known here: set HOME or TEVIT_CACHE") from None


def temporary_name(path: Path) -> Path:
    """A hidden name beside ``path`` that no other process on any host uses."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def sync(path: Path) -> None:
    """Wait until what was written to a file, or the renames in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
