"""Clips of a video's truth and of two runs' predictions, in the colours of the strips."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.ap.match import ranked
from benchmarks.ap.tracks import VideoTask, read_tracks
from benchmarks.diagnosis.followed import follow_tracks
from benchmarks.diagnosis.overlaps import find_overlaps
from core.data.dataset import Video
from core.data.images import read_pixels
from reports.compare.read import Comparison, Side
from reports.page.media import Strip, film_strip, scaled_frame, shown_frames
from reports.page.tracks import Masks


def video_clips(comparison: Comparison, video: Video) -> list[Strip]:
    """Truth, base and other.

    Raises:
        OSError, UserError: the frames cannot be read.
    """
    dataset, frames = comparison.dataset, shown_frames(video)
    images = [scaled_frame(read_pixels(video.files[t])) for t in frames]
    tracks = dataset.tracks_of(video.id)
    masks: list[Masks] = [[None] * video.length if t.crowd else t.segmentations for t in tracks]
    texts = [dataset.categories[track.category_id] for track in tracks]
    count = sum(not track.crowd for track in tracks)
    clips = [film_strip("Truth", f"{count} tracks", images, masks, texts, frames)]
    for side in (comparison.base, comparison.other):
        drawn, said = _tracks(side, video, dataset.categories)
        shown = sum(map(bool, said))
        clips.append(film_strip(side.name, f"{shown} tracks", images, drawn, said, frames))
    return clips


def _tracks(
    side: Side, video: Video, categories: Mapping[int, str]
) -> tuple[list[Masks], list[str]]:
    """Masks and text of each place in the order of colours."""
    of_video = [(k, r) for k, r in enumerate(side.results) if r["video_id"] == video.id]
    read = read_tracks(VideoTask(video, of_video, side.findings.dataset.tracks_of(video.id)))
    if isinstance(read, list):  # was scored already, so nothing is wrong with it
        raise AssertionError(read)
    overlaps = find_overlaps(ranked(read[0]), read[1])
    followed = follow_tracks(overlaps, side.findings.hard)
    places = max([len(read[1]), *(followed.place + 1).tolist()])
    drawn: list[Masks] = [[None] * video.length for _ in range(places)]
    said = [""] * places
    for track, place in zip(followed.tracks.tolist(), followed.place.tolist(), strict=True):
        drawn[place] = overlaps.predicted.masks[track]
        category = int(overlaps.predicted.category[track])
        score = float(overlaps.predicted.score[track])
        said[place] = f"{categories.get(category, category)} {score:.2f}"
    return drawn, said
