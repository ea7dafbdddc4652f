"""Recorded outputs of small models: a change of the numbers cannot pass unseen."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.core.model.golden_cases import CASES, FILE, outputs

pytestmark = pytest.mark.versions

RECORDED = json.loads(FILE.read_text())


def test_every_case_is_recorded():
    assert set(RECORDED) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_those_recorded(case: str):
    now, then = outputs(case), RECORDED[case]
    for part in ("scores", "boxes", "mask_logits", "losses"):
        scale = np.abs(then[part]).max()
        np.testing.assert_allclose(
            now[part], then[part], rtol=1e-4, atol=1e-4 * scale, err_msg=part
        )
    np.testing.assert_allclose(now["gradient_norms"], then["gradient_norms"], rtol=1e-3)


def test_the_cases_differ():
    scores = [tuple(RECORDED[case]["scores"]) for case in CASES]
    assert len(set(scores)) == len(CASES)
