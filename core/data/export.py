"""Results as the YouTube-VIS and OVIS servers take them: ``results.json`` alone inside a zip.

The servers say little about what is wrong with a file and count every upload, so everything that
can be checked without their annotations is checked before the zip is written.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.annotations import read_annotations
from core.data.results import entry_faults, mask_faults, raise_faults
from core.errors import UserError
from core.files import read_json, write_atomic

MEMBER = "results.json"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The member's date, always the same: equal results give equal bytes."""


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: the zip.
        videos: of the annotation file.
        tracks: in the results.
        missing: videos without a track, as ``video 3 (name)``, by rising id.
    """

    path: Path
    videos: int
    tracks: int
    missing: tuple[str, ...]


def export_results(
    annotations: Path, results: Path, out: Path, *, allow_missing: bool = False
) -> Export:
    """Check results against an annotation file and write the zip for the server.

    Args:
        annotations: file with ``videos`` and ``categories``; it needs no annotations, which the
            published validation and test files do not have.
        results: JSON list of tracks.
        out: the zip, written whole or not at all.
        allow_missing: write also if videos have no track (their instances count as missed).

    Raises:
        UserError: results that do not fit the annotation file, or videos without a track; the
            message lists them.
    """
    if out.suffix != ".zip":
        raise UserError(f"{out}: the servers take a zip, so the name must end in .zip")
    dataset = read_annotations(annotations)
    if dataset.of_images:
        raise UserError(f"{annotations}: holds images, but the servers take results of videos")
    entries = read_json(results)
    heading = f"{results}: the server would refuse results that do not fit {annotations}:"
    raise_faults(entry_faults(entries, dataset), heading)
    raise_faults(mask_faults(entries, dataset), heading)
    absent = sorted(dataset.by_id.keys() - {entry["video_id"] for entry in entries})
    missing = tuple(f"video {i} ({dataset.by_id[i].name})" for i in absent)
    if missing and not allow_missing:
        raise_faults(
            missing,
            f"{results}: has no track for {len(missing)} of {len(dataset.videos)} videos "
            "(--allow-missing writes it nevertheless):",
        )
    write_atomic(out, zipped(entries))
    return Export(out, len(dataset.videos), len(entries), missing)


def zipped(results: Sequence[Mapping[str, Any]]) -> bytes:
    """The zip's bytes, with the keys that the servers know and no others."""
    content = json.dumps([_entry(r) for r in results], allow_nan=False, separators=(",", ":"))
    member = zipfile.ZipInfo(MEMBER, EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, content)
    return buffer.getvalue()


def _entry(result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "video_id": int(result["video_id"]),
        "score": float(result["score"]),
        "category_id": int(result["category_id"]),
        "segmentations": [
            None
            if mask is None
            else {"size": [int(n) for n in mask["size"]], "counts": mask["counts"]}
            for mask in result["segmentations"]
        ],
    }
