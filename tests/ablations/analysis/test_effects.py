from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st

from ablations.analysis.effects import Run, additivity, effect_sentence, effects
from core.errors import UserError

# AP of four cells fine-tuned on videos whose classes blink; three seeds
STORED = {
    ("per_frame", "off"): [54.7, 55.2, 54.3],
    ("stqi", "off"): [69.9, 61.0, 71.0],
    ("per_frame", "on"): [52.8, 56.1, 55.6],
    ("stqi", "on"): [68.4, 71.8, 69.0],
}


def stored():
    return [
        Run({"head": head, "messengers": messengers}, seed, value)
        for (head, messengers), values in STORED.items()
        for seed, value in enumerate(values)
    ]


def two_level(rows, value, seeds=3, noise=0.0):
    """Runs of rows of signs; factors a, b, c, ... with levels - and +."""
    rng = np.random.default_rng(0)
    return [
        Run(
            {name: "-+"[sign > 0] for name, sign in zip("abcdefg", row, strict=False)},
            seed,
            value(*row) + seed + noise * rng.standard_normal(),
        )
        for row in rows
        for seed in range(seeds)
    ]


def signs(runs, **options):
    """Effects of + against -."""
    return by_name(effects(runs, references=dict.fromkeys(runs[0].settings, "-"), **options))


def by_name(found):
    return {effect.name: effect for effect in found}


def test_effects_are_those_of_statsmodels_ols_with_seeds_as_blocks():
    data = pd.DataFrame([{**run.settings, "seed": run.seed, "ap": run.value} for run in stored()])
    for factor, high in (("head", "stqi"), ("messengers", "on")):
        data[factor[0]] = np.where(data[factor] == high, 0.5, -0.5)
    fit = smf.ols("ap ~ h * m + C(seed)", data).fit()
    found = effects(stored())
    for effect, column in zip(found, ["h", "m", "h:m"], strict=True):
        assert effect.mean == pytest.approx(fit.params[column])
        assert effect.interval == pytest.approx(tuple(fit.conf_int().loc[column]))
        assert effect.p == pytest.approx(fit.pvalues[column])


def test_a_run_that_is_missing_leaves_the_effects_those_of_ols():
    runs = stored()[:-1]
    data = pd.DataFrame([{**run.settings, "seed": run.seed, "ap": run.value} for run in runs])
    data["h"] = np.where(data["head"] == "stqi", 0.5, -0.5)
    data["m"] = np.where(data["messengers"] == "on", 0.5, -0.5)
    fit = smf.ols("ap ~ h * m + C(seed)", data).fit()
    for effect, column in zip(effects(runs), ["h", "m", "h:m"], strict=True):
        assert effect.mean == pytest.approx(fit.params[column])
        assert effect.interval == pytest.approx(tuple(fit.conf_int().loc[column]))


def test_effects_of_two_factors_are_the_closed_form_of_the_cells_means():
    neither, stqi, messengers, both = (np.mean(values) for values in STORED.values())
    found = by_name(effects(stored()))
    assert found["head=stqi"].mean == pytest.approx((stqi + both - neither - messengers) / 2)
    assert found["messengers=on"].mean == pytest.approx((messengers + both - neither - stqi) / 2)
    together = found["head=stqi × messengers=on"].mean
    assert together == pytest.approx((both - neither) - (stqi - neither) - (messengers - neither))
    # mean ± t(0.975, 6) sqrt(residual variance / 3), of four cells in three blocks
    table = np.array(list(STORED.values()))
    residual = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    margin = 2.446912 * np.sqrt((residual**2).sum() / 6 / 3)
    low, high = found["head=stqi"].interval
    assert (high - low) / 2 == pytest.approx(margin, rel=1e-6)


@given(
    st.lists(st.floats(-50, 50), min_size=6, max_size=6),
    st.lists(st.floats(-50, 50), min_size=3, max_size=3),
)
def test_what_all_cells_of_a_seed_share_changes_no_effect(cells, shifts):
    keys = list(product("xyz", "uv"))
    noise = np.random.default_rng(1).standard_normal((6, 3))
    plain, shifted = (
        [
            Run({"f": f, "g": g}, s, cells[i] + noise[i, s] + on * shifts[s])
            for i, (f, g) in enumerate(keys)
            for s in range(3)
        ]
        for on in (0, 1)
    )
    for a, b in zip(effects(plain), effects(shifted), strict=True):
        assert a.mean == pytest.approx(b.mean, abs=1e-6)
        assert a.interval == pytest.approx(b.interval, abs=1e-6)


def test_each_level_is_compared_with_the_reference_level():
    values = {"tiny": 10.0, "r50": 20.0, "x": 35.0}
    runs = [
        Run({"backbone": name, "head": head, "fixed": "1"}, s, v + 3 * (head == "b") + s)
        for name, v in values.items()
        for head in "ab"
        for s in range(2)
    ]
    found = by_name(effects(runs, references={"backbone": "r50"}))
    means = {name: round(effect.mean, 6) for name, effect in found.items()}
    assert means["backbone=tiny"] == -10
    assert means["backbone=x"] == 15
    assert means["head=b"] == 3
    assert means["backbone=tiny × head=b"] == 0
    assert not any("fixed" in name for name in found)


def test_a_half_fraction_names_what_it_cannot_tell_apart():
    rows = [(a, b, a * b) for a, b in product((-1, 1), repeat=2)]  # c = ab, resolution III
    found = signs(two_level(rows, lambda a, b, c: 2 * a + b - c, noise=0.1))
    assert list(found) == ["a=+", "b=+", "c=+"]
    assert found["a=+"].aliases == ("b × c",)
    assert found["c=+"].aliases == ("a × b",)
    assert found["a=+"].mean == pytest.approx(4, abs=0.3)


def test_the_other_half_is_aliased_with_the_sign_turned():
    rows = [(a, b, -a * b) for a, b in product((-1, 1), repeat=2)]
    found = signs(two_level(rows, lambda a, b, c: a))
    assert found["a=+"].aliases == ("−b × c",)


def test_resolution_four_keeps_main_effects_apart_from_interactions_of_two():
    rows = [(a, b, c, a * b * c) for a, b, c in product((-1, 1), repeat=3)]
    found = signs(two_level(rows, lambda a, b, c, d: a + 3 * b * c, noise=0.1))
    assert found["a=+"].aliases == ("b × c × d",)
    assert found["a=+ × d=+"].aliases == ("b × c",)
    assert found["a=+ × d=+"].mean == pytest.approx(12, abs=0.5)
    assert "b=+ × c=+" not in found


def test_a_crossed_design_has_no_aliases_and_all_orders_on_request():
    rows = list(product((-1, 1), repeat=3))
    runs = two_level(rows, lambda a, b, c: a * b * c, noise=0.1)
    assert not any(effect.aliases for effect in effects(runs))
    assert signs(runs, order=3)["a=+ × b=+ × c=+"].mean == pytest.approx(8, abs=1)


def test_a_missing_cell_aliases_the_interaction_and_does_not_stop_the_rest():
    runs = [run for run in stored() if set(run.settings.values()) != {"stqi", "on"}]
    found = effects(runs)
    assert [effect.name for effect in found] == ["head=stqi", "messengers=on"]
    assert found[0].aliases == ("−head × messengers",)
    assert "cannot be said" in additivity(found)


def test_one_seed_gives_estimates_and_no_interval():
    found = effects([run for run in stored() if run.seed == 0])
    assert found[0].mean == pytest.approx(15.4)
    assert found[0].interval is None
    assert found[0].decision == "undecided"
    assert "a single seed shows no spread" in additivity(found)
    assert effect_sentence(found[0]).endswith("without spread to judge by")


def test_the_sentence_says_what_is_added_with_the_corrected_interval():
    found = by_name(effects(stored()))
    sentence = effect_sentence(found["head=stqi"], "STQI")
    assert sentence == "STQI adds 13.7 AP [7.3, 20.2] over 3 seeds"
    said = effect_sentence(found["messengers=on"])
    assert said.startswith("messengers=on is undecided: +1.3 AP")
    assert said.endswith(" over 3 seeds, 495 more would settle 1 AP")


def test_a_loss_is_said_with_the_interval_of_its_size():
    turned = [Run(run.settings, run.seed, -run.value) for run in stored()]
    assert effect_sentence(effects(turned)[0], "STQI") == (
        "STQI costs 13.7 AP [7.3, 20.2] over 3 seeds"
    )


def scene(interaction, spread, seeds=5):
    rng = np.random.default_rng(3)
    return [
        Run({"a": "ny"[a], "b": "ny"[b]}, s, 50 + 14 * a + 12 * b + interaction * a * b + noise)
        for a, b in product((0, 1), repeat=2)
        for s, noise in enumerate(spread * rng.standard_normal(seeds))
    ]


def test_gains_that_overlap_do_not_add_up():
    sentence = additivity(effects(scene(-15, 0.5)))
    assert sentence.startswith("The gains do not add up: a=y and b=y together give 1")
    assert sentence.endswith("less than the sum of their gains.")


def test_gains_without_interaction_add_up_within_delta():
    assert additivity(effects(scene(0, 0.1))) == "The gains add up within 1 AP."


def test_a_wide_interval_leaves_it_undecided_whether_gains_add_up():
    assert "is undecided: a=y × b=y" in additivity(effects(scene(0, 5)))


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "there are none"),
        ([Run({"a": "x"}, 0, 1.0), Run({"b": "x"}, 0, 1.0)], "does not have the factors a"),
        ([Run({"a": "x"}, 0, 1.0), Run({"a": "y"}, 0, 2.0)] * 2, "two runs have the settings x"),
        ([Run({"a": "x"}, 0, 1.0), Run({"a": "y"}, 1, 1.0)], "these have none in common"),
    ],
)
def test_runs_that_allow_no_effects_are_one_clear_error(runs, message):
    with pytest.raises(UserError, match=message):
        effects(runs)


def test_an_unknown_reference_lists_the_levels():
    with pytest.raises(UserError, match="head=detr; its levels are per_frame, stqi"):
        effects(stored(), references={"head": "detr"})


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        runs = [
            Run({"a": a, "b": b}, s, 3.0 * (a == "y") + shift + rng.standard_normal())
            for s, shift in enumerate(10 * rng.standard_normal(3))
            for a, b in product("xy", "uv")
        ]
        low, high = effects(runs)[0].interval
        covered += low <= 3.0 <= high
    assert 0.925 <= covered / 400 <= 0.975
