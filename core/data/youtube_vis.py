"""Datasets in YouTube-VIS or COCO format: the public ones, one's own, the generated one."""

from __future__ import annotations

import logging
from pathlib import Path

from core.config.schema import DataConfig
from core.data.annotations import DatasetError, parse
from core.data.check import missing_images, sample_names
from core.data.dataset import VideoDataset
from core.data.locate import find_annotations, find_images
from core.data.synthetic.dataset import synthetic_folder
from core.errors import UserError
from core.files import read_json

log = logging.getLogger(__name__)


def load_dataset(data: DataConfig) -> VideoDataset:
    """The dataset that ``data`` names; the synthetic one is generated on first use.

    Raises:
        DatasetError: the annotation file has faults or images are missing; all are listed.
        UserError: there is no such folder or annotation file, or it is not JSON.
    """
    if data.root == "synthetic":
        return load_folder(synthetic_folder(data.synthetic), name="synthetic")
    return load_folder(Path(data.root).expanduser(), data.annotations, data.images)


def load_folder(
    root: Path, annotations: str | None = None, images: str | None = None, name: str | None = None
) -> VideoDataset:
    """The dataset at ``root``: a folder in YouTube-VIS or COCO format, or its annotation file.

    Args:
        annotations: annotation file, from root; none: found by its usual names.
        images: image folder, from root; none: found by its usual names.
        name: how the dataset is called; none: the folder's name.

    Raises:
        DatasetError: the annotation file has faults or images are missing; all are listed.
        UserError: there is no such folder or annotation file, or it is not JSON.
    """
    path = find_annotations(root, annotations)
    raw = read_json(path)
    folder = find_images(root, path, sample_names(raw), images)
    parsed = parse(raw, path, folder, name or root.resolve().name)
    faults = parsed.faults + missing_images(parsed.dataset)
    if faults:
        raise DatasetError(str(root), faults)
    if not parsed.dataset.videos:
        raise UserError(f"{path}: it has no {parsed.dataset.noun}s")
    log.info("%s: %s", path, parsed.dataset.summary())
    return parsed.dataset
