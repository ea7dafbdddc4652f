import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from invented_runs import make_store
from PIL import Image

from core.data.rle import encode
from core.data.youtube_vis import load_dataset
from core.errors import UserError
from reports.frame.runs import read_runs
from reports.page import media
from reports.page.media import make_clips
from reports.page.tracks import assign, best_tracks, overlap

NAMES = {
    f"messenger={m} head={h}": f"{m} {h}" for m in ("off", "on") for h in ("per_frame", "stqi")
}


def square(top, left, size=10):
    mask = np.zeros((40, 60), bool)
    mask[top : top + size, left : left + size] = True
    return encode(mask)


def test_overlap_counts_pixels_of_all_frames():
    first = [square(0, 0), square(0, 0), None]
    assert overlap(first, first) == 1.0
    assert overlap(first, [square(0, 5), None, None]) == pytest.approx(50 / (100 + 50 + 100))
    assert overlap(first, [None, None, square(0, 0)]) == 0.0
    assert overlap([None], [None]) == 0.0


def test_overlap_of_a_long_video():
    assert overlap([square(0, 0)] * 400, [square(0, 0)] * 400) == 1.0


def result(score, masks):
    return {"score": score, "segmentations": masks}


def test_each_true_track_is_given_once_to_the_best_score():
    truth = [[square(0, 0)], [square(20, 20)]]
    results = [
        result(0.9, [square(20, 21)]),
        result(0.8, [square(0, 1)]),
        result(0.7, [square(0, 0)]),
        result(0.6, [square(0, 40)]),
    ]
    assert assign(results, truth) == [1, 0, 2, 3]
    assert assign(results, []) == [0, 1, 2, 3]


def test_best_tracks_are_those_with_the_highest_scores():
    results = [result(0.1, []), result(0.7, []), result(0.5, [])]
    assert [r["score"] for r in best_tracks(results, 2)] == [0.7, 0.5]


def test_a_row_a_video_the_truth_first_then_a_clip_a_cell(predicted):
    grid = read_runs(predicted(seeds=(0, 1)), "components")
    clips = make_clips(grid.runs, NAMES)
    assert len(clips.videos) == media.VIDEOS
    for strips in clips.videos.values():
        assert [strip.title for strip in strips] == ["Truth", *NAMES.values()]
        for strip in strips:
            picture = Image.open(io.BytesIO(strip.webp))
            assert picture.format == "WEBP"
            assert picture.size == (strip.frames * strip.width, strip.height)
            assert (strip.frames, strip.width) == (4, media.WIDTH)
        assert "seed 0" in strips[1].detail
        tracks = int(strips[0].detail.split()[0])
        assert f"{tracks - 1} of {tracks} tracks found" in strips[1].detail
    assert "whatever their results" in " ".join(clips.notes)


def test_clips_that_would_make_the_page_too_large_are_left_out(predicted, monkeypatch):
    grid = read_runs(predicted(seeds=(0,)), "components")
    monkeypatch.setattr(media, "MOST_CLIP_BYTES", 1)
    clips = make_clips(grid.runs, NAMES)
    assert len(clips.videos) == 1
    assert f"{media.VIDEOS - 1} more videos would make the page too large" in clips.notes[-1]


def test_videos_can_be_chosen_by_name_or_id(predicted):
    grid = read_runs(predicted(seeds=(0,)), "components")
    heldout = json.loads(grid.runs[0].folder.split.read_text())["heldout"]
    clips = make_clips(grid.runs, NAMES, [str(heldout[1])])
    assert len(clips.videos) == 1
    assert "whatever" not in " ".join(clips.notes)
    with pytest.raises(UserError, match="no scored video '999'; the first of 4"):
        make_clips(grid.runs, NAMES, ["999"])


@pytest.fixture
def changed_videos(monkeypatch):
    """Has clips made of the dataset with ``change`` done to its videos."""

    def apply(change):
        def load(data):
            dataset = load_dataset(data)
            return replace(dataset, videos=tuple(map(change, dataset.videos)))

        monkeypatch.setattr(media, "load_dataset", load)

    return apply


def test_videos_of_one_name_have_a_row_each_and_are_chosen_by_id(predicted, changed_videos):
    """As where all files lie in one folder, which is what their videos are called."""
    grid = read_runs(predicted(seeds=(0,)), "components")
    changed_videos(lambda video: replace(video, name="frames"))
    heldout = json.loads(grid.runs[0].folder.split.read_text())["heldout"]
    rows = make_clips(grid.runs, NAMES).videos
    assert len(rows) == media.VIDEOS
    assert all(re.fullmatch(r"frames \(4 frames\) \(id \d+\)", title) for title in rows)
    assert len(make_clips(grid.runs, NAMES, [str(heldout[1])]).videos) == 1
    with pytest.raises(UserError, match=r"4 scored videos are called 'frames', choose by id: "):
        make_clips(grid.runs, NAMES, ["frames"])


def test_a_frame_that_cannot_be_read_costs_its_video_alone(predicted, changed_videos, tmp_path):
    grid = read_runs(predicted(seeds=(0,)), "components")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"x")
    first = json.loads(grid.runs[0].folder.split.read_text())["heldout"][0]

    def break_first(video):
        return replace(video, files=(broken, *video.files[1:])) if video.id == first else video

    changed_videos(break_first)
    clips = make_clips(grid.runs, NAMES)
    assert len(clips.videos) == media.VIDEOS - 1
    assert "broken.png: cannot be read as an image" in clips.notes[-1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda results: results[0]["segmentations"].pop(), "3 segmentations, but video"),
        (lambda results: results[0].update(video_id="1"), "unknown video_id '1'"),
        (lambda results: results.append(5), "a track is an object"),
        (
            lambda results: [r["segmentations"][0].update(counts="T5") for r in results],
            "run lengths add up to",
        ),
    ],
)
def test_predictions_that_do_not_fit_cost_their_cell_alone(predicted, change, reason):
    store = predicted(seeds=(0,))
    path = store.run(store.manifest("components").cells[1].signature).predictions
    results = json.loads(path.read_text())
    change(results)
    path.write_text(json.dumps(results))
    clips = make_clips(read_runs(store, "components").runs, NAMES)
    assert {len(strips) for strips in clips.videos.values()} == {1 + 3}
    assert clips.notes[-1].startswith(f"off stqi is not shown: {path}: does not fit")
    assert reason in clips.notes[-1]


@pytest.mark.parametrize("split", ['{"heldout": 5}', '{"heldout": ["1"]}', "[]", "{"])
def test_without_a_split_that_can_be_read_the_page_is_told_why(predicted, split):
    store = predicted(seeds=(0,))
    path = store.run(store.manifest("components").cells[0].signature).split
    path.write_text(split)
    clips = make_clips(read_runs(store, "components").runs, NAMES)
    assert not clips.videos and f"({path}: not " in clips.notes[0]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((64, 96), (192, 288)),
        ((16, 40000), (1, 288)),
        ((40000, 16), (1152, 1)),
        ((1, 1), (288, 288)),
    ],
)
def test_frames_of_any_shape_become_clips(size, shown):
    image = media.scaled_frame(np.zeros((*size, 3), np.uint8))
    assert image.shape[:2] == shown
    mask = encode(np.ones(size, bool))
    panel = media.Panel("a", "", [[mask] * 16], ["x"])
    strip = media.film_strip(panel, [image] * 16, np.arange(16))
    assert Image.open(io.BytesIO(strip.webp)).size == (16 * shown[1], shown[0])


def test_a_training_video_cannot_be_shown_as_scored(predicted):
    grid = read_runs(predicted(seeds=(0,)), "components")
    train = json.loads(grid.runs[0].folder.split.read_text())["train"]
    with pytest.raises(UserError, match="no scored video"):
        make_clips(grid.runs, NAMES, [str(train[0])])


def test_without_predictions_or_videos_the_page_is_told_why(tmp_path, predicted):
    grid = read_runs(make_store(tmp_path / "none"), "components")
    assert make_clips(grid.runs, NAMES).notes == ("No clips: no run has predictions yet.",)
    store = predicted(seeds=(0,))
    path = store.run(store.manifest("components").cells[0].signature).config_path
    record = json.loads(path.read_text())
    record["config"]["data"]["root"] = str(tmp_path / "elsewhere")
    path.write_text(json.dumps(record))
    clips = make_clips(read_runs(store, "components").runs, NAMES)
    assert clips.videos == {}
    assert "cannot be read here" in clips.notes[0]
    assert "elsewhere" in clips.notes[0]


def test_cells_without_predictions_are_counted(predicted):
    store = predicted(seeds=(0,))
    store.run(store.manifest("components").cells[2].signature).predictions.unlink()
    clips = make_clips(read_runs(store, "components").runs, NAMES)
    assert "1 of 4 cells have no predictions yet." in clips.notes


def test_cells_on_other_videos_are_left_out_and_counted(predicted):
    store = predicted(seeds=(0,))
    path = store.run(store.manifest("components").cells[1].signature).config_path
    record = json.loads(path.read_text())
    record["config"]["data"]["split_seed"] = 7
    path.write_text(json.dumps(record))
    clips = make_clips(read_runs(store, "components").runs, NAMES)
    assert {len(strips) for strips in clips.videos.values()} == {1 + 3}
    assert "3 of 4 cells are shown" in " ".join(clips.notes)
