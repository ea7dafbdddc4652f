import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.speed.statistics import (
    median_interval,
    paired_ratio,
    samples_for_quantile,
    tail_quantile,
    trend,
)

times = st.lists(st.floats(0.1, 1e4), min_size=5, max_size=40)


@settings(max_examples=40)
@given(times)
def test_median_lies_in_its_interval_and_in_the_samples_range(samples):
    found = median_interval(samples, resamples=200)
    assert found.value == pytest.approx(float(np.median(samples)))
    assert min(samples) <= found.low <= found.high <= max(samples)


def test_interval_is_reproducible_and_depends_on_the_seed():
    samples = list(np.random.default_rng(0).normal(100, 10, 30))
    assert median_interval(samples) == median_interval(samples)
    few = [median_interval(samples, resamples=20, seed=seed) for seed in range(5)]
    assert len(set(few)) > 1


def test_interval_covers_the_true_median_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = median_interval(rng.exponential(1.0, 40).tolist(), resamples=300)
        hits += found.low <= np.log(2) <= found.high
    assert 0.88 <= hits / 200 <= 1.0


def test_more_samples_narrow_the_interval():
    rng = np.random.default_rng(2)
    few, many = (median_interval(rng.normal(10, 1, n).tolist()) for n in (10, 500))
    assert many.high - many.low < (few.high - few.low) / 3


def test_constant_samples_have_no_spread():
    samples = [5.0] * 500
    found = median_interval(samples)
    assert (found.low, found.high) == (5, 5)
    assert (tail_quantile(samples, 0.9), tail_quantile(samples, 0.99)) == (5, 5)


def test_the_tail_is_in_the_high_quantiles():
    samples = [1.0] * 490 + [100.0] * 10
    assert median_interval(samples).value == 1
    assert tail_quantile(samples, 0.9) == 1
    assert tail_quantile(samples, 0.99) == 100


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_below_five_samples_there_is_no_interval(n):
    found = median_interval([40.0, 41.0, 45.0, 46.0][:n])
    assert (found.low, found.high) == (None, None)
    assert median_interval([40.0, 41.0, 45.0, 46.0, 50.0]).high is not None


def test_p99_needs_459_samples_and_p90_needs_44():
    assert [samples_for_quantile(q) for q in (0.9, 0.99)] == [44, 459]
    # the bound itself: with that many, the largest is above the quantile in 99% of the runs
    assert 1 - 0.99**459 >= 0.99 > 1 - 0.99**458
    samples = list(range(458))
    assert tail_quantile(samples, 0.99) is None
    assert tail_quantile([*samples, 458], 0.99) == pytest.approx(453.42)


def test_no_samples():
    with pytest.raises(ValueError, match="no samples"):
        median_interval([])


def test_ratio_of_pairs_is_free_of_drift():
    """Both slow down threefold while they are measured; the ratio stays what it is."""
    drift = np.linspace(1, 3, 50)
    noise = np.random.default_rng(3).normal(1, 0.01, 50)
    found = paired_ratio((20 * drift * noise).tolist(), (10 * drift).tolist())
    assert found.value == pytest.approx(2, rel=0.01)
    assert found.low > 1.98 and found.high < 2.02


def test_ratio_above_one_means_that_the_second_is_faster():
    assert paired_ratio([30.0, 30.0], [10.0, 10.0]).value == 3


def test_unpaired_samples_are_refused():
    with pytest.raises(ValueError, match="not in pairs"):
        paired_ratio([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("samples", "expected"),
    [([1, 1, 1, 1], 0), ([1, 1, 2, 2], 1.0), ([2, 2, 9, 1, 1], -0.5), ([1, 5], 0)],
)
def test_trend_compares_the_halves(samples, expected):
    assert trend(samples) == pytest.approx(expected)
