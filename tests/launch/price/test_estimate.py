"""The rule that prices come of: like values, scaled ones, and how wide a range is."""

from __future__ import annotations

import math
import random

import pytest

from launch.price.estimate import UNTRIED, Point, Range, Rule


def power_law(works, exponent, family="a"):
    return [Point(f"{family}{w}", family, w, 3 * w**exponent) for w in works]


def test_the_same_kind_of_cell_counts_before_any_other():
    known = [Point("a", "f", 1.0, v) for v in (1.0, 2.0, 9.0)] + [Point("b", "f", 1.0, 50.0)]
    found, kind = Rule(known).predict(Point("a", "f", 1.0))
    assert (found.mid, kind) == (2.0, "same")


@pytest.mark.parametrize("exponent", [0.3, 0.6, 1.0])
def test_work_is_followed_as_the_known_values_follow_it(exponent):
    found, kind = Rule(power_law([1, 2, 4, 8], exponent)).predict(Point("new", "a", 32.0))
    assert found.mid == pytest.approx(3 * 32**exponent)
    assert kind == "scaled"


def test_one_known_value_bounds_another_between_no_change_and_proportion():
    (found, _) = Rule([Point("a", "f", 1.0, 2.0)]).predict(Point("b", "f", 10.0))
    assert (found.low, found.mid) == (2.0, pytest.approx(20))
    assert found.high == pytest.approx(20 * UNTRIED["scaled"])


@pytest.mark.parametrize(
    ("then", "now", "least", "most"),
    [
        (3.0, 0.2, 1 / 3, 1.0),  # as on a machine of its own, up to the load that it met
        (0.5, 4.0, 1.0, 4.0),  # down to what it took alone, up to a quarter of a core
        (2.0, 3.0, 1 / 2, 3 / 2),
        (2.0, None, 1 / 2, 1.0),  # elsewhere nothing tells the load that there is
        (0.5, 0.9, 1.0, 1.0),  # a core for each process, then and now
        (None, 4.0, 1.0, 1.0),
    ],
)
@pytest.mark.parametrize("kind", ["same", "scaled"])
def test_few_values_allow_for_another_load(kind, then, now, least, most):
    rule = Rule([Point("a", "f", 1.0, 6.0, busy=then)])
    (found, how) = rule.predict(Point("a" if kind == "same" else "b", "f", 1.0, busy=now))
    factor = UNTRIED[kind]
    assert how == kind and found.mid == 6.0, "what is expected supposes the load that it met"
    assert found.low == pytest.approx(6.0 / factor * least)
    assert found.high == pytest.approx(6.0 * factor * most)


def test_of_several_loads_the_range_holds_the_least_and_the_greatest():
    known = [Point("a", "f", 1.0, 6.0, busy=busy) for busy in (1.5, 3.0)]
    (found, _) = Rule([*known, Point("b", "f", 9.0, 6.0, busy=50.0)]).predict(
        Point("a", "f", 1.0, busy=6.0)
    )
    factor = UNTRIED["same"]
    assert (found.low, found.high) == pytest.approx((6 / factor / 3, 6 * factor * 6 / 1.5))


def test_enough_misses_tell_how_loads_vary_by_themselves():
    known = [Point("a", "f", 1.0, 6.0 + 0.1 * k, busy=3.0) for k in range(6)]
    quiet, busy = (Rule(known).predict(Point("a", "f", 1.0, busy=b)) for b in (0.1, 9.0))
    assert quiet == busy
    missed = Rule([Point("a", "f", 1.0, v, busy=2.0) for v in (1.0, 16.0)])
    (found, _) = missed.predict(Point("a", "f", 1.0, busy=4.0))
    assert (found.low, found.high) == (found.mid / 16, found.mid * 16), "misses tell more"
    fewer = known[:4]
    assert Rule(fewer).predict(Point("a", "f", 1.0, busy=9.0))[0].high > 2 * busy[0].high


def test_cells_of_the_same_backbone_are_nearer():
    known = [Point(f"o{k}", "other", 10.0, 99.0) for k in range(3)] + power_law([5, 6, 7], 1.0)
    assert Rule(known)._near(Point("n", "a", 10.0), known) == known[:-4:-1]


def test_a_range_is_as_wide_as_the_rule_misses_what_is_known():
    draw = random.Random(0)
    noise = [math.exp(draw.gauss(0, 0.2)) for _ in range(200)]
    rule = Rule([Point("a", "f", 1.0, value) for value in noise])
    found, _ = rule.predict(Point("a", "f", 1.0))
    inside = sum(found.low <= value <= found.high for value in noise)
    assert 0.85 <= inside / len(noise) <= 0.95


def test_nothing_is_told_of_nothing():
    assert Rule([]).predict(Point("a", "f", 1.0)) is None
    assert Rule([Point("b", "f", 1.0, 0.0)]).predict(Point("a", "f", 1.0)) is None
    known = [Point("b", "f", None, 1.0), Point("c", "f", 2.0, 1.0)]
    assert Rule(known).predict(Point("a", "f", None)) is None


def test_ranges_add_up():
    assert Range(1, 2, 3) + Range(1, 1, 1).times(2) == Range(3, 4, 5)
