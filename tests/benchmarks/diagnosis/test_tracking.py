"""Tracking figures: equal to TrackEval's, and cases whose figures are known."""

import json

import numpy as np
import pytest

from benchmarks.ap.evaluate import for_each_video
from benchmarks.ap.match import ranked
from benchmarks.ap.tracks import read_tracks
from benchmarks.diagnosis.overlaps import find_overlaps
from benchmarks.diagnosis.tracking import TRACKING_FIGURES, HardTracks, track_sums, tracking_figures
from core.errors import UserError
from tests.benchmarks.ap.ap_cases import random_case
from tests.benchmarks.diagnosis.track_cases import BOX, OTHER, read, track, truth_of
from tests.benchmarks.diagnosis.trackeval_scores import trackeval_scores
from tests.conftest import SHARED, need


def scored(truth, results, **rule):
    """(mean over classes, together, by class name) of our figures."""
    dataset = read(truth)

    def sums(task):
        predicted, annotated = read_tracks(task)
        return track_sums(find_overlaps(ranked(predicted), annotated), HardTracks(**rule))

    parts, _ = for_each_video(sums, dataset, results, workers=1)
    weights = np.ones((1, len(parts)), int)
    mean, together, by_class = tracking_figures(parts, sorted(dataset.categories), weights)
    names = [dataset.categories[number] for number in sorted(dataset.categories)]
    return (
        {name: float(value[0]) for name, value in mean.items()},
        {name: float(value[0]) for name, value in together.items()},
        {
            name: {figure: float(values[0, k]) for figure, values in by_class.items()}
            for k, name in enumerate(names)
            if not np.isnan(by_class["HOTA"][0, k])
        },
    )


def agree(ours, theirs):
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        assert one == pytest.approx(other, abs=1e-9)
    assert ours[2].keys() == theirs[2].keys()
    for name in ours[2]:
        assert ours[2][name] == pytest.approx(theirs[2][name], abs=1e-9), name


def without_crowds(truth):
    """TrackEval's reader of such files has no crowds: each is an instance."""
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = 0
    return truth


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("min_score", [0.0, 0.4])
def test_random_cases_equal_trackeval(seed, min_score, tmp_path):
    truth, results = random_case(seed, videos=12, categories=2, predictions=12)
    truth = without_crowds(truth)
    theirs = trackeval_scores(truth, results, tmp_path, min_score)
    agree(scored(truth, results, min_score=min_score), theirs)
    assert 0 < theirs[0]["HOTA"] < 1


@pytest.mark.parametrize("seed", range(4))
def test_tracks_that_cross_equal_trackeval(seed, tmp_path):
    truth, results = crossing_case(np.random.default_rng(seed))
    theirs = trackeval_scores(truth, results, tmp_path, 0.0)
    agree(scored(truth, results, min_score=0.0), theirs)
    assert theirs[1]["IDSW"] > 2


@pytest.mark.shared
def test_real_tracks_equal_trackeval(tmp_path):
    folder = need(SHARED / "ap_oracle" / "davis16")
    truth, results = (json.loads((folder / f"{n}.json").read_text()) for n in ("gt", "pred"))
    theirs = trackeval_scores(truth, results, tmp_path, 0.3)
    agree(scored(truth, results, min_score=0.3), theirs)
    assert 0 < theirs[0]["HOTA"] < 1


@pytest.mark.shared
@pytest.mark.parametrize("case", ["small", "mixed_sizes", "score_ties"])
def test_shared_cases_equal_trackeval(case, tmp_path):
    folder = need(SHARED / "ap_oracle" / "synthetic")
    truth = without_crowds(json.loads((folder / f"{case}_gt.json").read_text()))
    results = json.loads((folder / f"{case}_results.json").read_text())
    agree(scored(truth, results), trackeval_scores(truth, results, tmp_path, 0.3))


def crossing_case(rng, frames=12, tracks=4):
    """Instances on neighbouring rows, and tracks that now and then take the wrong one."""
    boxes = [
        [(60 * row, 5 * frame, 60 * row + 50, 5 * frame + 50) for frame in range(frames)]
        for row in range(tracks)
    ]
    results = []
    order = np.arange(tracks)
    followed = []
    for _ in range(frames):
        if rng.random() < 0.4:
            order = rng.permutation(tracks)
        followed.append(order)
    for place in range(tracks):
        path = [boxes[followed[frame][place]][frame] for frame in range(frames)]
        shifted = [(a + int(rng.integers(0, 9)), b, c, d) for a, b, c, d in path]
        shown = [box if rng.random() < 0.9 else None for box in shifted]
        results.append(track(None, shown, score=float(rng.random())))
    return truth_of(*boxes, frames=frames), results


def one_instance(*predictions, crowd=None, frames=4):
    crowds = [[crowd] * frames] if crowd else []
    return truth_of([BOX] * frames, frames=frames, crowds=crowds), list(predictions)


def test_the_truth_itself_scores_one():
    mean, together, by_class = scored(*one_instance(track(None, [BOX] * 4, score=0.9)))
    assert mean == together == by_class["one"]
    assert mean == dict.fromkeys(TRACKING_FIGURES, 1.0) | {"IDSW": 0.0}


def test_a_track_that_is_broken_in_two_keeps_its_detections_and_loses_half_of_its_identity():
    first = track(None, [BOX, BOX, None, None], score=0.9)
    second = track(None, [None, None, BOX, BOX], score=0.8)
    mean, _, _ = scored(*one_instance(first, second))
    assert mean["DetA"] == mean["LocA"] == 1
    assert mean["AssA"] == pytest.approx(0.5)  # each match: 2 of 4 masks in common
    assert mean["HOTA"] == pytest.approx(0.5**0.5)
    assert (mean["IDF1"], mean["IDSW"]) == (0.5, 1)


def test_tracks_below_the_score_do_not_count():
    case = one_instance(track(None, [BOX] * 4, score=0.9), track(None, [OTHER] * 4, score=0.2))
    assert scored(*case)[0]["DetA"] == 1
    assert scored(*case, min_score=0.1)[0]["DetA"] == pytest.approx(0.5)


def test_the_best_per_frame_leaves_out_what_overlaps_it():
    weaker = track(None, [BOX] * 4, score=0.6) | {"category_id": 2}
    copy = track(None, [BOX, BOX, None, None], score=0.5)
    case = one_instance(track(None, [BOX, None, BOX, BOX], score=0.9), weaker, copy)
    # the copy goes where the best one is, and where the weaker one of another class is
    assert scored(*case, best_per_frame=True)[0]["DetA"] == pytest.approx(3 / 4)
    assert scored(*case)[0]["DetA"] == pytest.approx(4 / 5)


def test_masks_inside_a_crowd_are_no_false_ones():
    good, inside = track(None, [BOX] * 4, score=0.9), track(None, [OTHER] * 4, score=0.8)
    around = (90, 90, 150, 150)
    assert scored(*one_instance(good, inside, crowd=around))[0]["DetA"] == 1
    assert scored(*one_instance(good, inside))[0]["DetA"] == pytest.approx(0.5)
    # of another class it is not of the crowd
    other = inside | {"category_id": 2}
    assert scored(*one_instance(good, other, crowd=around))[1]["DetA"] == pytest.approx(0.5)


def test_nothing_predicted_scores_nothing():
    mean, together, _ = scored(*one_instance())
    assert mean == together == dict.fromkeys(TRACKING_FIGURES, 0.0) | {"LocA": 1.0}


def test_resampled_videos_are_datasets_with_copies():
    truth, results = random_case(3, videos=3)
    dataset = read(truth)

    def sums(task):
        predicted, annotated = read_tracks(task)
        return track_sums(find_overlaps(ranked(predicted), annotated), HardTracks(0.0))

    parts, _ = for_each_video(sums, dataset, results, workers=1)
    categories = sorted(dataset.categories)
    drawn = tracking_figures(parts, categories, np.array([[2, 0, 1]]))
    copied = tracking_figures([parts[0], parts[0], parts[2]], categories, np.ones((1, 3), int))
    for one, other in zip(drawn, copied, strict=True):
        for name in TRACKING_FIGURES:
            np.testing.assert_allclose(one[name], other[name])


@pytest.mark.parametrize("score", [float("nan"), 30, -0.1])
def test_a_least_score_that_is_no_share_is_refused(score):
    with pytest.raises(UserError, match=f"least score of a track lies between .*, not {score:g}"):
        HardTracks(score)
