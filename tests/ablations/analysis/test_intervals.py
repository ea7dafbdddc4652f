import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablations.analysis.intervals import Estimate, bonferroni, decide, estimate_of

differences = st.lists(
    st.integers(-3000, 3000).map(lambda x: x / 100), min_size=2, max_size=8, unique=True
)


@given(differences, st.floats(0.001, 0.5))
def test_the_interval_is_students_over_the_pairs(values, alpha):
    low, high = stats.t.interval(1 - alpha, len(values) - 1, np.mean(values), stats.sem(values))
    assert estimate_of(values).interval(alpha) == pytest.approx((low, high))


@given(differences)
def test_the_p_value_is_that_of_the_paired_t_test(values):
    p = stats.ttest_1samp(values, 0.0).pvalue
    assert estimate_of(values).p_zero() == pytest.approx(p, abs=1e-12)


@given(differences, st.floats(0.1, 20))
def test_within_delta_is_two_one_sided_tests_each_at_half_the_level(values, delta):
    above = stats.ttest_1samp(values, -delta, alternative="greater").pvalue
    below = stats.ttest_1samp(values, delta, alternative="less").pvalue
    expected = min(2 * max(above, below), 1.0)
    assert estimate_of(values).p_within(delta) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("values", [[], [3.0], [2.0, 2.0, 2.0], [0.1 + 0.2, 0.3, 0.3]])
def test_one_seed_and_seeds_without_spread_are_no_estimate(values):
    assert estimate_of(values) is None


@settings(max_examples=40)
@given(st.lists(differences, min_size=1, max_size=7))
def test_differences_are_those_that_holm_rejects(cells):
    estimates = [estimate_of(values) for values in cells]
    decided = decide(estimates, 0.01, bonferroni(0.05))
    rejected = multipletests([e.p_zero() for e in estimates], 0.05, "holm")[0]
    assert [d.decision in ("higher", "lower") for d in decided] == rejected.tolist()


@given(st.lists(differences, min_size=1, max_size=6), st.floats(0.1, 40))
def test_what_is_said_and_the_interval_shown_agree(cells, delta):
    for decided in decide([estimate_of(values) for values in cells], delta, bonferroni(0.05)):
        apart = decided.low > 0 or decided.high < 0
        inside = -delta < decided.low and decided.high < delta
        assert (decided.decision in ("higher", "lower")) == apart or decided.decision == "within"
        if decided.decision == "within":
            assert inside
        if decided.decision == "undecided":
            assert not inside


def test_cells_without_an_estimate_count_in_the_correction():
    lone = decide([Estimate(5.0, 1.0, 10)], 1.0, bonferroni(0.05))[0]
    among = decide([Estimate(5.0, 1.0, 10), None, None], 1.0, bonferroni(0.05))[0]
    assert (lone.alpha, among.alpha) == (0.05, pytest.approx(0.05 / 3))


def test_claims_made_before_leave_their_share_to_the_others():
    one = Estimate(5.0, 1.0, 10)
    decided = decide([one, one], 1.0, bonferroni(0.06), open_differences=3, open_equivalences=4)
    assert [d.alpha for d in decided] == pytest.approx([0.02, 0.03])
