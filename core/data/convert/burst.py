"""BURST: one JSON file of sequences, a mask for each track and annotated frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.data.convert.record import NewTrack, Record, read_rle, shaped
from core.errors import UserError
from core.files import kind_of, read_json


def convert_burst(source: Path, images: Path | None, out: Path) -> Record:
    """A file with ``sequences`` and ``categories``; frames that are not annotated are left out.

    Args:
        source: the file.
        images: the folder with a folder for each of BURST's sources, or for each split with these
            inside; none: that of the file.
        out: the annotation file to come.

    Raises:
        UserError: the file lacks a key, or a mask is broken; the message names the sequence.
    """
    raw = read_json(source)
    try:
        categories = {int(entry["id"]): str(entry["name"]) for entry in raw["categories"]}
        sequences = list(raw["sequences"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{source}: not a BURST file: no lists 'sequences' and 'categories'"
        ) from error
    record = Record(out, categories)
    folder, split = images or source.parent, raw.get("split")
    if isinstance(split, str) and kind_of(folder / split) == "folder":
        folder /= split
    for place, sequence in enumerate(sequences):
        with shaped(where := f"{source}: sequence {place}"):
            _add(record, sequence, folder, where)
    return record


def _add(record: Record, sequence: dict[str, Any], images: Path, where: str) -> None:
    name = f"{sequence['dataset']}/{sequence['seq_name']}"
    size = int(sequence["height"]), int(sequence["width"])
    frames = sequence["segmentations"]
    files = [images / name / file for file in sequence["annotated_image_paths"]]
    if len(frames) != len(files):
        raise UserError(f"{where}: {len(frames)} segmentations of {len(files)} annotated images")
    tracks = [
        NewTrack(
            int(category),
            [
                read_rle(frame[track]["rle"], size, f"{where}, track {track}, frame {t}")
                if track in frame
                else None
                for t, frame in enumerate(frames)
            ],
        )
        for track, category in sequence["track_category_ids"].items()
    ]
    record.add(name, files, size, tracks)
