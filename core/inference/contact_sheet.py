"""Training clips for the eye: a row each, with masks and classes, as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from core.data.augment.copy_paste import Sample
from core.data.transforms import MEAN, STD
from core.inference.draw import LEAST_SIDE, draw_frame

GAP = 4
"""Pixels between frames and between rows."""


def contact_sheet(
    clips: Dataset[Sample], numbers: Sequence[int], names: Sequence[str]
) -> Image.Image:
    """The clips with these numbers, as training sees them: a row a clip, a column a frame.

    Args:
        clips: of :func:`core.data.loader.training_clips`.
        numbers: of the clips, at least one.
        names: of the classes.
    """
    rows = [_side_by_side(_frames(clips[number], names)) for number in numbers]
    size = max(row.width for row in rows), sum(row.height + GAP for row in rows) - GAP
    sheet = Image.new("RGB", size, "white")
    below = np.cumsum([0, *(row.height + GAP for row in rows)]).tolist()
    for row, y in zip(rows, below, strict=False):
        sheet.paste(row, (0, y))
    return sheet


def _frames(clip: Sample, names: Sequence[str]) -> list[Image.Image]:
    frames, targets = clip
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    levels = (frames * std + mean).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    scale = -(-(LEAST_SIDE // 2) // min(frames.shape[2:]))
    texts = [f"{i} {names[label]}" for i, label in enumerate(targets.labels.tolist())]
    return [
        draw_frame(
            image.numpy(),
            [
                mask.numpy() if there else None
                for mask, there in zip(masks, present.tolist(), strict=True)
            ],
            texts,
            scale,
        )
        for image, masks, present in zip(levels, targets.masks, targets.present, strict=True)
    ]


def _side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size."""
    width, height = pictures[0].size
    row = Image.new("RGB", (len(pictures) * (width + GAP) - GAP, height), "white")
    for place, picture in enumerate(pictures):
        row.paste(picture, (place * (width + GAP), 0))
    return row
