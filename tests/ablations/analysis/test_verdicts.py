import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ablations.analysis.verdicts import (
    seeds_to_settle,
    verdict_sentence,
    verdicts,
)

BASE = {0: 54.7, 1: 55.2, 2: 54.3}


def cell(*differences):
    return {seed: BASE[seed] + d for seed, d in enumerate(differences)}


def one(*differences, **options):
    return verdicts({"x": cell(*differences)}, BASE, **options)["x"]


def test_the_four_verdicts():
    found = verdicts(
        {
            "better": cell(13, 14, 15),
            "worse": cell(-13, -14, -15),
            "equal": cell(0.1, 0.0, -0.1),
            "open": cell(-4, 0, 5),
        },
        BASE,
    )
    assert [v.kind for v in found.values()] == ["better", "worse", "no different", "undecided"]
    assert [v.final for v in found.values()] == [True, True, True, False]


def test_a_lone_cell_has_the_paired_t_interval():
    verdict = one(13, 14, 16)
    pairs = [13, 14, 16]
    expected = stats.t.interval(0.95, 2, np.mean(pairs), stats.sem(pairs))
    assert (verdict.low, verdict.high) == pytest.approx(expected)


def test_more_cells_make_the_interval_wider():
    alone = one(13, 14, 16)
    among = verdicts({"x": cell(13, 14, 16), "y": cell(-1, 0, 2), "z": cell(0, 3, -2)}, BASE)["x"]
    assert among.low < alone.low < alone.high < among.high


def test_where_low_is_better_a_lower_figure_is_better():
    assert one(-13, -14, -15, better="low").kind == "better"


@pytest.mark.parametrize("differences", [(), (3.0,), (2.0, 2.0, 2.0)])
def test_nothing_to_judge_by_is_no_verdict(differences):
    values = dict(enumerate(differences))
    verdict = verdicts({"x": values}, dict.fromkeys(range(3), 0.0))["x"]
    assert verdict.kind == "none"
    assert verdict.low is None
    assert verdict.seeds == len(differences)


def test_only_common_seeds_are_paired():
    verdict = verdicts({"x": {0: 55.7, 1: 57.2, 9: 500.0}}, BASE)["x"]
    assert (verdict.seeds, verdict.mean) == (2, pytest.approx(1.5))


def test_two_seeds_need_a_far_larger_difference_than_three():
    assert one(10, 11).kind == "better"  # 10.5 ± 12.7 · 0.5
    assert one(10, 12).kind == "undecided"  # 11 ± 12.7
    assert one(10, 12, 11).kind == "better"


@given(st.floats(0.01, 20), st.floats(0.1, 5), st.floats(0.001, 0.2), st.integers(0, 20))
def test_the_seeds_that_would_settle_it_are_the_fewest_whose_interval_is_delta_wide(
    spread, delta, alpha, seeds
):
    def half_width(n):
        return stats.t.ppf(1 - alpha / 2, n - 1) * spread / math.sqrt(n)

    more = seeds_to_settle(spread, delta, alpha, seeds)
    if more is None:
        assert half_width(1000) > delta / 2
        return
    assert more >= 1
    assert half_width(seeds + more) <= delta / 2 * (1 + 1e-9)
    if more > 1 and seeds + more > 2:
        assert half_width(seeds + more - 1) > delta / 2 * (1 - 1e-9)


@given(st.floats(-30, 30), st.floats(0.05, 10))
def test_an_undecided_cell_always_asks_for_more_seeds(mean, spread):
    verdict = one(mean - spread, mean, mean + spread)
    if verdict.kind == "undecided":
        assert verdict.more is None or verdict.more >= 1
    else:
        assert verdict.more is None


def test_sentences_of_each_verdict():
    def sentence(*differences, **options):
        return verdict_sentence("STQI", one(*differences), **options)

    assert sentence(15.2, 10.8, 15.2) == "STQI adds 13.7 AP [7.4, 20.0] over 3 seeds"
    assert sentence(-2.0, -2.1, -1.9) == "STQI costs 2.0 AP [1.8, 2.2] over 3 seeds"
    assert sentence(-2.0, -2.1, -1.9, unit="ms", better="low").startswith("STQI saves 2.0 ms [1.8")
    assert sentence(0.1, 0.0, -0.1) == (
        "STQI is no different within 1 AP: 0.0 AP [−0.2, 0.2] over 3 seeds"
    )
    assert sentence(0.5, -0.5, 0.2) == (
        "STQI is undecided: +0.1 AP [−1.2, 1.3] over 3 seeds, 4 more would settle 1 AP"
    )
    assert sentence(90.0, -90.0).endswith(", more than 1,000 would settle 1 AP")
    assert sentence(3.0) == (
        "STQI has no verdict: +3.0 AP over 1 seed, and a single seed shows no spread"
    )
    assert sentence() == "STQI has no verdict: it has no seed in common with the baseline"


def test_without_any_effect_few_tables_have_a_false_difference():
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(1000):
        base, *others = rng.standard_normal((5, 4))
        cells = {str(k): dict(enumerate(values)) for k, values in enumerate(others)}
        found = verdicts(cells, dict(enumerate(base)), delta=0.01)
        false += any(v.kind in ("better", "worse") for v in found.values())
    assert false / 1000 <= 0.05


def test_a_difference_of_delta_is_seldom_called_none():
    rng = np.random.default_rng(1)
    cells = 2 + rng.standard_normal((1000, 3))
    found = [
        verdicts({"x": dict(enumerate(row))}, dict.fromkeys(range(3), 0.0), delta=2.0)["x"]
        for row in cells
    ]
    assert sum(v.kind == "no different" for v in found) / 1000 <= 0.025
