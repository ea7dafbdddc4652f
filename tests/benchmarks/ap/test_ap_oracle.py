"""AP against recorded figures: the reference evaluator's, and a small case of our own."""

import copy
import json
from pathlib import Path

import pytest

from tests.benchmarks.ap.ap_cases import (
    SUMMARY,
    evaluate,
    none_if_absent,
    random_case,
    reference_scores,
    same,
    summary,
)
from tests.conftest import SHARED, need

OWN = Path(__file__).parent / "golden" / "ap.json"
"""``random_case(2024, videos=6, ties=True)`` and its scores by pycocotools on pixels."""


def expected_of(values):
    return {name: None if v is None else none_if_absent(v) for name, v in values.items()}


@pytest.fixture(scope="module")
def davis():
    folder = need(SHARED / "ap_oracle" / "davis16")
    names = ("gt.json", "pred.json", "expected.json")
    return [json.loads((folder / name).read_text()) for name in names]


@pytest.mark.shared
@pytest.mark.golden
@pytest.mark.parametrize("case", ["small", "mixed_sizes", "score_ties"])
def test_synthetic_cases_equal_the_reference_evaluator(case):
    folder = need(SHARED / "ap_oracle" / "synthetic")
    expected = json.loads((folder / "expected.json").read_text())[case]
    scored = evaluate(folder / f"{case}_gt.json", folder / f"{case}_results.json")
    per_class = expected_of(dict(enumerate(expected.pop("per_category_AP"))))
    assert same(summary(scored.figures), expected_of(expected))
    assert same(dict(enumerate(scored.per_class.values())), per_class)


@pytest.mark.shared
@pytest.mark.golden
def test_real_tracks_equal_the_reference_evaluator(davis):
    ground_truth, results, expected = davis
    figures = dict(zip(SUMMARY, expected["with_categories"].values(), strict=True))
    scored = evaluate(ground_truth, results)
    assert same(summary(scored.figures), expected_of(figures))
    assert same(scored.per_class, expected["per_category_AP"])


@pytest.mark.shared
@pytest.mark.golden
def test_real_tracks_without_categories_equal_the_reference_evaluator(davis):
    ground_truth, results, expected = copy.deepcopy(davis)
    for entry in [*ground_truth["annotations"], *results]:
        entry["category_id"] = 1
    figures = dict(zip(SUMMARY, expected["all_category_ids_set_to_1"].values(), strict=True))
    assert same(summary(evaluate(ground_truth, results).figures), expected_of(figures))


@pytest.mark.shared
@pytest.mark.golden
def test_real_annotations_as_predictions_equal_the_reference_evaluator(davis):
    ground_truth, _, expected = davis
    results = [{**annotation, "score": 1.0} for annotation in ground_truth["annotations"]]
    scored = evaluate(ground_truth, results)
    assert scored.figures["AP"] == pytest.approx(expected["gt_as_prediction_AP"], abs=1e-9)


def test_own_case_equals_what_was_recorded():
    recorded = json.loads(OWN.read_text())
    scored = evaluate(recorded["ground_truth"], recorded["results"])
    assert same(summary(scored.figures), recorded["figures"])
    assert same(scored.per_class, recorded["per_class"])
    assert 0.1 < scored.figures["AP"] < 0.9


def record_own_case():
    """Write the recorded case anew; only when its inputs are to change."""
    ground_truth, results = random_case(2024, videos=6, ties=True)
    figures, per_class = reference_scores(ground_truth, results)
    content = {
        "ground_truth": ground_truth,
        "results": results,
        "figures": figures,
        "per_class": {f"class {k}": v for k, v in per_class.items()},
    }
    OWN.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    record_own_case()
