"""Backbones take a few frames at a time in inference, and nothing that they compute changes."""

from __future__ import annotations

import pytest
import torch

from core.config.presets import preset
from core.model.backbones import BLOCKS, build_backbone
from core.model.operators import frames as few


@pytest.mark.parametrize(("name", "tokens"), [("pvt_v2_b0", 0), ("pvt_v2_b0", 2), ("swin_t", 0)])
def test_a_few_frames_at_a_time_give_the_same(name, tokens, monkeypatch):
    torch.manual_seed(0)
    overrides = {"backbone.name": name, "backbone.width": 48, "messenger.tokens": tokens}
    backbone = build_backbone(preset("tiny", overrides)).eval()
    clips = torch.randn(1, 2 * few.FRAMES_AT_A_TIME + 1, 3, 64, 64)
    seen: list[int] = []
    for module in backbone.modules():
        if isinstance(module, BLOCKS):
            module.ffn.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    with torch.no_grad():
        parts = backbone(clips)
        assert max(seen) == few.FRAMES_AT_A_TIME and min(seen) == 1
        monkeypatch.setattr(few, "FRAMES_AT_A_TIME", 100)
        seen.clear()
        whole = backbone(clips)
        assert set(seen) == {clips.shape[1]}
    for a, b in zip(parts, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_training_takes_all_frames_at_once(monkeypatch):
    monkeypatch.setattr(few, "FRAMES_AT_A_TIME", 1)
    taken: list[int] = []

    def layer(frames):
        taken.append(len(frames))
        return 2 * frames

    few.few_at_a_time(layer, torch.ones(3, 2))
    with torch.inference_mode():
        few.few_at_a_time(layer, torch.ones(3, 2))
    assert taken == [3, 1, 1, 1]
