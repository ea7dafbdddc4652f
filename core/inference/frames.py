"""Where the frames of a video to predict on come from: files, a GIF, or a video file.

Every source is read forwards and lazily, so that memory is bounded by what is asked for at once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import ImageSequence
from torch import Tensor

from core.config.schema import DataConfig
from core.data.dataset import Video
from core.data.images import check_pixels, opened, upright_pixels, upright_size
from core.data.transforms import (
    Size,
    normalise,
    pad,
    padded_size,
    read_frame,
    rescaled,
    resize_frame,
)
from core.errors import UserError

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MOVIES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
NO_DECODER = "decoding video files needs PyAV: pip install 'tevit-ablations[video]' (or: av)"


log = logging.getLogger(__name__)


class Frames(Protocol):
    """A video's frames, read lazily from its first to its last."""

    name: str
    """What the video is called."""
    size: Size
    """(height, width) of every frame."""

    def __iter__(self) -> Iterator[Tensor]:
        """Frames as (3, H, W) uint8 RGB, from the first on."""


class FileFrames:
    """The frames of a dataset's video, or of a folder of images."""

    def __init__(self, video: Video) -> None:
        self.name = video.name
        self.size: Size = (video.height, video.width)
        self.files = video.files

    def __iter__(self) -> Iterator[Tensor]:
        """Decode file by file.

        Raises:
            UserError: a file is missing, no image, or of another size than the video.
        """
        for path in self.files:
            yield _of_size(read_frame(path), self.size, path)


class GifFrames:
    """The frames of an animated GIF (or of a single image)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        with opened(path) as image:
            self.size: Size = upright_size(image)

    def __iter__(self) -> Iterator[Tensor]:
        """Decode frame by frame.

        Raises:
            UserError: the file is broken.
        """
        with opened(self.path) as image:
            for frame in ImageSequence.Iterator(image):
                pixels = torch.from_numpy(upright_pixels(frame, self.path))
                yield _of_size(pixels.permute(2, 0, 1), self.size, self.path)


class MovieFrames:
    """The frames of a video file, decoded by PyAV, which is an optional dependency."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self._warned = False
        first = next(self._decoded(), None)
        if first is None:
            raise UserError(f"{path}: no frame of it can be decoded")
        self.size: Size = (first.shape[1], first.shape[2])

    def __iter__(self) -> Iterator[Tensor]:
        """Decode frame by frame, turned as players do; what is damaged is left out and told once.

        Raises:
            UserError: there is no decoder, the file is not a video or broken, or its frames
                change their size.
        """
        for image in self._decoded():
            yield _of_size(image, self.size, self.path)

    def _decoded(self) -> Iterator[Tensor]:
        av = _decoder(self.path)
        try:
            with av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise UserError(f"{self.path}: has no video stream")
                stream = container.streams.video[0]
                lost = count = 0
                for packet in container.demux(stream):
                    try:
                        frames = packet.decode()
                    except av.InvalidDataError:
                        lost += 1
                        continue
                    for frame in frames:
                        count += 1
                        check_pixels(frame.width, frame.height, self.path)
                        pixels = frame.to_ndarray(format="rgb24")
                        # quarter turns against the clock, as the file says that players do
                        turned = np.rot90(pixels, round(frame.rotation / 90))
                        yield torch.from_numpy(turned.copy()).permute(2, 0, 1)
                self._warn(count, max(lost, stream.frames - count))
        except UserError:
            raise
        except Exception as error:  # a broken file makes PyAV raise more than its own errors
            raise UserError(f"{self.path}: cannot be decoded: {error}") from error

    def _warn(self, count: int, lost: int) -> None:
        if lost > 0 and count and not self._warned:
            self._warned = True
            log.warning(
                "%s: damaged: %d of its %d frames cannot be decoded and are left out",
                self.path,
                lost,
                count + lost,
            )


def _decoder(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise UserError(f"{path}: {NO_DECODER}; a GIF or a folder of frames needs none") from error
    return av


def open_video(path: Path) -> Frames:
    """The frames at ``path``: a folder of images, a GIF or a video file.

    Raises:
        UserError: there is nothing that can be read; the message says what can.
    """
    if path.is_dir():
        return FileFrames(folder_video(path))
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    suffix = path.suffix.lower()
    if suffix in MOVIES:
        return MovieFrames(path)
    if suffix == ".gif" or suffix in IMAGES:
        return GifFrames(path)
    raise UserError(
        f"{path}: not a video: expected a folder of images ({', '.join(IMAGES)}), an annotation "
        f"file (.json), a .gif, or a video file ({', '.join(MOVIES)})"
    )


def folder_video(folder: Path, video_id: int = 1) -> Video:
    """The images of a folder as a video, in the natural order of their names (2 before 10).

    Raises:
        UserError: it holds no images.
    """
    files = [p for p in folder.iterdir() if p.suffix.lower() in IMAGES and p.name[0] != "."]
    if not files:
        raise UserError(f"{folder}: no images in it ({', '.join(IMAGES)})")
    files.sort(key=lambda p: [int(s) if s.isdecimal() else s for s in re.split(r"(\d+)", p.name)])
    with opened(files[0]) as image:
        height, width = upright_size(image)
    return Video(video_id, folder.resolve().name, width, height, tuple(files))


def clips_of(frames: Frames, length: int | None, stride: int) -> Iterator[tuple[int, list[Tensor]]]:
    """Overlapping clips, each as its first frame's number and its frames.

    The last clip may be shorter; each shows at least one frame that none before it shows.  At
    most one clip's frames (and one more) are held.

    Args:
        frames: the video.
        length: frames a clip; none: the whole video is one clip.
        stride: frames from one clip to the next, at most ``length``.
    """
    source = iter(frames)
    start, held = 0, list(islice(source, length))
    while held:
        following = next(source, None)
        yield start, held
        if following is None or length is None:
            return
        held = [*held[stride:], following, *islice(source, stride - 1)]
        start += stride


def prepare_frames(images: list[Tensor], data: DataConfig) -> tuple[Tensor, Size]:
    """Frames (3, H, W) uint8 of one size as the model takes them.

    Returns:
        (T, 3, h, w) resized to ``data.test_size``, normalised and padded, and the
        (height, width) that they had before padding.
    """
    size = rescaled((images[0].shape[1], images[0].shape[2]), data.test_size)
    padded = padded_size([size])
    return torch.stack([pad(normalise(resize_frame(i, size)), padded) for i in images]), size


def _of_size(image: Tensor, size: Size, path: Path) -> Tensor:
    if tuple(image.shape[1:]) != size:
        raise UserError(
            f"{path}: image of {image.shape[2]}x{image.shape[1]}, but its video has "
            f"{size[1]}x{size[0]}"
        )
    return image
