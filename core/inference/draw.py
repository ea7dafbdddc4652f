"""Results for the eye: frames with masks, ids, classes and scores, as a video or a GIF."""

from __future__ import annotations

import colorsys
import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from core.data.images import Pixels
from core.data.rle import decode
from core.files import replacing

if TYPE_CHECKING:  # a report draws without torch, which takes seconds to import
    from torch import Tensor

OPACITY = 0.5
GOLDEN_ANGLE = 0.381966  # of the circle: successive hues stay apart, however many there are
BRIGHTNESS = (1.0, 0.8, 0.6)
LEAST_SIDE = 240  # pixels; smaller frames are enlarged, or texts would hide them

MOST_SIDE = 4096  # pixels to which frames may be enlarged; encoders refuse much larger ones


def color_of(index: int) -> tuple[int, int, int]:
    """RGB of the track with this index; the first ten are well apart."""
    value = BRIGHTNESS[index % len(BRIGHTNESS)]
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN_ANGLE % 1, 0.85, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_frame(
    pixels: Pixels,
    masks: Sequence[npt.NDArray[np.bool_] | None],
    texts: Sequence[str],
    scale: int = 1,
) -> Image.Image:
    """One frame with its tracks' masks and texts.

    Args:
        pixels: (H, W, 3) RGB.
        masks: (H, W) each, ``None`` where the track is not seen; index sets the color.
        texts: written where the mask begins.
        scale: how many times as large the picture becomes.
    """
    tinted = pixels.astype(np.float32)
    for index, mask in reversed(list(enumerate(masks))):  # the best track comes out on top
        if mask is not None:
            color = np.array(color_of(index), np.float32)
            tinted[mask] = (1 - OPACITY) * tinted[mask] + OPACITY * color
            tinted[_outline(mask)] = color
    large = tinted.round().astype(np.uint8).repeat(scale, 0).repeat(scale, 1)
    picture = Image.fromarray(large)
    for index, mask in enumerate(masks):
        if mask is not None and mask.any():
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            corner = int(columns[0]) * scale, int(rows[0]) * scale
            _write(picture, corner, texts[index], color_of(index))
    return picture


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels of the mask with a neighbour outside of it."""
    inside = np.pad(mask, 1)
    around = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return np.asarray(mask & ~around)


def _write(
    picture: Image.Image, corner: tuple[int, int], text: str, color: tuple[int, int, int]
) -> None:
    """Black on the track's color, above (x, y) but inside the frame."""
    font = _font(min(max(picture.height // 28, 9), 28))
    draw = ImageDraw.Draw(picture)
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    x = max(min(corner[0], picture.width - int(width) - 1), 0)
    y = max(corner[1] - int(height) - 1, 0)
    draw.rectangle((x, y, x + width, y + height), fill=color)
    draw.text((x, y), text, fill=(0, 0, 0), font=font)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def draw_frames(
    frames: Iterable[Tensor],
    results: Sequence[Mapping[str, Any]],
    names: Mapping[int, str],
    min_score: float = 0.0,
) -> Iterator[Image.Image]:
    """A video's frames with its results drawn in; small frames are enlarged.

    Args:
        frames: (3, H, W) uint8 RGB.
        results: the video's tracks; the place in the list is the id that is drawn.
        names: of the category ids; others are drawn as numbers.
        min_score: of the tracks that are drawn.
    """
    shown = [r["score"] >= min_score for r in results]
    texts = [
        f"{i} {names.get(r['category_id'], r['category_id'])} {r['score']:.2f}"
        for i, r in enumerate(results)
    ]
    for t, image in enumerate(frames):
        masks = [
            decode(r["segmentations"][t]) if show and r["segmentations"][t] else None
            for show, r in zip(shown, results, strict=True)
        ]
        short, long = sorted(image.shape[1:])
        scale = max(min(-(-LEAST_SIDE // short), MOST_SIDE // long), 1)
        yield draw_frame(image.permute(1, 2, 0).numpy(), masks, texts, scale)


def save_animation(pictures: Iterable[Image.Image], path: Path, fps: float = 6.0) -> Path:
    """Write pictures as ``path`` with the ending .mp4 where PyAV is there, else .gif.

    A GIF holds all its frames in memory (a byte a pixel) while it is written; an mp4 does not.

    Returns:
        The file written.
    """
    movie = importlib.util.find_spec("av") is not None
    path = path.with_name(path.name + (".mp4" if movie else ".gif"))
    with replacing(path) as temporary:
        (_save_mp4 if movie else _save_gif)(pictures, temporary, fps)
    return path


def _save_gif(pictures: Iterable[Image.Image], path: Path, fps: float) -> None:
    rest = iter(pictures)
    next(rest).save(
        path, "GIF", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0
    )


def _save_mp4(pictures: Iterable[Image.Image], path: Path, fps: float) -> None:
    import av

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream(codec, rate=max(round(fps), 1))
        stream.pix_fmt = "yuv420p"
        for k, picture in enumerate(pictures):
            pixels = _even(np.asarray(picture))
            if k == 0:
                stream.height, stream.width = pixels.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def _even(pixels: Pixels) -> Pixels:
    """The picture with its last row and column doubled where the codec needs even sides."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
