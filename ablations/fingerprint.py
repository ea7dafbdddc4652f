"""What a file holds, in a few bytes, without reading gigabytes at each plan."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

_WHOLE = 64 * 2**20
_BLOCK = 2**20
_BLOCKS = 16


def file_identity(path: Path | None) -> str | None:
    """A name for the content of ``path``: the same for a copy, another after a change.

    Up to 64 MiB are hashed whole.  Of a larger file the size, the first and the last MiB and
    14 MiB spread between them are: a checkpoint's last MiB is its table of contents, with a
    checksum of every tensor.  A file that cannot be read stands by its path.
    """
    if path is None:
        return None
    full = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 (keeps links: stat follows)
    try:
        stat = full.stat()
    except OSError:
        return f"path:{full}"
    return _digest(str(full), stat.st_size, stat.st_mtime_ns)


def folder_identity(root: str) -> str:
    """The folder's absolute path, symbolic links resolved."""
    return _resolved(os.path.abspath(os.path.expanduser(root)))  # noqa: PTH100, PTH111


@functools.lru_cache(maxsize=1024)
def _resolved(path: str) -> str:
    return os.path.realpath(path)


@functools.lru_cache(maxsize=1024)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    """Hash of the content; size and time of change are there to make the cache forget."""
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as stream:
        if size <= _WHOLE:
            while block := stream.read(_BLOCK):
                digest.update(block)
        else:
            for k in range(_BLOCKS):
                stream.seek((size - _BLOCK) * k // (_BLOCKS - 1))
                digest.update(stream.read(_BLOCK))
    return f"sha256:{digest.hexdigest()[:32]}"
