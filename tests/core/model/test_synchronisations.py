"""How often a step asks for values, for which the host would wait for a GPU."""

from __future__ import annotations

from collections import Counter

import torch
from torch.profiler import ProfilerActivity, profile

from core import build_model, preset
from tests.core.model.golden_cases import SIZE, clip_targets

ASKING = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal")


def asked(call) -> Counter[str]:
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        call()
    return Counter(e.name for e in recorded.events() if e.name in ASKING)


def test_the_model_asks_for_no_value():
    model = build_model(preset("tiny", {"messenger.tokens": 4})).train()
    frames = torch.randn(2, 3, 3, *SIZE)
    assert not asked(lambda: model.stages(frames, [SIZE, SIZE]))
    with torch.no_grad():
        assert not asked(lambda: model.eval().detect(frames))
    assert asked(lambda: frames.sum().item())


def test_matching_and_losses_look_once_at_what_is_on_the_host():
    """``nonzero`` of the matched places, which are there already once the costs came over."""
    model = build_model(preset("tiny", {"messenger.tokens": 4})).train()
    frames = torch.randn(2, 3, 3, *SIZE)
    found = asked(lambda: sum(v for k, v in model(frames, clip_targets()).items() if "loss" in k))
    assert found == {"aten::nonzero": 1}
