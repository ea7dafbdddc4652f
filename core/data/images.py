"""Reading image files: turned as cameras say, in 8 bits, and one error whatever is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from core.errors import UserError

Pixels = npt.NDArray[np.uint8]
Turn = Image.Transpose

TURNS = {
    2: Turn.FLIP_LEFT_RIGHT,
    3: Turn.ROTATE_180,
    4: Turn.FLIP_TOP_BOTTOM,
    5: Turn.TRANSPOSE,
    6: Turn.ROTATE_270,
    7: Turn.TRANSVERSE,
    8: Turn.ROTATE_90,
}
"""What shows an image upright, by its EXIF orientation."""
MOST_PIXELS = 50_000_000
"""Of a frame, more than of 8K video: a damaged header may say anything."""
SIDES_SWAPPED = (5, 6, 7, 8)


def read_pixels(path: Path) -> Pixels:
    """An image file's (H, W, 3) RGB as it is shown.

    Raises:
        UserError: the file is missing or not an image that can be read.
    """
    with opened(path) as image:
        return upright_pixels(image, path)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file, open for reading.

    Raises:
        UserError: it is missing, not an image, too large or broken; also while it is open.
    """
    try:
        with Image.open(path) as image:
            check_pixels(image.width, image.height, path)
            yield image
    except UserError:
        raise
    except Exception as error:  # a broken file makes Pillow raise whatever its parsers meet
        reason = str(error) or type(error).__name__
        raise UserError(f"{path}: cannot be read as an image: {reason}") from error


def check_pixels(width: int, height: int, path: Path) -> None:
    """Refuse a frame that would fill the memory.

    Raises:
        UserError: it is larger than any video's.
    """
    if width * height > MOST_PIXELS:
        raise UserError(f"{path}: cannot be read as an image: {width}x{height} is too large")


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of the image as it is shown; reads no pixels."""
    swapped = _orientation(image) in SIDES_SWAPPED
    return (image.width, image.height) if swapped else (image.height, image.width)


def upright(image: Image.Image) -> Image.Image:
    """The image as it is shown."""
    turn = TURNS.get(_orientation(image) or 0)
    return image if turn is None else image.transpose(turn)


def upright_pixels(image: Image.Image, path: Path) -> Pixels:
    """(H, W, 3) RGB of the image as it is shown; 16 bits a level are brought to 8.

    Raises:
        UserError: its levels are numbers of which none is known to be white.
    """
    check_levels(image, path)
    image = upright(image)
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))
    return np.array(image.convert("RGB"))


def check_levels(image: Image.Image, path: Path) -> None:
    """Refuse levels other than those of 8 and 16 bits; reads no pixels.

    Raises:
        UserError: of its levels none is known to be white.
    """
    # Pillow calls 16-bit PNGs "I", too
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise UserError(
            f"{path}: holds {kind} levels, of which none is known to be white: save it with 8 or "
            "16 bits"
        )


def _orientation(image: Image.Image) -> int | None:
    # Pillow turns TIFF files itself; of a PNG it would read all pixels to find none
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return None
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a broken note beside sound pixels
        return None
