"""Clips of a video's truth and of two runs' predictions, in the colours of the strips."""

from __future__ import annotations

from benchmarks.ap.match import ranked
from benchmarks.ap.tracks import VideoTask, read_tracks
from benchmarks.diagnosis.followed import follow_tracks
from benchmarks.diagnosis.overlaps import find_overlaps
from core.data.dataset import Video, VideoDataset
from reports.compare.read import Comparison, Side
from reports.page.media import Panel, Strip, film_strips, in_places
from reports.page.tracks import Masks


def video_clips(comparison: Comparison, video: Video) -> list[Strip]:
    """Truth, base and other.

    Raises:
        OSError, UserError: the frames cannot be read.
    """
    dataset = comparison.dataset
    tracks = dataset.tracks_of(video.id)
    masks: list[Masks] = [() if track.crowd else track.segmentations for track in tracks]
    texts = [dataset.categories[track.category_id] for track in tracks]
    truth = Panel("Truth", f"{sum(map(bool, masks))} tracks", masks, texts)
    sides = [_panel(side, video, dataset) for side in (comparison.base, comparison.other)]
    return film_strips(video, [truth, *sides])


def _panel(side: Side, video: Video, dataset: VideoDataset) -> Panel:
    of_video = [(k, r) for k, r in enumerate(side.results) if r["video_id"] == video.id]
    read = read_tracks(VideoTask(video, of_video, side.findings.dataset.tracks_of(video.id)))
    if isinstance(read, list):  # was scored already, so nothing is wrong with it
        raise AssertionError(read)
    overlaps = find_overlaps(ranked(read[0]), read[1])
    followed, predicted = follow_tracks(overlaps, side.findings.hard), overlaps.predicted
    tracks = [
        (predicted.masks[k], int(predicted.category[k]), float(predicted.score[k]))
        for k in followed.tracks.tolist()
    ]
    drawn, said = in_places(followed.place.tolist(), tracks, dataset)
    return Panel(side.name, f"{len(tracks)} tracks", drawn, said)
