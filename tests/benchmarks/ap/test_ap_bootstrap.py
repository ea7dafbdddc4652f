"""Resampled figures against scoring datasets in which videos are really copied."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.ap.accumulate import accumulate
from benchmarks.ap.bootstrap import Bootstrap, bootstrap, draw_videos, paired_difference
from benchmarks.ap.evaluate import AP_FIGURES, figures_of
from core.errors import UserError
from tests.benchmarks.ap.ap_cases import evaluate, random_case, reference_scores, same, summary


def copied(ground_truth, results, counts):
    """The dataset with each video (by rising id) as often as counted, copies side by side."""
    ids = sorted(video["id"] for video in ground_truth["videos"])
    copies = {
        video: [1000 * video + number for number in range(count)]
        for video, count in zip(ids, counts, strict=True)
    }

    def of_copies(entries, key):
        return [
            copy.deepcopy(entry) | {key: number}
            for entry in entries
            for number in copies[entry[key]]
        ]

    annotations = of_copies(ground_truth["annotations"], "video_id")
    for index, annotation in enumerate(annotations):
        annotation["id"] = index + 1
    return ground_truth | {
        "videos": of_copies(ground_truth["videos"], "id"),
        "annotations": annotations,
    }, of_copies(results, "video_id")


def resampled(result, counts):
    """The figures of one weighting, as the bootstrap computes them."""
    figures = figures_of(accumulate(result.matches, np.array([counts])))
    return {name: None if np.isnan(v[0]) else float(v[0]) for name, v in figures.items()}


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    ties=st.booleans(),
    counts=st.lists(st.integers(0, 4), min_size=4, max_size=4).filter(any),
)
def test_weighted_videos_score_like_copied_ones(seed, ties, counts):
    ground_truth, results = random_case(seed, ties=ties, categories=2)
    weighted = resampled(evaluate(ground_truth, results), counts)
    assert same(weighted, evaluate(*copied(ground_truth, results, counts)).figures)


@pytest.mark.parametrize("seed", range(6))
def test_weighted_videos_score_like_copied_ones_by_pycocotools(seed):
    ground_truth, results = random_case(seed, ties=True, categories=1, predictions=12)
    counts = draw_videos(4, 1, seed)[0].tolist()
    weighted = resampled(evaluate(ground_truth, results), counts)
    assert same(summary(weighted), reference_scores(*copied(ground_truth, results, counts))[0])


def test_the_order_of_copies_matters_in_these_cases():
    """Without a place for each copy of tied tracks the weights would give other figures."""
    ground_truth, results = random_case(12, videos=3, ties=True, categories=1, predictions=20)
    for entry in results:
        entry["score"] = 0.5
    result = evaluate(ground_truth, results)
    for k, _ in enumerate(result.matches.tracks.score):
        result.matches.tracks.score[k] -= 1e-9 * k  # as if equal scores had an order
    copies = evaluate(*copied(ground_truth, results, [2, 2, 2])).figures
    assert resampled(result, [2, 2, 2]) != pytest.approx(copies, abs=1e-6)


def test_each_video_once_gives_the_figures():
    result = evaluate(*random_case(4, ties=True))
    assert resampled(result, [1, 1, 1, 1]) == result.figures


def test_many_resamples_at_once_are_those_one_by_one():
    result = evaluate(*random_case(21, ties=True))
    drawn = bootstrap(result, 300, seed=5)
    draws = draw_videos(4, 300, 5)
    for r in (0, 17, 249, 250, 299):
        alone = resampled(result, draws[r].tolist())
        for name in AP_FIGURES:
            together = drawn.samples[name][r]
            assert (alone[name] is None and np.isnan(together)) or alone[name] == together


def test_draws_are_with_replacement_and_repeat_by_seed():
    draws = draw_videos(20, 500, seed=3)
    assert (draws.sum(1) == 20).all()
    assert draws.max() > 2
    assert (draws == draw_videos(20, 500, seed=3)).all()
    assert (draws != draw_videos(20, 500, seed=4)).any()
    # a video is absent from (1 - 1/n)^n of the draws
    assert (draws == 0).mean() == pytest.approx((1 - 1 / 20) ** 20, abs=0.02)


@pytest.fixture(scope="module")
def result():
    return evaluate(*random_case(6, videos=12))


def test_intervals_hold_the_level_of_the_samples_and_the_figure(result):
    drawn = bootstrap(result, 1000, level=0.9)
    interval = drawn.intervals["AP"]
    samples = drawn.samples["AP"] - interval.bias
    assert ((interval.low <= samples) & (samples <= interval.high)).mean() == pytest.approx(0.9)
    assert samples.mean() == pytest.approx(result.figures["AP"])
    assert interval.low < result.figures["AP"] < interval.high
    assert interval.std == pytest.approx(samples.std())


def test_a_wider_level_is_a_wider_interval(result):
    narrow, wide = (bootstrap(result, level=level).intervals["AP"] for level in (0.5, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_absent_figures_have_no_interval(result):
    figures = dict.fromkeys(AP_FIGURES, 0.5) | {"APl": None}
    samples = {name: np.array([0.25, 0.5, 0.75]) for name in AP_FIGURES}
    samples["APl"] = np.full(3, np.nan)
    samples["APm"] = np.array([0.25, np.nan, 0.75])
    intervals = Bootstrap(0.95, 0, 3, figures, samples).intervals
    assert intervals["APl"] is None
    assert intervals["APm"].std == 0.25


def test_bounds_stay_between_0_and_1():
    samples = {"AP": np.array([0.5] * 9 + [1.0])}
    interval = Bootstrap(0.95, 0, 3, {"AP": 0.95}, samples).intervals["AP"]
    assert interval.high == 1.0
    assert interval.low == pytest.approx(0.5 - (0.55 - 0.95))


def test_the_record_is_plain_json(result):
    record = bootstrap(result, 50, seed=2).to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["resamples"], record["level"], record["seed"]) == (50, 0.95, 2)
    assert set(record["AP"]) == {"low", "high", "std", "bias"}
    assert set(AP_FIGURES) <= set(record)
    assert len(record["samples"]["AP"]) == 50


def test_paired_resamples_tell_small_differences():
    ground_truth, results = random_case(30, videos=40, categories=2)
    worse = [
        entry | {"score": entry["score"] * (0.5 if k % 7 == 0 else 1)}
        for k, entry in enumerate(results)
    ]
    first, second = (bootstrap(evaluate(ground_truth, r)) for r in (results, worse))
    difference = paired_difference(first, second)
    assert difference.std < first.intervals["AP"].std
    measured = second.figures["AP"] - first.figures["AP"]
    assert difference.low < measured < difference.high
    same_twice = paired_difference(first, first)
    assert (same_twice.low, same_twice.high) == (0, 0)


def test_unlike_draws_cannot_be_paired(result):
    first = bootstrap(result, 10, seed=0)
    for other in (bootstrap(result, 10, seed=1), bootstrap(result, 11, seed=0)):
        with pytest.raises(UserError, match="same seed, videos and number of resamples"):
            paired_difference(first, other)


def test_impossible_requests_are_errors(result):
    with pytest.raises(UserError, match="at least 1 resample, not 0"):
        bootstrap(result, 0)
    for level in (0, 1, 95):
        with pytest.raises(UserError, match=f"between 0 and 1, such as 0.95, not {level}"):
            bootstrap(result, level=level)
