import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.frame.statistics import (
    difference_by_seed,
    exact_best,
    pareto_front,
    seed_summary,
    ties_with_best,
)

figures = st.floats(-1e3, 1e3, allow_nan=False)


def test_summary_is_mean_and_sample_deviation():
    summary = seed_summary([1.0, 2.0, 4.0])
    assert summary.n == 3
    assert summary.mean == pytest.approx(7 / 3)
    assert summary.std == pytest.approx(math.sqrt(7 / 3))


def test_one_seed_has_no_deviation_and_none_has_no_summary():
    assert seed_summary([0.3]).std is None
    assert seed_summary([]) is None


def test_equal_values_have_no_spread_whatever_rounding_does():
    assert seed_summary([0.1 + 0.2, 0.3 + 1e-17, 0.1 + 0.2]).std < 1e-15
    assert seed_summary([0.0485] * 3).std == 0.0


def test_paired_difference_is_the_paired_t_interval():
    values, reference = {0: 31.0, 1: 33.5, 2: 32.0}, {0: 30.0, 1: 31.0, 2: 31.5}
    difference = difference_by_seed(values, reference, 0.9)
    pairs = np.array([1.0, 2.5, 0.5])
    low, high = stats.t.interval(0.9, 2, pairs.mean(), stats.sem(pairs))
    assert difference.mean == pytest.approx(4 / 3)
    assert (difference.low, difference.high) == pytest.approx((low, high))
    p = stats.ttest_rel([31.0, 33.5, 32.0], [30.0, 31.0, 31.5]).pvalue
    assert difference.distinguishable == (p < 0.1)


def test_only_common_seeds_are_paired():
    difference = difference_by_seed({0: 1.0, 1: 2.0, 7: 100.0}, {0: 0.0, 1: 1.5, 3: -100.0})
    assert difference.n == 2
    assert difference.mean == pytest.approx(0.75)


def test_one_common_seed_gives_a_difference_without_interval():
    difference = difference_by_seed({0: 1.0, 1: 9.0}, {0: 0.5})
    assert (difference.n, difference.mean) == (1, 0.5)
    assert difference.low is None
    assert not difference.distinguishable


def test_no_common_seed_gives_no_difference():
    assert difference_by_seed({0: 1.0}, {1: 1.0}) is None


@given(st.lists(st.tuples(figures, figures), min_size=2, max_size=6))
def test_difference_changes_sign_with_the_roles(pairs):
    a = {seed: pair[0] for seed, pair in enumerate(pairs)}
    b = {seed: pair[1] for seed, pair in enumerate(pairs)}
    there, back = difference_by_seed(a, b), difference_by_seed(b, a)
    assert there.mean == pytest.approx(-back.mean)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_a_wider_level_gives_a_wider_interval():
    values, reference = {0: 1.0, 1: 2.0, 2: 4.0}, {0: 0.0, 1: 0.0, 2: 0.0}
    narrow, wide = (difference_by_seed(values, reference, level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_ties_are_the_cells_that_the_test_cannot_tell_from_the_best():
    cells = {
        "best": {0: 40.0, 1: 41.0, 2: 42.0},
        "close": {0: 39.0, 1: 41.5, 2: 41.0},
        "far": {0: 30.0, 1: 31.0, 2: 32.1},
    }
    ties = ties_with_best(cells, "high")
    assert ties.best == "best"
    assert ties.tied == {"best", "close"}
    assert ties.untested == set()


def test_low_can_be_the_better_end():
    cells = {"slow": {0: 9.0, 1: 9.1}, "fast": {0: 2.0, 1: 2.1}}
    assert ties_with_best(cells, "low").best == "fast"


def test_one_seed_a_cell_has_no_best():
    ties = ties_with_best({"a": {0: 1.0}, "b": {0: 2.0}}, "high")
    assert ties.best is None
    assert ties.tied == set()
    assert ties.untested == {"a", "b"}


def test_a_single_seed_is_neither_best_nor_tied():
    cells = {"lucky": {0: 99.0}, "a": {0: 1.0, 1: 1.2}, "b": {0: 1.1, 1: 1.0}}
    ties = ties_with_best(cells, "high")
    assert ties.best in ("a", "b")
    assert "lucky" not in ties.tied
    assert ties.untested == {"lucky"}


@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.dictionaries(st.integers(0, 4), figures, max_size=5),
        max_size=6,
    )
)
def test_best_is_tied_with_itself_and_never_worse_than_a_tested_cell(cells):
    ties = ties_with_best(cells, "high")
    means = {k: np.mean(list(v.values())) for k, v in cells.items() if len(v) > 1}
    assert (ties.best is None) == (not means)
    if means:
        assert ties.best in ties.tied
        assert means[ties.best] == max(means.values())
    assert not ties.tied & ties.untested


def test_counts_need_one_seed_and_no_test():
    ties = exact_best({"a": {0: 5.0}, "b": {0: 4.0}, "c": {0: 4.0}, "none": {}}, "low")
    assert ties.tied == {"b", "c"}
    assert exact_best({}, "low").best is None


def test_pareto_front_of_costs_and_of_speeds():
    points = [(1.0, 30.0), (2.0, 29.0), (3.0, 35.0), (3.0, 33.0)]
    assert pareto_front(points, "low") == [0, 2]
    assert pareto_front(points, "high") == [2]


@given(st.lists(st.tuples(figures, figures), min_size=1, max_size=20))
def test_no_point_beats_the_front_and_each_other_point_is_beaten(points):
    front = pareto_front(points, "low")

    def beaten(point):
        return any(p != point and p[0] <= point[0] and p[1] >= point[1] for p in points)

    for index, point in enumerate(points):
        in_front = point in [points[k] for k in front]
        assert in_front != beaten(point), index
