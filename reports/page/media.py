"""Short clips of true and predicted masks, side by side across cells.

A clip is one picture with its frames next to each other (a film strip), so that a page can play
all clips of a video in step, stop them, and show any frame.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.machine.fork_map import fork_map, usable_workers
from core.config.overrides import config_from_dict
from core.data.dataset import Video, VideoDataset
from core.data.images import Pixels, read_pixels
from core.data.results import entry_faults, mask_faults, raise_faults
from core.data.rle import Rle, decode
from core.data.youtube_vis import load_dataset
from core.errors import UserError
from core.files import read_json
from core.inference.draw import draw_frame
from core.names import distinct
from reports.frame.runs import CellRun
from reports.page.tracks import Masks, assign, best_tracks

VIDEOS = 3
CELLS = 8
FRAMES = 16
WIDTH = 288  # pixels of a clip in the page
TALLEST = 4 * WIDTH
QUALITY = 80
MOST_CLIP_BYTES = 12_000_000
"""Of all clips; the page holds them in base64, which is a third longer."""


@dataclass(frozen=True)
class Panel:
    """What is drawn over the frames of a clip.

    Attributes:
        tracks: masks of each track, of all frames of the video; the place decides the colour, and
            a place without masks is empty.
        texts: of each track.
    """

    title: str
    detail: str
    tracks: Sequence[Masks]
    texts: Sequence[str]


@dataclass(frozen=True)
class Strip:
    """A clip: ``frames`` pictures of ``width`` x ``height`` pixels side by side, as WebP."""

    title: str
    detail: str
    webp: bytes
    frames: int
    width: int
    height: int


@dataclass(frozen=True)
class Clips:
    """The clips of a page.

    Attributes:
        videos: what each row shows, to its clips: the truth first, then a clip a cell.
        notes: how videos, tracks and cells were chosen, or why there are no clips.
    """

    videos: Mapping[str, Sequence[Strip]]
    notes: tuple[str, ...]


def make_clips(
    runs: Sequence[CellRun], names: Mapping[str, str], videos: Sequence[str] | None = None
) -> Clips:
    """Clips of the first finished seed of each cell.

    Args:
        runs: of one grid, in its order.
        names: cell to what it is called.
        videos: names or ids of videos; none: :data:`VIDEOS` of those scored, evenly spread over
            the list, whatever their results.

    Raises:
        UserError: a video that the scored ones do not have, or that several have the name of.
    """
    shown = _first_seeds(runs)
    if not shown:
        return Clips({}, ("No clips: no run has predictions yet.",))
    try:
        dataset = load_dataset(config_from_dict(dict(shown[0].config or {})).data)
        scored = _scored(shown[0])
    except (UserError, OSError) as error:
        return Clips({}, (f"No clips: the videos cannot be read here ({error}).",))
    chosen = _choose(dataset, scored, videos)
    same = [run for run in shown if run.videos == shown[0].videos][:CELLS]
    broken: list[str] = []
    results: dict[str, list[Mapping[str, Any]]] = {}
    for run in same:
        with _or_told(broken, f"{names[run.cell]} is not shown"):
            results[run.cell] = _results(run, dataset, {video.id for video in chosen})
    readable = [run for run in same if run.cell in results]
    titles = {video.id: f"{video.name} ({video.length} frames)" for video in chosen}
    titles = distinct(titles, "id {}".format)

    def row(video: Video) -> tuple[list[Strip], list[str]]:
        strips: list[Strip] = []
        faults: list[str] = []
        with _or_told(faults, f"{titles[video.id]} is not shown"):
            strips = _row(video, dataset, readable, results, names)
        return strips, faults

    rows: dict[str, list[Strip]] = {}
    size = 0
    drawn = fork_map(row, chosen, usable_workers())
    for place, (video, (strips, faults)) in enumerate(zip(chosen, drawn, strict=True)):
        broken += faults
        size += sum(len(strip.webp) for strip in strips)
        if rows and size > MOST_CLIP_BYTES:
            left = len(chosen) - place
            broken.append(f"{left} more videos would make the page too large.")
            break
        if strips:
            rows[titles[video.id]] = strips
    without = len({run.cell for run in runs}) - len(shown)
    return Clips(rows, (*_notes(shown, same, without, videos is None), *broken))


@contextmanager
def _or_told(notes: list[str], what: str) -> Iterator[None]:
    """A clip is an extra: files that cannot be read cost it alone."""
    try:
        yield
    except (UserError, OSError) as error:
        notes.append(f"{what}: {' '.join(str(error).split())}.")


def _row(
    video: Video,
    dataset: VideoDataset,
    runs: Sequence[CellRun],
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    names: Mapping[str, str],
) -> list[Strip]:
    truth = [track for track in dataset.tracks_of(video.id) if not track.crowd]
    masks: list[Masks] = [track.segmentations for track in truth]
    texts = [dataset.categories[track.category_id] for track in truth]
    panels = [Panel("Truth", f"{len(truth)} tracks", masks, texts)]
    for run in runs:
        of_video = [r for r in results[run.cell] if r["video_id"] == video.id]
        best = best_tracks(of_video, len(truth))
        places = assign(best, masks)
        found = sum(place < len(truth) for place in places)
        detail = f"seed {run.seed}, {found} of {len(truth)} tracks found"
        tracks = [(r["segmentations"], r["category_id"], r["score"]) for r in best]
        panels.append(Panel(names[run.cell], detail, *in_places(places, tracks, dataset)))
    return film_strips(video, panels)


def in_places(
    places: Sequence[int], tracks: Sequence[tuple[Masks, int, float]], dataset: VideoDataset
) -> tuple[list[Masks], list[str]]:
    """Predicted tracks and their texts in the order of colours; nothing in places without a track.

    Args:
        places: of each track.
        tracks: masks, id of the class, and score.
    """
    drawn: list[Masks] = [()] * (max(places, default=-1) + 1)
    said = [""] * len(drawn)
    for place, (masks, category, score) in zip(places, tracks, strict=True):
        drawn[place] = masks
        said[place] = f"{dataset.categories.get(category, category)} {score:.2f}"
    return drawn, said


def film_strips(video: Video, panels: Sequence[Panel]) -> list[Strip]:
    """A clip a panel, of the same frames, which are spread evenly.

    Raises:
        OSError, UserError: the frames cannot be read.
    """
    frames = np.linspace(0, video.length - 1, min(video.length, FRAMES)).round().astype(int)
    images = [scaled_frame(read_pixels(video.files[t])) for t in frames]
    return [film_strip(panel, images, frames) for panel in panels]


def film_strip(panel: Panel, images: Sequence[Pixels], frames: npt.NDArray[np.int_]) -> Strip:
    """A clip of the frames' images with the panel's tracks and texts.

    Args:
        images: (H, W, 3) of each of ``frames``, as :func:`scaled_frame` gives them.
        frames: that are shown.
    """
    height, width = images[0].shape[:2]
    sheet = Image.new("RGB", (width * len(images), height))
    for place, (image, t) in enumerate(zip(images, frames, strict=True)):
        masks = [_mask(track[t] if track else None, (height, width)) for track in panel.tracks]
        sheet.paste(draw_frame(image, masks, panel.texts), (place * width, 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=QUALITY, method=2)
    return Strip(panel.title, panel.detail, buffer.getvalue(), len(images), width, height)


def _mask(rle: Rle | None, size: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    if not rle:
        return None
    picture = Image.fromarray(decode(rle).astype(np.uint8) * 255)
    return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR)) > 127


def scaled_frame(image: Pixels) -> Pixels:
    """A frame (H, W, 3) at the width of the page's clips, ratio kept; narrower where that would
    be too tall.
    """
    height, width = image.shape[:2]
    scale = min(WIDTH / width, TALLEST / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _first_seeds(runs: Sequence[CellRun]) -> list[CellRun]:
    """For each cell its first seed that has predictions and a config."""
    found: dict[str, CellRun] = {}
    for run in runs:
        if run.config is not None and run.folder.predictions.exists():
            found.setdefault(run.cell, run)
    return list(found.values())


def _scored(run: CellRun) -> list[int]:
    """Ids of the videos that the run was scored on; empty where that is not recorded."""
    if not run.folder.split.exists():
        return []
    said = read_json(run.folder.split)
    heldout = said.get("heldout") if isinstance(said, dict) else None
    if not isinstance(heldout, list) or not all(isinstance(video, int) for video in heldout):
        raise UserError(f"{run.folder.split}: not a split: it has no list 'heldout' of video ids")
    return heldout


def _choose(
    dataset: VideoDataset, scored: Sequence[int], wanted: Sequence[str] | None
) -> list[Video]:
    videos = [v for v in dataset.videos if not scored or v.id in set(scored)]
    if wanted is None:
        places = np.linspace(0, len(videos) - 1, min(VIDEOS, len(videos))).round()
        return [videos[int(place)] for place in places]
    return [_called(name, videos) for name in wanted]


def _called(name: str, videos: Sequence[Video]) -> Video:
    """The video of this id, else the only one of this name."""
    found = [v for v in videos if str(v.id) == name] or [v for v in videos if v.name == name]
    if len(found) == 1:
        return found[0]
    some = ", ".join(f"{v.name} ({v.id})" for v in (found or videos)[:20])
    if found:
        raise UserError(f"{len(found)} scored videos are called {name!r}, choose by id: {some}")
    raise UserError(f"no scored video {name!r}; the first of {len(videos)}: {some}")


def _results(
    run: CellRun, dataset: VideoDataset, videos: Collection[int]
) -> list[Mapping[str, Any]]:
    """The run's tracks in some videos.

    Raises:
        UserError: they cannot be read, or do not fit the dataset.
    """
    path = run.folder.predictions
    results = read_json(path)
    raise_faults(entry_faults(results, dataset), f"{path}: does not fit {dataset.name}:")
    shown = [result for result in results if result["video_id"] in videos]
    raise_faults(mask_faults(shown, dataset), f"{path}: does not fit {dataset.name}:")
    return shown


def _notes(
    shown: Sequence[CellRun], same: Sequence[CellRun], without: int, evenly: bool
) -> tuple[str, ...]:
    notes = [
        "As many tracks are drawn as there are true ones, those with the highest scores; a track "
        "has the colour of the true one that it overlaps most (IoU 0.3 or more over all frames)."
    ]
    if evenly:
        notes.append("The videos are spread evenly over the scored ones, whatever their results.")
    if without:
        notes.append(f"{without} of {len(shown) + without} cells have no predictions yet.")
    if len(same) < len(shown):
        notes.append(
            f"{len(same)} of {len(shown)} cells are shown: the first ones that share these videos."
        )
    return tuple(notes)
