import io
import json

import numpy as np
import pytest
from invented_runs import make_store
from PIL import Image

from core.data.rle import encode
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


def test_videos_can_be_chosen_by_name_or_id(predicted):
    grid = read_runs(predicted(seeds=(0,)), "components")
    heldout = json.loads(grid.runs[0].folder.split.read_text())["heldout"]
    clips = make_clips(grid.runs, NAMES, [str(heldout[1])])
    assert len(clips.videos) == 1
    assert "whatever" not in " ".join(clips.notes)
    with pytest.raises(UserError, match="no scored video '999'; the first of 4"):
        make_clips(grid.runs, NAMES, ["999"])


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
