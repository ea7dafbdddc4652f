import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ablations.analysis.variance import Resampled, resampled, two_sources, variance_table
from core.errors import UserError

DRAWN = (0, 400, 50)


def world(rng, seeds, videos, seed_spread, video_spread, both_spread=0.0, draws=400, mean=10.0):
    """Figures that are means over videos, with the bootstrap over videos of each seed."""
    score = (
        mean
        + seed_spread * rng.standard_normal((seeds, 1))
        + video_spread * rng.standard_normal(videos)
        + both_spread * rng.standard_normal((seeds, videos))
    )
    counts = rng.multinomial(videos, np.full(videos, 1 / videos), size=draws) / videos
    return {s: Resampled(row.mean(), counts @ row, DRAWN) for s, row in enumerate(score)}


def flat(*figures):
    return {s: Resampled(f, np.full(400, f + 0.3), DRAWN) for s, f in enumerate(figures)}


def test_where_videos_change_nothing_the_interval_is_students_over_the_seeds():
    found = two_sources(flat(10.0, 12.0, 11.0))
    low, high = stats.t.interval(0.95, 2, 11.0, stats.sem([10, 12, 11]))
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.05)
    assert (found.variance_seeds, found.share_seeds) == (pytest.approx(1 / 3), 1.0)


def test_where_seeds_agree_the_interval_is_the_bootstraps_over_videos():
    samples = 11 + np.random.default_rng(0).standard_normal(400)
    found = two_sources({s: Resampled(10.0, samples, DRAWN) for s in range(3)})
    expected = np.quantile(samples, [0.025, 0.975]) - samples.mean() + 10.0
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.06)
    assert found.share_seeds == 0.0
    assert found.variance_videos == pytest.approx(samples.var())


def test_each_source_gets_its_share():
    rng = np.random.default_rng(2)
    found = [two_sources(world(rng, 5, 100, 1.0, 10.0)) for _ in range(200)]
    assert np.mean([f.variance_seeds for f in found]) == pytest.approx(1 / 5, rel=0.15)
    assert np.mean([f.variance_videos for f in found]) == pytest.approx(100 / 100, rel=0.15)


def test_what_seed_and_video_have_together_is_counted_once():
    rng = np.random.default_rng(3)
    found = [two_sources(world(rng, 4, 50, 0.0, 5.0, 10.0)) for _ in range(200)]
    total = np.mean([f.variance_seeds + f.variance_videos for f in found])
    assert total == pytest.approx(25 / 50 + 100 / 50 / 4, rel=0.15)


def test_paired_cells_cancel_what_their_videos_and_seeds_share():
    rng = np.random.default_rng(4)
    base = world(rng, 3, 50, 5.0, 20.0)
    better = {s: Resampled(r.figure + 2, r.samples + 2, DRAWN) for s, r in base.items()}
    found = two_sources(better, base)
    assert found.mean == pytest.approx(2)
    assert found.variance_seeds + found.variance_videos == pytest.approx(0, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((2, 2))


def test_one_seed_leaves_the_seeds_part_open():
    found = two_sources({0: Resampled(10.0, np.array([9.0, 11.0]), DRAWN)})
    assert (found.variance_seeds, found.share_seeds, found.low) == (None, None, None)
    assert found.variance_videos == pytest.approx(1.0)


def test_draws_that_differ_are_refused():
    other = {0: Resampled(10.0, np.zeros(400), (1, 400, 50))}
    with pytest.raises(UserError, match="not of the same draws"):
        two_sources(flat(10.0), other)


def test_draws_in_which_a_run_has_no_figure_are_left_out():
    samples = np.array([9.0, np.nan, 11.0])
    found = two_sources({0: Resampled(10.0, samples, DRAWN)})
    assert found.variance_videos == pytest.approx(1.0)
    assert two_sources({0: Resampled(10.0, np.full(3, np.nan), DRAWN)}) is None
    assert two_sources({}) is None


def test_records_are_read_in_ap_points():
    record = {
        "protocol": {"videos": 32},
        "figures": {"AP": 0.25},
        "bootstrap": {"seed": 0, "resamples": 3, "samples": {"AP": [0.2, None, 0.3]}},
    }
    found = resampled(record)
    assert found.figure == 25.0
    assert found.samples[0] == 20.0
    assert np.isnan(found.samples[1])
    assert found.drawn == (0, 3, 32)
    assert resampled({**record, "bootstrap": None}) is None
    assert resampled({**record, "figures": {"AP": None}}) is None


def test_the_table_has_every_cell_or_every_difference():
    cells = {"a": flat(10.0, 11.0), "b": flat(12.0, 12.5), "c": {}}
    assert list(variance_table(cells)) == ["a", "b"]
    assert variance_table(cells, baseline="a")["b"].mean == pytest.approx(1.75)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=6), st.floats(-5, 5))
def test_the_interval_is_about_the_mean_and_moves_with_the_figures(figures, shift):
    found, moved = two_sources(flat(*figures)), two_sources(flat(*(f + shift for f in figures)))
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9
    assert moved.low - found.low == pytest.approx(shift, abs=1e-6)


@pytest.mark.parametrize(("seed_spread", "video_spread"), [(1.0, 1.0), (0.2, 5.0), (0.5, 5.0)])
def test_intervals_for_both_sources_cover_the_truth(seed_spread, video_spread):
    rng = np.random.default_rng(6)
    found = [
        two_sources(world(rng, 3, 60, seed_spread, video_spread, 2.0, draws=200))
        for _ in range(300)
    ]
    assert np.mean([f.low <= 10.0 <= f.high for f in found]) >= 0.93
