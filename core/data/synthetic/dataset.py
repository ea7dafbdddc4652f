"""The generated dataset: YouTube-VIS format on disk, made on first use, the same everywhere.

Short videos of patterned shapes that move, turn, scale, leave and cover each other.  With the
dials of :class:`~core.config.schema.SyntheticConfig` at zero every frame tells the class of what it
shows and which instance is which.  Each dial takes that away in its own way:

- ``hidden``: in so many frames an instance is painted a neutral grey; what and who it is must
  come from other frames, where it was nearby.
- ``lookalikes``: in so many videos all instances look the same; only their motion tells who is who.
- ``motion_classes``: classes are still, moving, pulsating; looks say nothing, no frame does.
- ``blinking``: in so many videos the classes are steady red, steady blue and blinking between the
  two; what a query saw in several frames, in any order, tells the last one.
- ``light``: in so many videos the light of the whole scene, amber, green or alternating, is the
  class of every instance; what several frames as a whole show tells it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from core.config.schema import SyntheticConfig
from core.data.rle import areas_of, boxes_of, encode
from core.data.synthetic.paint import MaskStack, Painter
from core.data.synthetic.scene import Scene, class_names, colours_shown, draw_scene, hidden_frames
from core.errors import UserError
from core.files import cache_folder, temporary_name, write_json

GENERATOR_VERSION = 1
"""Rises with every change of what is generated from the same fields; part of a run's signature."""

_RECORDED_VERSION = GENERATOR_VERSION + 5  # in the data's record, which counted before runs did
_LATER_DIALS = ("blinking", "light")
ATTEMPTS = 20

log = logging.getLogger(__name__)


def synthetic_folder(config: SyntheticConfig) -> Path:
    """Where the dataset of ``config`` is; generated first if it is nowhere yet.

    Several processes may ask at once: one generates, the others wait.  A killed one leaves no
    half dataset.
    """
    key = json.dumps([_RECORDED_VERSION, generated_from(config)], sort_keys=True)
    folder = cache_folder() / f"synthetic-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _sweep(folder.parent)
            log.info("generating %d synthetic videos in %s", config.videos, folder)
            generate(config, folder)
    return folder


def generated_from(config: SyntheticConfig) -> dict[str, Any]:
    """The fields that the data are a function of, as plain values.

    Dials that version 1 did not have from the start are there only where they are not zero, so
    that what was made before them keeps its name.
    """
    idle = {name for name in _LATER_DIALS if not getattr(config, name)}
    return config.model_dump(mode="json", exclude=idle)


def generate(
    config: SyntheticConfig, folder: Path, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the dataset to ``folder``, as a whole or not at all.

    Args:
        folder: must not exist yet, or be empty.
        on_progress: called with the videos written and their number.

    Raises:
        UserError: ``folder`` holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists already; choose a folder that does not")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = temporary_name(folder)
    try:
        _write_dataset(config, draft, on_progress)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_dataset(
    config: SyntheticConfig, folder: Path, on_progress: Callable[[int, int], None] | None
) -> None:
    videos: list[dict[str, Any]] = []
    tracks: list[dict[str, Any]] = []
    for video in range(1, config.videos + 1):
        painter, masks = _full_scene(config, video)
        scene = painter.scene
        visible = masks.sum((2, 3))
        hidden = hidden_frames(scene, visible, config.hidden)
        colours = colours_shown(scene, visible)
        videos.append(_write_video(painter, video, hidden, colours, folder / "JPEGImages"))
        for actor, frames in enumerate(hidden):
            entry = _track(scene, actor, masks[actor], frames)
            if scene.kind in _LATER_DIALS:
                entry["colours"] = colours[actor]
            tracks.append({"id": len(tracks) + 1, "video_id": video, **entry})
        if on_progress is not None:
            on_progress(video, config.videos)
    record = {
        "info": {"generator": _RECORDED_VERSION, "config": generated_from(config)},
        "categories": [{"id": i, "name": n} for i, n in enumerate(class_names(config), 1)],
        "videos": videos,
        "annotations": tracks,
    }
    write_json(folder / "instances.json", record, indent=None)


def _full_scene(config: SyntheticConfig, video: int) -> tuple[Painter, MaskStack]:
    """A scene that shows each actor in two frames or more (or in all, if there are fewer)."""
    for attempt in range(ATTEMPTS):
        painter = Painter(draw_scene(config, video, attempt))
        masks = painter.masks()
        frames = masks.any((2, 3)).sum(1)
        if frames.min() >= min(2, config.frames):
            return painter, masks
    height, width = config.size
    raise UserError(f"data.synthetic.size={height}x{width} is too small to show its instances")


def _write_video(
    painter: Painter, number: int, hidden: list[list[int]], colours: list[list[int]], images: Path
) -> dict[str, Any]:
    scene = painter.scene
    name = f"{number:04d}"
    (images / name).mkdir(parents=True)
    names = [f"{name}/{frame:05d}.jpg" for frame in range(scene.frames)]
    for frame, file in enumerate(names):
        now = [actor for actor, frames in enumerate(hidden) if frame in frames]
        image = Image.fromarray(painter.paint(frame, now, [shown[frame] for shown in colours]))
        image.save(images / file, quality=95, subsampling=0)
    height, width = scene.size
    return {
        "id": number,
        "file_names": names,
        "height": height,
        "width": width,
        "length": scene.frames,
        "lookalikes": scene.lookalikes,
    }


def _track(scene: Scene, actor: int, masks: MaskStack, hidden: list[int]) -> dict[str, Any]:
    """An annotation; "evident" says, beyond the format, which frames show the look.

    (And "colours", in videos with two, which of them each frame shows.)
    """
    rles = [encode(mask) if mask.any() else None for mask in masks]
    shown = [rle for rle in rles if rle is not None]
    boxes, areas = iter(boxes_of(shown)), iter(areas_of(shown))
    height, width = scene.size
    return {
        "category_id": scene.actors[actor].label + 1,
        "iscrowd": 0,
        "height": height,
        "width": width,
        "length": scene.frames,
        "segmentations": rles,
        "bboxes": [None if rle is None else list(next(boxes)) for rle in rles],
        "areas": [None if rle is None else next(areas) for rle in rles],
        "evident": [None if r is None else t not in hidden for t, r in enumerate(rles)],
    }


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold ``path`` for this process alone; without effect where the file system has no locks."""
    with path.open("w") as handle:
        with contextlib.suppress(OSError):
            fcntl.lockf(handle, fcntl.LOCK_EX)
        yield


def _sweep(folder: Path, age: float = 3600.0) -> None:
    """Remove what killed generations left behind."""
    for draft in folder.glob(".synthetic-*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > age:
                shutil.rmtree(draft, ignore_errors=True)
