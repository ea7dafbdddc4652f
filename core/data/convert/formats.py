"""Every format that ``tevit data convert`` reads, by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.config.overrides import unknown
from core.data.convert.burst import convert_burst
from core.data.convert.frames import frames_as_images
from core.data.convert.mask_folders import convert_mask_folders
from core.data.convert.mots import convert_mots
from core.data.convert.record import Record
from core.data.convert.vipseg import convert_vipseg
from core.errors import UserError
from core.files import write_json

_FORMATS: dict[str, Callable[[Path, Path | None, Path], Record | dict[str, Any]]] = {
    "davis": convert_mask_folders,
    "mose": convert_mask_folders,
    "mots": convert_mots,
    "burst": convert_burst,
    "vipseg": convert_vipseg,
    "frames": frames_as_images,
}
"""Name to what makes an annotation file of (source, image folder or none, file to come)."""


def convert(
    kind: str, source: Path, out: Path, images: Path | None = None, split: Path | None = None
) -> None:
    """Write ``out``, an annotation file that names the source's images where they are.

    Args:
        split: a recorded split; of ``frames``, whose training videos alone are then written.

    Raises:
        UserError: no such format or source, ``out`` is no new .json file, or the source has faults.
    """
    if kind not in _FORMATS:
        raise UserError(unknown("format", kind, _FORMATS))
    if out.suffix != ".json" or out.exists():
        what = "exists already" if out.exists() else "an annotation file's name ends in .json"
        raise UserError(f"{out}: {what}")
    for path in (source, *([] if images is None else [images])):
        if not path.exists():
            raise UserError(f"{path}: no such folder or file")
    read = _FORMATS[kind]
    if split is not None:
        if kind != "frames":
            raise UserError(f"--split {split}: of frames alone, not of {kind}")
        read = functools.partial(frames_as_images, split=split)
    made = read(source, images, out)
    write_json(out, made.content() if isinstance(made, Record) else made, indent=None)
