"""What files and folders hold, in a few bytes, without reading gigabytes at each plan."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from core.config.schema import DataConfig
from core.data.locate import find_annotations
from core.errors import UserError

_WHOLE = 64 * 2**20
_BLOCK = 2**20
_BLOCKS = 16


def file_identity(path: Path | None, *, whole: bool = False) -> str | None:
    """A name for the content of ``path``: the same for a copy, another after a change.

    Up to 64 MiB are hashed whole.  Of larger weights the size, the first and the last MiB and
    14 MiB spread between them are: a checkpoint's last MiB is its table of contents, with a
    checksum of every tensor.  A file that cannot be read stands by its path.

    Args:
        whole: hash all of the file however large, for text in which each byte counts.
    """
    if path is None:
        return None
    full = path.expanduser().absolute()
    try:
        stat = full.stat()
        return _digest(str(full), stat.st_size, stat.st_mtime_ns, whole)
    except OSError:
        return f"path:{full}"


def data_identity(data: DataConfig) -> dict[str, str | None]:
    """What a dataset on disk is: its annotations by content, its images by folder.

    Images are too many to look at: replacing them in place goes unnoticed, moving them does not.
    """
    if data.root == "synthetic":
        return {"split_file": file_identity(data.split_file, whole=True)}
    root = Path(data.root).expanduser().absolute()
    try:
        annotations = _annotations(root, data.annotations)
    except UserError:
        annotations = root / (data.annotations or "")
    return {
        "annotations": file_identity(annotations, whole=True),
        "images": str(_resolved(root) / (data.images or "")),
        "split_file": file_identity(data.split_file, whole=True),
    }


def dataset_fault(data: DataConfig) -> str | None:
    """What is missing of the dataset on disk, without opening it; none: it can be started with."""
    if data.root == "synthetic":
        return None
    root = Path(data.root).expanduser().absolute()
    try:
        _annotations(root, data.annotations)
    except UserError as error:
        return str(error)
    folder = (root if root.is_dir() else root.parent) / (data.images or "")
    return None if folder.is_dir() else f"{folder}: no such image folder (data.images)"


@functools.lru_cache(maxsize=1024)
def _annotations(root: Path, annotations: str | None) -> Path:
    return find_annotations(root, annotations)


@functools.lru_cache(maxsize=1024)
def _resolved(path: Path) -> Path:
    return path.resolve()


@functools.lru_cache(maxsize=1024)
def _digest(path: str, size: int, mtime_ns: int, whole: bool) -> str:
    """Hash of the content; size and time of change are there to make the cache forget."""
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as stream:
        if whole or size <= _WHOLE:
            while block := stream.read(_BLOCK):
                digest.update(block)
        else:
            for k in range(_BLOCKS):
                stream.seek((size - _BLOCK) * k // (_BLOCKS - 1))
                digest.update(stream.read(_BLOCK))
    return f"sha256:{digest.hexdigest()[:32]}"
