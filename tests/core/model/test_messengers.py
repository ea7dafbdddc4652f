"""Messenger tokens: projections, shift, and what each switch of them does."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from core import ConfigError, build_model, preset
from core.model.backbones.messengers import block_shift_steps, project_messengers, shift_messengers


@pytest.mark.parametrize(("groups", "kernel", "bias"), [(1, 3, True), (6, 3, True), (6, 1, False)])
def test_a_messenger_is_projected_as_a_constant_image(groups: int, kernel: int, bias: bool):
    conv = nn.Conv2d(6, 6, kernel, groups=groups, bias=bias)
    messengers = torch.randn(2, 4, 6)
    constant = messengers.flatten(0, 1)[:, :, None, None].expand(-1, -1, kernel, kernel)
    expected = conv(constant).view(2, 4, 6)
    torch.testing.assert_close(project_messengers(conv, messengers), expected)


def test_shift_rolls_each_group_by_its_step():
    clip = torch.arange(4.0)[:, None, None] + torch.zeros(4, 4, 1)  # value = frame
    shifted = shift_messengers(clip, 4, (1, -1)).squeeze(-1)
    assert shifted.tolist() == [[3, 3, 1, 1], [0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 0, 0]]


def test_clips_of_a_batch_do_not_mix():
    clips = torch.randn(3, 4, 8, 2)
    together = shift_messengers(clips.flatten(0, 1), 4, (1, -1, 2))
    apart = torch.cat([shift_messengers(clip, 4, (1, -1, 2)) for clip in clips])
    assert torch.equal(together, apart)


@given(st.integers(1, 6), st.integers(1, 9), st.lists(st.integers(-7, 7), min_size=0, max_size=5))
def test_a_pair_of_blocks_shifts_out_and_back(frames: int, tokens: int, steps: list[int]):
    start = torch.randn(frames, tokens, 2)
    x = start
    for block in range(2):
        x = shift_messengers(x, frames, block_shift_steps(tuple(steps), block, depth=2))
    assert torch.equal(x, start)


def test_the_unpaired_last_block_does_not_shift():
    assert block_shift_steps((1, -1), 0, depth=3) == (1, -1)
    assert block_shift_steps((1, -1), 1, depth=3) == (-1, 1)
    assert block_shift_steps((1, -1), 2, depth=3) == ()


FRAMES = torch.randn(1, 4, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def features(**overrides: object) -> list[torch.Tensor]:
    names = {name.replace("__", "."): value for name, value in overrides.items()}
    torch.manual_seed(1)
    model = build_model(preset("tiny", {"head.kind": "per_frame", **names})).eval()
    with torch.no_grad():
        return model.backbone(FRAMES)


def changes_with_other_frames(**overrides: object) -> bool:
    """Whether frame 0's features depend on the other frames."""
    names = {name.replace("__", "."): value for name, value in overrides.items()}
    torch.manual_seed(1)
    backbone = build_model(preset("tiny", {"head.kind": "per_frame", **names})).eval().backbone
    other = FRAMES.clone()
    other[:, 1:] = 0
    with torch.no_grad():
        pairs = zip(backbone(FRAMES), backbone(other), strict=True)
        return any(not torch.allclose(a[0], b[0], atol=1e-6) for a, b in pairs)


def test_only_shifted_messengers_carry_time():
    assert changes_with_other_frames()
    assert not changes_with_other_frames(messenger__tokens=0)
    assert not changes_with_other_frames(messenger__shift=False)
    assert not changes_with_other_frames(messenger__shift_steps=[])
    assert not changes_with_other_frames(messenger__shift_steps=[0, 0])


def test_tokens_without_shift_still_change_the_features():
    with_tokens, without = features(messenger__shift=False), features(messenger__tokens=0)
    assert not torch.allclose(with_tokens[0], without[0])


def test_messengers_of_stage_four_alone_are_never_read():
    assert not changes_with_other_frames(messenger__stages=[4])


@pytest.mark.parametrize("stages", [[1], [2], [1, 2], [3, 4], [2, 3, 4]])
def test_messengers_start_where_they_are_first_carried(stages: list[int]):
    model = build_model(preset("tiny", {"messenger.stages": stages}))
    inputs = (3, *model.backbone.channels)
    assert model.backbone.msg_tokens.shape == (1, 2, inputs[stages[0] - 1])
    assert changes_with_other_frames(messenger__stages=stages)


def test_steps_per_stage():
    one_list = features(messenger__shift_steps=[1, -1])
    four_equal = features(messenger__shift_steps=[[1, -1]] * 4)
    differing = features(messenger__shift_steps=[[1, -1], [], [2], [1]])
    assert all(torch.equal(a, b) for a, b in zip(one_list, four_equal, strict=True))
    assert torch.equal(one_list[0], differing[0])
    assert not torch.equal(one_list[2], differing[2])


@pytest.mark.parametrize("tokens", [1, 3, 33])
def test_any_number_of_tokens(tokens: int):
    assert changes_with_other_frames(messenger__tokens=tokens)


@pytest.mark.parametrize("backbone", ["resnet50", "swin_t"])
def test_backbones_that_cannot_carry_messengers_say_so(backbone: str):
    with pytest.raises(ConfigError, match=f"{backbone} cannot carry messenger tokens.*pvt_v2_b1"):
        preset("tiny", {"backbone.name": backbone, "backbone.width": None})
