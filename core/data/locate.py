"""Where a dataset's folder keeps its annotation file and its images."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from core.errors import UserError
from core.files import kind_of

log = logging.getLogger(__name__)

# YouTube-VIS: train/instances.json (2021), train.json and instances_train_sub.json (2019);
# OVIS: annotations_train.json; HQ-YTVIS: ytvis_hq-train.json; LV-VIS: train_instances.json; COCO:
# instances_train2017.json; LVIS: lvis_v1_train.json.  Files of validation sets come last: most
# hold no masks.
ANNOTATION_FILES = (
    "train/instances.json",
    "train.json",
    "annotations_train.json",
    "instances_train_sub.json",
    "instances_train.json",
    "annotations/train.json",
    "annotations/annotations_train.json",
    "annotations/instances_train_sub.json",
    "annotations/instances_train.json",
    "ytvis_hq-train.json",
    "annotations/ytvis_hq-train.json",
    "train_instances.json",
    "train/train_instances.json",
    "annotations/train_instances.json",
    "Annotations/train_instances.json",
    "annotations/instances_train2017.json",
    "lvis_v1_train.json",
    "annotations/lvis_v1_train.json",
    "instances.json",
    "annotations.json",
    "valid/instances.json",
    "valid.json",
    "annotations_valid.json",
    "val_instances.json",
    "val/val_instances.json",
    "annotations/val_instances.json",
    "Annotations/val_instances.json",
    "annotations/instances_val2017.json",
)
IMAGE_FOLDERS = ("JPEGImages", "images", ".")
SPLITS = ("train", "valid", "val", "test", "train2017", "val2017")


def find_annotations(root: Path, annotations: str | None = None) -> Path:
    """The annotation file of the dataset at ``root`` (a folder, or such a file itself).

    Raises:
        UserError: none is there; the message lists what was looked for.
    """
    if kind_of(root) is None:
        raise UserError(f"{root}: no such folder or file")
    if annotations is not None:
        path = root / annotations
        if kind_of(path) != "file":
            raise UserError(f"{path}: no such annotation file (data.annotations={annotations})")
        return path
    if root.is_file():
        return root
    found = [root / name for name in ANNOTATION_FILES if (root / name).is_file()]
    if not found:
        raise UserError(
            f"{root}: no annotation file; looked for {', '.join(ANNOTATION_FILES)}. "
            "Name yours with data.annotations=FILE"
        )
    if len(found) > 1:
        others = ", ".join(str(path.relative_to(root)) for path in found[1:])
        log.info("%s: chosen before %s; data.annotations=FILE chooses another", found[0], others)
    return found[0]


def find_images(
    root: Path, annotations: Path, samples: list[str], images: str | None = None
) -> Path:
    """The folder that the file names of the annotation file start from.

    Args:
        root: the dataset's folder, or its annotation file.
        annotations: the annotation file.
        samples: some of its file names; the folder that holds most of them is chosen.
        images: the folder as the user names it, from root.

    Raises:
        UserError: no folder holds any of them; the message lists where they were looked for.
    """
    base = root if root.is_dir() else root.parent
    if images is not None:
        if kind_of(base / images) != "folder":
            raise UserError(f"{base / images}: no such image folder (data.images={images})")
        return base / images
    candidates = list(dict.fromkeys(_candidates(base, annotations)))
    hits = [sum((folder / name).is_file() for name in samples) for folder in candidates]
    if not samples:
        return annotations.parent
    if max(hits, default=0) == 0:
        looked = ", ".join(str(folder) for folder in candidates)
        raise UserError(
            f"{annotations}: its images are not there: looked for {samples[0]} in {looked}. "
            "Name the folder with data.images=FOLDER"
        )
    return candidates[hits.index(max(hits))]


def _candidates(base: Path, annotations: Path) -> Iterator[Path]:
    words = [*re.split("[_-]", annotations.stem), annotations.parent.name]
    splits = [split for split in SPLITS if split in words]
    if "hq" in words:  # all of HQ-YTVIS is of the training videos of YouTube-VIS 2019
        splits.append("train")
    for parent in (annotations.parent, base, annotations.parent.parent):
        for split in (*splits, "."):
            for name in IMAGE_FOLDERS:
                for folder in (parent / split / name, parent / name / split):
                    if folder.is_dir():
                        yield folder
