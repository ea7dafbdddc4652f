"""Image files to predict from, end to end."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.dataset import Video

JPEG_QUALITY = 90
BLOBS = 24  # pixels a side of one patch of colour: about as many bytes as a photograph


class VideoFiles:
    """A video of JPEG files in a temporary folder, which goes when this object does.

    The frames are smooth noise, the same for the same size: they decode like photographs, and no
    data set is needed.
    """

    def __init__(self, frames: int, size: tuple[int, int]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tevit-fps-")
        folder = Path(self._folder.name)
        files = [folder / f"{index:05d}.jpg" for index in range(frames)]
        for index, path in enumerate(files):
            frame_image(index, size).save(path, quality=JPEG_QUALITY)
        self.video = Video(1, "measured", size[1], size[0], tuple(files))


def frame_image(index: int, size: tuple[int, int]) -> Image.Image:
    """Frame ``index`` of (height, width) ``size``."""
    rng = np.random.default_rng(index)
    coarse = rng.integers(0, 256, (size[0] // BLOBS + 2, size[1] // BLOBS + 2, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    grain = rng.integers(-4, 5, (*size, 1))
    return Image.fromarray(np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8))
