from functools import cache

import numpy as np
import pytest
from scipy import stats

from ablations.analysis.limits import Limits
from ablations.analysis.sequential import nominal_levels, rounds

LIMITS = Limits(first=3, most=10, until=0.5, level=0.95)
GRIDS = 2000


@cache
def simulated(effect, cells=3):
    """Rounds of many grids whose cells' paired differences have the spread 1."""
    rng = np.random.default_rng(7)
    # cells of a grid share the baseline's runs: half of a difference's variance is common
    own, shared = rng.standard_normal((2, GRIDS, cells, LIMITS.most)) * np.sqrt(0.5)
    differences = effect + own + shared[:, :1]
    return [
        rounds({f"cell {k}": row.tolist() for k, row in enumerate(grid)}, LIMITS)
        for grid in differences
    ]


def kinds(found):
    return [verdict.kind for verdict in found.verdicts.values()]


def test_without_any_effect_at_most_five_percent_of_grids_decide_for_one():
    false = sum(any(kind in ("better", "worse") for kind in kinds(g)) for g in simulated(0.0))
    assert 0.015 <= false / GRIDS <= 0.05


def test_cells_with_effects_do_not_make_those_without_decide_more_often():
    rng = np.random.default_rng(14)
    differences = np.array([[0.0], [3.0], [3.0]]) + rng.standard_normal((GRIDS, 3, LIMITS.most))
    found = [rounds(dict(zip("abc", grid.tolist(), strict=True)), LIMITS) for grid in differences]
    assert np.mean([kinds(g)[0] in ("better", "worse") for g in found]) <= 0.05


def test_a_single_cell_uses_the_level_up_over_all_looks():
    rng = np.random.default_rng(8)
    grids = [
        rounds({"x": row.tolist()}, Limits(first=3, most=10, until=1e-6))
        for row in rng.standard_normal((4000, 10))
    ]
    false = sum(kinds(g)[0] in ("better", "worse") for g in grids)
    assert false / 4000 == pytest.approx(0.05, abs=0.01)


def test_uncorrected_looks_would_not_hold_the_level():
    rng = np.random.default_rng(8)
    values = rng.standard_normal((4000, 10))
    p = [stats.ttest_1samp(values[:, :n], 0.0, axis=1).pvalue for n in range(3, 11)]
    assert (np.min(p, axis=0) < 0.05).mean() > 0.10


def test_an_effect_of_twice_the_spread_gets_the_right_verdict_in_over_90_percent():
    found = simulated(2.0)
    assert np.mean([kinds(g) == ["better"] * 3 for g in found]) > 0.9
    assert np.mean([kinds(g)[0] == "better" for g in found]) > 0.9
    assert not any("worse" in kinds(g) for g in found)


def test_the_other_sign_is_the_mirror_image():
    rng = np.random.default_rng(9)
    for row in 1.5 + rng.standard_normal((50, 10)):
        above, below = rounds({"x": row.tolist()}, LIMITS), rounds({"x": (-row).tolist()}, LIMITS)
        swap = {"better": "worse", "worse": "better"}
        assert [swap.get(kind, kind) for kind in kinds(above)] == kinds(below)
        assert kinds(rounds({"x": (-row).tolist()}, LIMITS, "low")) == kinds(above)


def test_intervals_at_the_look_where_a_cell_stops_cover_the_truth():
    for effect in (0.0, 0.5, 2.0):
        verdicts = [g.verdicts["cell 0"] for g in simulated(effect)]
        assert np.mean([v.low <= effect <= v.high for v in verdicts]) >= 0.95


def test_a_difference_of_delta_is_seldom_called_none():
    found = simulated(0.5)
    assert np.mean(["no different" in kinds(g) for g in found]) <= 0.05


def test_small_spreads_are_settled_as_no_different():
    rng = np.random.default_rng(10)
    found = [rounds({"x": row.tolist()}, LIMITS) for row in 0.1 * rng.standard_normal((200, 10))]
    assert np.mean([kinds(g) == ["no different"] for g in found]) > 0.9


def test_only_undecided_cells_get_further_seeds():
    found = rounds({"stqi": [15.0, 15.1, 14.9], "messengers": [-2.0, 0.9, 1.3]}, LIMITS)
    assert found.verdicts["stqi"].kind == "better"
    assert (found.further, found.seeds, found.look) == (("messengers",), 4, 1)


def test_the_next_look_goes_on_from_what_was_decided():
    grown = {"stqi": [15.0, 15.1, 14.9], "messengers": [-2.0, 0.9, 1.3, -0.5]}
    found = rounds(grown, LIMITS)
    assert (found.look, found.further, found.seeds) == (2, ("messengers",), 5)
    assert found.verdicts["stqi"].seeds == 3


def test_seeds_beyond_the_deciding_look_change_nothing():
    few, many = [15.0, 15.1, 14.9], [15.0, 15.1, 14.9, -80.0, 90.0]
    assert rounds({"x": few}, LIMITS) == rounds({"x": many}, LIMITS)


def test_the_limit_ends_it_undecided():
    rng = np.random.default_rng(11)
    found = rounds({"x": rng.standard_normal(10).tolist()}, Limits(first=3, most=10, until=0.01))
    assert found.verdicts["x"].kind == "undecided"
    assert (found.further, found.look) == ((), 8)


def test_a_stuck_cell_holds_no_other_up_and_counts_in_the_correction():
    rng = np.random.default_rng(13)
    row = (0.8 + rng.standard_normal(10)).tolist()
    cells = {"x": row, "fails": [3.0, 4.0]}
    assert rounds(cells, LIMITS).look == 0
    found = rounds(cells, LIMITS, stuck=["fails"])
    assert found.look > 0
    assert "fails" not in found.further
    assert found.verdicts["fails"].kind == "none"
    alone = rounds({"x": row[:3]}, LIMITS).verdicts["x"]
    beside = rounds({"x": row[:3], "fails": []}, LIMITS, stuck=["fails"]).verdicts["x"]
    assert beside.low < alone.low


def test_before_its_first_look_a_cell_has_no_verdict():
    found = rounds({"x": [1.0, 2.0], "y": []}, LIMITS)
    assert kinds(found) == ["none", "none"]
    assert (found.further, found.seeds, found.look) == (("x", "y"), 3, 0)


def test_a_decided_cell_leaves_its_share_of_the_level_to_the_others():
    rng = np.random.default_rng(12)
    other = rng.standard_normal(3).tolist()
    beside = rounds({"x": other, "sure": [15.0, 15.1, 14.9]}, Limits(first=3, most=10, until=1e-6))
    alone = rounds({"x": other, "open": [-9.0, 1.0, 9.0]}, Limits(first=3, most=10, until=1e-6))
    # the interval shown is the stricter one of both families until the other is settled, too
    assert beside.verdicts["x"].low >= alone.verdicts["x"].low
    p = stats.ttest_1samp(row := [4.0, 4.9, 5.3, 4.4], 0.0).pvalue
    limits = Limits(first=4, most=4, until=1e-6)
    assert rounds({"x": row, "sure": [15.0, 15.1, 14.9, 15.0]}, limits).verdicts["x"].final == (
        p < 0.05
    )


def test_one_look_is_the_plain_t_test():
    assert nominal_levels((5,), 0.05) == (pytest.approx(0.05),)


def test_the_first_bound_is_what_the_spending_function_allows():
    spent = 0.05 * np.log(1 + (np.e - 1) * 0.3)
    assert nominal_levels((3, 10), 0.05)[0] == pytest.approx(spent)


def test_with_many_seeds_the_bounds_are_those_of_the_normal_distribution():
    first, second = (stats.norm.isf(level / 2) for level in nominal_levels((60, 120), 0.05))
    assert (first, second) == pytest.approx((2.157, 2.201), abs=0.02)
    # both inside, of two looks at half and all of the information
    normal = stats.multivariate_normal(cov=[[1, 0.5**0.5], [0.5**0.5, 1]])
    inside = normal.cdf([first, second], lower_limit=[-first, -second])
    assert 1 - inside == pytest.approx(0.05, abs=0.002)


def test_the_note_says_how_the_looks_are_accounted_for():
    note = rounds({"x": [1.0, 2.0, 4.0]}, LIMITS).note
    assert "3 to at most 10 (look 1 of at most 8)" in note
    assert "95% for all looks together" in note
    assert "Lan and DeMets" in note
