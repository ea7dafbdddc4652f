"""An annotation file in the making: videos and tracks in YouTube-VIS format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.data.images import opened, upright_size
from core.data.rle import Rle, compress, mask_areas
from core.errors import UserError


@dataclass(frozen=True)
class NewTrack:
    """One instance: its category id and a mask, or null, for each frame of its video."""

    category_id: int
    masks: Sequence[Rle | None]
    crowd: bool = False


@dataclass
class Record:
    """What an annotation file will hold.

    Attributes:
        out: the file; image files are named from its folder, so that it is found to be complete.
        categories: name of each category id.
    """

    out: Path
    categories: Mapping[int, str]
    videos: list[dict[str, Any]] = field(default_factory=list)
    tracks: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, name: str, files: Sequence[Path], size: tuple[int, int], tracks: Iterable[NewTrack]
    ) -> None:
        """Add a video.

        Args:
            name: of the video.
            files: its frames.
            size: (height, width) of all of them.
            tracks: its instances; those without a mask are left out.
        """
        folder = self.out.absolute().parent
        self.videos.append(
            {
                "id": len(self.videos) + 1,
                "name": name,
                "file_names": [Path(os.path.relpath(f, folder)).as_posix() for f in files],
                "height": size[0],
                "width": size[1],
                "length": len(files),
            }
        )
        for track in tracks:
            if any(mask is not None for mask in track.masks):
                self.tracks.append(
                    {
                        "id": len(self.tracks) + 1,
                        "video_id": len(self.videos),
                        "category_id": track.category_id,
                        "iscrowd": int(track.crowd),
                        "segmentations": list(track.masks),
                    }
                )

    def content(self) -> dict[str, Any]:
        """The annotation file's content."""
        names = [{"id": number, "name": name} for number, name in sorted(self.categories.items())]
        return {"categories": names, "videos": self.videos, "annotations": self.tracks}


@contextmanager
def shaped(where: str) -> Iterator[None]:
    """What reads a file's JSON, of which every part may be something else or missing.

    Raises:
        UserError: one is; ``where`` names it.
    """
    try:
        yield
    except UserError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{where}: {what}") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        UserError: it cannot be read, or is no text.
    """
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def read_rle(counts: Any, size: tuple[int, int], where: str) -> Rle | None:
    """A compressed mask of a file; null where it is empty.

    Raises:
        UserError: it is none; ``where`` names it.
    """
    try:
        rle = compress({"size": list(size), "counts": counts}, *size)
        return rle if mask_areas([rle], *size).any() else None
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: {str(error).removeprefix('frame 0: ')}") from error


def frame_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file.

    Raises:
        UserError: it is missing or no image.
    """
    with opened(path) as image:
        return upright_size(image)


def one_of(source: Path, *names: str) -> Path:
    """The first of these folders or files in ``source`` that is there.

    Raises:
        UserError: none is; all are listed.
    """
    for name in names:
        if (source / name).exists():
            return source / name
    raise UserError(f"{source}: has none of {', '.join(names)}")
