"""Everything that is wrong with a dataset, found before training starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from core.data.annotations import Fault, Parsed, has_images, image_name, parse, with_slashes
from core.data.dataset import Video, VideoDataset
from core.data.images import check_levels, opened, upright_size
from core.data.locate import find_annotations, find_images
from core.errors import UserError
from core.files import read_json

Progress = Callable[[int, int], None]


def examine(
    root: Path,
    annotations: str | None = None,
    images: str | None = None,
    on_progress: Progress | None = None,
) -> Parsed:
    """Look through a dataset: every mask and the header of every image, no pixels.

    Args:
        root: a folder in YouTube-VIS format, or its annotation file.
        annotations: annotation file, from root; none: found by its usual names.
        images: image folder, from root; none: found by its usual names.
        on_progress: called with the images looked at and their number.

    Raises:
        UserError: there is no annotation file.
    """
    path = find_annotations(root, annotations)
    try:
        raw = read_json(path)
    except UserError as error:
        return Parsed(VideoDataset(root.name, (), (), {}, path), [_of_file(path, error)])
    faults: list[Fault] = []
    try:
        folder = find_images(root, path, sample_names(raw), images)
    except UserError as error:
        faults.append(_of_file(path, error))
        folder = None
    parsed = parse(raw, path, folder or path.parent, root.name)
    faults += parsed.faults
    if folder is not None:
        missing = missing_images(parsed.dataset)
        faults += missing
        faults += wrong_images(parsed.dataset, {fault.file for fault in missing}, on_progress)
    return Parsed(parsed.dataset, faults)


def sample_names(raw: object, count: int = 20) -> list[str]:
    """Some file names of an annotation file, spread over its videos, broken entries left out."""
    entries = raw.get("images" if has_images(raw) else "videos") if isinstance(raw, dict) else None
    entries = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    if has_images(raw):
        firsts = [image_name(entry) for entry in entries]
    else:
        lists = (entry.get("file_names") for entry in entries)
        firsts = [names[0] for names in lists if isinstance(names, list) and names]
    found = [with_slashes(name) for name in firsts if isinstance(name, str)]
    return found[:: max(1, len(found) // count)][:count]


def missing_images(dataset: VideoDataset) -> list[Fault]:
    """Frames that are not there; lists each folder once, which is quick on network file systems."""
    listings: dict[Path, set[str]] = {}
    faults: list[Fault] = []
    for video in dataset.videos:
        for frame, file in enumerate(video.files):
            folder = file.parent
            if folder not in listings:
                listings[folder] = _listing(folder)
            if file.name not in listings[folder]:
                where = dataset.place(video, frame)
                faults.append(Fault(file, where, "no such image", video.id))
    return faults


def wrong_images(
    dataset: VideoDataset, skip: set[Path], on_progress: Progress | None = None
) -> list[Fault]:
    """Frames that are no image, or of another size than their video's; reads headers alone."""
    frames = [(v, n, f) for v in dataset.videos for n, f in enumerate(v.files) if f not in skip]
    faults: list[Fault] = []
    # threads hide the latency of network file systems
    with ThreadPoolExecutor(8) as pool:
        for done, (frame, what) in enumerate(
            zip(frames, pool.map(lambda frame: _image_fault(*frame), frames), strict=True), 1
        ):
            if what is not None:
                video, number, file = frame
                faults.append(Fault(file, dataset.place(video, number), what, video.id))
            if on_progress is not None:
                on_progress(done, len(frames))
    return faults


def _image_fault(video: Video, _: int, file: Path) -> str | None:
    try:
        with opened(file) as image:
            height, width = upright_size(image)
            check_levels(image, file)
    except UserError as error:
        why = str(error).removeprefix(f"{file}: ")
        return why.replace("cannot be read as an image", "not an image", 1)
    if (width, height) == (video.width, video.height):
        return None
    return f"image of {width}x{height}, but the annotation says {video.width}x{video.height}"


def _of_file(path: Path, error: UserError) -> Fault:
    return Fault(path, "", str(error).removeprefix(f"{path}: "))


def _listing(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (OSError, ValueError):  # the latter of names that no file can have
        return set()


def sound_part(raw: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """The annotation file's content without the videos and tracks that ``faults`` spoil.

    Raises:
        UserError: a fault spoils more than its video or track, or nothing is left.
    """
    for fault in faults:
        if fault.video_id is None and fault.track_id is None:
            raise UserError(f"cannot be left out, mend it by hand: {fault}")
    videos = {fault.video_id for fault in faults if fault.video_id is not None}
    tracks = {fault.track_id for fault in faults if fault.track_id is not None}
    kind = "image" if has_images(raw) else "video"
    kept = [v for v in raw[f"{kind}s"] if v["id"] not in videos]
    if not kept:
        raise UserError(f"no {kind} is without faults")
    sound = [
        t
        for t in raw.get("annotations") or []
        if t["id"] not in tracks and t[f"{kind}_id"] not in videos
    ]
    return {**raw, f"{kind}s": kept, "annotations": sound}
