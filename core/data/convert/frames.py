"""The frames of a dataset of videos, as a dataset of images in COCO format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from core.data.split import read_split
from core.data.youtube_vis import load_folder


def frames_as_images(
    source: Path, images: Path | None, out: Path, split: Path | None = None
) -> dict[str, Any]:
    """Every frame as an image, with the instances that it shows.

    Args:
        source: a folder in YouTube-VIS format, or its annotation file.
        images: its image folder; none: found by its usual names.
        out: the annotation file to come, from whose folder files are named.
        split: a recorded split, whose training videos alone are written; none: all videos are.

    Raises:
        UserError: the dataset is missing or has faults, or the split is not of it.
    """
    dataset = load_folder(source, images=None if images is None else str(images.absolute()))
    if split is not None:
        dataset = dataset.subset(read_split(split, dataset).train)
    folder = out.absolute().parent
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for video in dataset.videos:
        for frame, file in enumerate(video.files):
            entries.append(
                {
                    "id": len(entries) + 1,
                    "file_name": Path(os.path.relpath(file, folder)).as_posix(),
                    "height": video.height,
                    "width": video.width,
                }
            )
            annotations += [
                {
                    "id": len(annotations) + 1 + place,
                    "image_id": len(entries),
                    "category_id": track.category_id,
                    "segmentation": track.segmentations[frame],
                    "bbox": list(track.boxes[frame] or ()),
                    "area": track.areas[frame],
                    "iscrowd": int(track.crowd),
                }
                for place, track in enumerate(
                    track for track in dataset.tracks_of(video.id) if track.visible(frame)
                )
            ]
    categories = [{"id": number, "name": name} for number, name in dataset.categories.items()]
    return {"categories": categories, "images": entries, "annotations": annotations}
