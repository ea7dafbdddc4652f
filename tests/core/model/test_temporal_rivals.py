"""What stands in the place of messengers and of STQI: what each computes, and its contracts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core import ConfigError, TeViT, build_model, preset
from core.inference.predict import predict_video
from core.model.backbones.temporal import shift_channels
from core.model.query_time import FARTHEST, RelativeAttention
from core.training.pretrained import load_pretrained
from tests.core.model.golden_cases import SIZE, clip_targets

MIXERS = ["channel_shift", "mean", "attention"]
HEADS = ["mean", "relative_attention", "gru"]
BACKBONES = {
    "pvt_v2_b0": {"backbone.width": 8},
    "resnet50": {"backbone.width": 8, "backbone.norm_eval": True},
    "swin_t": {"backbone.width": 24},
}


def model(**overrides: object) -> TeViT:
    """A tiny one without messengers whose frames meet where the overrides say."""
    values = {name.replace("__", "."): value for name, value in overrides.items()}
    plain = {"messenger.tokens": 0, "head.kind": "per_frame", "head.stages": 1}
    torch.manual_seed(0)
    return build_model(preset("tiny", {**plain, **values})).eval()


def mixing(kind: str, name: str = "pvt_v2_b0") -> TeViT:
    """One whose backbone mixes frames by ``kind``, the attention's last weights not at zero."""
    built = model(backbone__temporal=kind, backbone__name=name, **BACKBONES[name])
    if kind == "attention":
        torch.nn.init.xavier_uniform_(built.backbone.mixer.attn.out_proj.weight)
    return built


def noise(clips: int, frames: int) -> Tensor:
    return torch.randn(clips, frames, 3, *SIZE, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def logits(built: TeViT, frames: Tensor) -> Tensor:
    return built.stages(frames, [SIZE] * len(frames))[1][-1].logits


def test_an_eighth_of_the_channels_comes_from_each_neighbour():
    clip = torch.arange(1.0, 4.0)[:, None, None].expand(3, 2, 16)  # value = frame, from 1
    shifted = shift_channels(clip, 3, dim=-1)[:, 0]
    assert shifted[:, 0].tolist() == shifted[:, 1].tolist() == [0, 1, 2]
    assert shifted[:, 2].tolist() == shifted[:, 3].tolist() == [2, 3, 0]
    assert all(shifted[:, c].tolist() == [1, 2, 3] for c in range(4, 16))
    images = torch.randn(6, 16, 2, 5)
    last = shift_channels(images.permute(0, 2, 3, 1), 3, dim=-1)
    assert shift_channels(images, 3, dim=1).equal(last.permute(0, 3, 1, 2))


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("kind", MIXERS)
def test_mixers_see_their_clips_other_frames_and_no_other_clip(kind: str, name: str):
    built = mixing(kind, name)
    frames = noise(2, 3)
    other = frames.clone()
    other[0, 2] = -other[0, 2]
    before, after = logits(built, frames), logits(built, other)
    assert not torch.allclose(before[0, 1], after[0, 1], atol=1e-5)
    torch.testing.assert_close(before[1], after[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "ordered"), [("channel_shift", True), ("mean", False), ("attention", False)]
)
def test_which_mixers_know_the_order_of_frames(kind: str, ordered: bool):
    built, frames, order = mixing(kind), noise(1, 4), [2, 0, 3, 1]
    mixed, before = logits(built, frames[:, order]), logits(built, frames)
    assert torch.allclose(mixed, before[:, order], atol=1e-4) != ordered


@pytest.mark.parametrize("name", BACKBONES)
def test_attention_begins_as_the_plain_backbone_and_a_mean_of_one_frame_is_that_frame(name: str):
    plain = model(backbone__name=name, **BACKBONES[name])
    begun = model(backbone__temporal="attention", backbone__name=name, **BACKBONES[name])
    begun.load_state_dict(plain.state_dict(), strict=False)
    assert logits(begun, noise(1, 3)).equal(logits(plain, noise(1, 3)))
    assert logits(mixing("mean", name), noise(1, 1)).equal(logits(plain, noise(1, 1)))


def test_the_mean_is_half_of_what_a_stage_gives():
    plain, mean = model(backbone__width=8).backbone, mixing("mean").backbone
    with torch.no_grad():
        first, mixed = plain(noise(1, 3))[0], mean(noise(1, 3))[0]
    torch.testing.assert_close(mixed, (first + first.mean(0)) / 2)


def test_where_there_are_messengers_nothing_else_mixes():
    with pytest.raises(ConfigError, match=r"backbone.temporal=mean stands.*set messenger.tokens=0"):
        preset("tiny", {"backbone.temporal": "mean"})


def test_the_mixer_is_frozen_with_the_last_stage_and_is_in_no_public_file(tmp_path):
    frozen = model(backbone__temporal="attention", backbone__frozen_stages=4).backbone
    assert not any(p.requires_grad for p in frozen.parameters())
    path = tmp_path / "plain.pth"
    torch.save(model().backbone.state_dict(), path)
    report = load_pretrained(frozen, path)
    assert {name.split(".")[0] for name in report.missing} == {"mixer"}


# --- heads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "ordered"), [("mean", False), ("relative_attention", False), ("gru", True)]
)
def test_heads_see_the_other_frames_of_their_clip(kind: str, ordered: bool):
    frames, order = noise(2, 4), [2, 0, 3, 1]
    other = frames.clone()
    other[0, 3] = -other[0, 3]
    # the learned queries are alike in all frames: their second stage is the first to differ
    built = model(head__kind=kind, head__stages=2)
    before, after = logits(built, frames), logits(built, other)
    assert not torch.allclose(before[0, 0], after[0, 0], atol=1e-5)
    torch.testing.assert_close(before[1], after[1], atol=1e-4, rtol=1e-4)
    mixed = logits(built, frames[:, order])
    assert torch.allclose(mixed, before[:, order], atol=1e-4) != ordered


def test_a_learned_bias_makes_attention_know_distances():
    torch.manual_seed(0)
    attention = RelativeAttention(16, 4).eval()
    torch.nn.init.xavier_uniform_(attention.attn.in_proj_weight, gain=3)
    x, order = torch.randn(2, 5, 16), [3, 1, 4, 0, 2]
    with torch.no_grad():
        torch.testing.assert_close(attention(x), x + attention.attn(x))
        torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order])
        attention.time_bias[:, FARTHEST + 1] = 50.0  # look one frame ahead, and there alone
        assert not torch.allclose(attention(x[:, order]), attention(x)[:, order], atol=1e-3)
        value = torch.nn.functional.linear(
            x, attention.attn.in_proj_weight[32:], attention.attn.in_proj_bias[32:]
        )
        ahead = x[:, :-1] + attention.attn.out_proj(value[:, 1:])
        torch.testing.assert_close(attention(x)[:, :-1], ahead)
        assert attention(torch.randn(1, 3 * FARTHEST, 16)).isfinite().all()


def test_relative_attention_begins_as_unshared_attention():
    unshared = model(head__kind="stqi_unshared", head__stages=2)
    relative = model(head__kind="relative_attention", head__stages=2)
    assert relative.load_state_dict(unshared.state_dict(), strict=False).missing_keys == [
        f"roi_head.bbox_head.{stage}.temporal_attention.time_bias" for stage in range(2)
    ]
    assert all(not head.temporal_attention.time_bias.any() for head in relative.roi_head.bbox_head)
    torch.testing.assert_close(logits(relative, noise(1, 3)), logits(unshared, noise(1, 3)))


def test_a_gru_halves_the_channels_between_its_directions():
    with pytest.raises(ConfigError, match=r"head.kind=gru halves head.channels=9"):
        preset("tiny", {"head.kind": "gru", "head.channels": 9, "head.attention_heads": 1})


# --- both ----------------------------------------------------------------------------------------

BOTH = [("backbone.temporal", kind) for kind in MIXERS] + [("head.kind", kind) for kind in HEADS]


@pytest.mark.parametrize(("field", "kind"), BOTH)
@pytest.mark.parametrize("bf16", [False, True])
def test_every_parameter_learns(field: str, kind: str, bf16: bool):
    built = model(**{field: kind}).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        losses = built(noise(2, 3), clip_targets())
    total = sum(value for name, value in losses.items() if "loss" in name)
    total.backward()
    assert torch.isfinite(total)
    assert [name for name, p in built.named_parameters() if p.grad is None] == []


class Noise:
    """A video of five frames."""

    name, size = "noise", (48, 64)

    def __iter__(self):
        yield from (255 * noise(1, 5)[0].sigmoid()[:, :, :48, :64]).to(torch.uint8)


@pytest.mark.parametrize(("field", "kind"), BOTH)
def test_near_online_with_a_last_clip_of_another_length(field: str, kind: str):
    values = {"inference.mode": "near_online", "inference.clip_length": 3, "inference.stride": 2}
    plain = {"messenger.tokens": 0, "data.test_size": [96, 64]}
    config = preset("tiny", {**plain, "inference.top_k": 3, field: kind, **values})
    torch.manual_seed(0)
    results = predict_video(build_model(config).eval(), Noise(), config)
    assert len(results) == 3
    assert all(len(result["segmentations"]) == 5 for result in results)
    one = config.model_copy(
        update={"inference": config.inference.model_copy(update={"clip_length": 4, "stride": 3})}
    )
    assert len(predict_video(build_model(one).eval(), Noise(), one)) == 3  # the last clip: T = 2
