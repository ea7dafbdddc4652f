"""Designs: the combinations of each, and what a fraction cannot tell apart."""

from __future__ import annotations

import itertools
import math

import pytest

from ablations.designs import around, crossed, fractional, path


def test_crossed_has_every_combination_the_last_factor_fastest() -> None:
    assert crossed([2, 3]) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert crossed([]) == [()]


def test_around_has_the_base_and_what_differs_in_one_factor() -> None:
    assert around([2, 3], (0, 1)) == [(0, 0), (0, 1), (0, 2), (1, 1)]
    assert around([2, 2, 2], (1, 1, 1)) == [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 1)]


def test_a_path_changes_one_more_factor_in_each_row() -> None:
    assert path([2, 2, 2], (0, 0, 0)) == [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)]
    assert path([2, 3], (0, 1)) == [(0, 1), (1, 1), (1, 0), (1, 2)]


# runs, word lengths: Box, Hunter and Hunter, Statistics for Experimenters, table of fractions;
# Fries and Hunter for the one of minimum aberration
KNOWN = [
    (3, 3, 4, [3]),
    (4, 4, 8, [4]),
    (5, 5, 16, [5]),
    (5, 3, 8, [3, 3, 4]),
    (6, 4, 16, [4, 4, 4]),
    (7, 3, 8, [3] * 7 + [4] * 7 + [7]),
    (7, 4, 16, [4] * 7),
    (8, 4, 16, [4] * 14 + [8]),
    (8, 5, 64, [5, 5, 6]),
]


@pytest.mark.parametrize(("factors", "resolution", "runs", "lengths"), KNOWN)
def test_fractions_are_the_known_ones(
    factors: int, resolution: int, runs: int, lengths: list[int]
) -> None:
    found = fractional(factors, resolution)
    assert len(found.rows) == runs == len(set(found.rows))
    assert sorted(word.bit_count() for word in found.words) == lengths


@pytest.mark.parametrize(("factors", "resolution"), [(4, 5), (2, 3), (1, 3)])
def test_where_no_fraction_has_the_resolution_all_is_run(factors: int, resolution: int) -> None:
    found = fractional(factors, resolution)
    assert sorted(found.rows) == crossed([2] * factors)
    assert not found.words and found.aliases() == []


@pytest.mark.parametrize("factors", [5, 6, 7, 11])
@pytest.mark.parametrize("resolution", [3, 4])
def test_aliased_effects_are_equal_columns_and_all_others_are_orthogonal(
    factors: int, resolution: int
) -> None:
    """By brute force over the rows, whatever the defining relation says."""
    found = fractional(factors, resolution)
    effects = [e for n in (1, 2) for e in itertools.combinations(range(factors), n)]
    columns = {e: [math.prod(2 * row[f] - 1 for f in e) for row in found.rows] for e in effects}
    together = {frozenset(pair) for g in found.aliases() for pair in itertools.combinations(g, 2)}
    for pair in itertools.combinations(effects, 2):
        product = sum(a * b for a, b in zip(columns[pair[0]], columns[pair[1]], strict=True))
        assert product == (len(found.rows) if frozenset(pair) in together else 0)
    assert all(sum(column) == 0 for column in columns.values()), "each level equally often"
