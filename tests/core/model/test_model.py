"""The whole model: what its switches change, and its contracts."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from core import Instances, TeViT, build_model, preset
from tests.core.model.golden_cases import SIZE, clip_targets

SMALL = {"messenger.tokens": 0, "backbone.width": 24}
BACKBONES = {
    **{f"pvt_v2_b{i}": {"backbone.width": 8} for i in range(6)},
    "resnet50": {"backbone.width": 8, "messenger.tokens": 0},
    "resnet101": {"backbone.width": 8, "messenger.tokens": 0},
    "swin_t": SMALL,
    "swin_s": SMALL,
    "swin_b": {"messenger.tokens": 0, "backbone.width": 32},
    "swin_l": SMALL,
}


def tiny(overrides: dict[str, object] | None = None) -> TeViT:
    torch.manual_seed(0)
    return build_model(preset("tiny", overrides)).eval()


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_four_levels(name: str):
    model = tiny({"backbone.name": name, **BACKBONES[name]})
    with torch.no_grad():
        features = model.backbone(torch.randn(1, 2, 3, 64, 96))
    shapes = [tuple(f.shape[2:]) for f in features]
    assert shapes == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert tuple(f.shape[1] for f in features) == model.backbone.channels


def test_sizes_of_the_public_variants():
    millions = {"pvt_v2_b0": 3.4, "pvt_v2_b2": 24.8, "resnet50": 23.5, "swin_t": 27.5}
    for name, expected in millions.items():
        with torch.device("meta"):
            overrides = {"backbone.name": name, "messenger.tokens": 0}
            backbone = build_model(preset("tevit_msgshift", overrides)).backbone
        count = sum(p.numel() for p in backbone.parameters()) / 1e6
        assert count == pytest.approx(expected, rel=0.02), name


def test_frozen_stages_take_no_gradient():
    overrides = {"backbone.name": "resnet50", "backbone.width": 8, "messenger.tokens": 0}
    model = tiny({**overrides, "backbone.frozen_stages": 1}).train()
    frozen = {n for n, p in model.backbone.named_parameters() if not p.requires_grad}
    assert {name.split(".")[0] for name in frozen} == {"conv1", "bn1", "layer1"}
    assert not model.backbone.bn1.training
    assert model.backbone.layer2[0].bn1.training
    assert (
        not tiny({**overrides, "backbone.norm_eval": True}).train().backbone.layer2[0].bn1.training
    )


@pytest.mark.parametrize("stage", range(5))
@pytest.mark.parametrize("name", ["pvt_v2_b0", "swin_t"])
def test_frozen_transformers(name: str, stage: int):
    model = tiny({"backbone.name": name, **BACKBONES[name], "backbone.frozen_stages": stage})
    trained = [n for n, p in model.backbone.named_parameters() if p.requires_grad]
    assert (len(trained) == 0) == (stage == 4)


def outputs(overrides: dict[str, object], frames: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        _, stages = tiny(overrides).stages(frames, [SIZE])
    return stages[-1].logits


def depends_on_other_frames(overrides: dict[str, object]) -> bool:
    generator = torch.Generator().manual_seed(3)
    frames = torch.randn(1, 3, 3, *SIZE, generator=generator)
    other = frames.clone()
    other[:, 1:] = torch.randn(1, 2, 3, *SIZE, generator=generator)
    return not torch.allclose(
        outputs(overrides, frames)[0, 0], outputs(overrides, other)[0, 0], atol=1e-5
    )


def test_head_kinds_see_other_frames_or_not():
    plain = {"messenger.tokens": 0}
    assert not depends_on_other_frames({**plain, "head.kind": "per_frame"})
    assert depends_on_other_frames({**plain, "head.kind": "stqi"})
    assert depends_on_other_frames({**plain, "head.kind": "stqi_unshared"})
    assert depends_on_other_frames({"head.kind": "per_frame"})  # by messengers alone


def test_shared_attention_adds_no_parameters_and_unshared_does():
    def count(kind: str) -> int:
        return sum(p.numel() for p in tiny({"head.kind": kind}).parameters())

    assert count("stqi") == count("per_frame")
    channels, stages = 64, 3
    own = stages * (4 * channels * channels + 4 * channels + 2 * channels)
    assert count("stqi_unshared") == count("stqi") + own


def test_a_clip_of_one_frame():
    assert len(tiny()(torch.randn(1, 1, 3, *SIZE))[0].scores) == 10


@pytest.mark.parametrize(
    ("field", "value", "shape"),
    [
        ("head.queries", 5, ("rpn_head.init_proposal_bboxes.weight", (5, 4))),
        ("head.classes", 7, ("roi_head.bbox_head.0.fc_cls.weight", (7, 64))),
        ("head.channels", 32, ("neck.fpn_convs.0.conv.weight", (32, 32, 3, 3))),
        ("head.ffn_channels", 48, ("roi_head.bbox_head.0.ffn.layers.1.weight", (64, 48))),
        (
            "head.dynamic_channels",
            8,
            ("roi_head.mask_head.0.instance_interactive_conv.norm_in.weight", (8,)),
        ),
    ],
)
def test_sizes_follow_their_switch(field: str, value: int, shape: tuple[str, tuple[int, ...]]):
    model = tiny({field: value})
    assert model.state_dict()[shape[0]].shape == shape[1]
    assert len(model(torch.randn(1, 2, 3, *SIZE))[0].scores) == 10


def test_numbers_of_stages_and_mask_convolutions():
    model = tiny({"head.stages": 2, "head.mask_convs": 1})
    assert len(model.roi_head.bbox_head) == len(model.roi_head.mask_head) == 2
    assert len(model.roi_head.mask_head[0].convs) == 1


def test_instances_have_the_videos_size():
    found = tiny()(
        torch.randn(2, 3, 3, 64, 96), frame_sizes=[(60, 90)] * 2, video_sizes=[(120, 180), (30, 45)]
    )
    assert all(isinstance(instances, Instances) for instances in found)
    assert found[0].masks.shape == (10, 3, 120, 180)
    assert found[1].masks.shape == (10, 3, 30, 45)
    assert found[0].masks.dtype == torch.bool
    assert found[0].boxes.shape == (3, 10, 4)
    assert (found[0].scores.diff() <= 0).all()


def test_fewer_pairs_than_asked_for():
    assert (
        len(tiny({"head.queries": 2, "head.classes": 2})(torch.randn(1, 1, 3, *SIZE))[0].scores)
        == 4
    )


def test_a_clips_scores_are_means_over_its_frames():
    with torch.no_grad():
        found = tiny().detect(torch.randn(1, 3, 3, *SIZE))[0]
    assert found.frame_scores.shape == (3, 10)
    torch.testing.assert_close(found.frame_scores.mean(dim=0), found.scores)


def test_clips_of_a_batch_are_independent():
    frames = torch.randn(2, 3, 3, *SIZE)
    model = tiny()
    with torch.no_grad():
        together, alone = model.detect(frames), model.detect(frames[1:])
    torch.testing.assert_close(together[1].boxes, alone[0].boxes, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(together[1].scores, alone[0].scores, atol=1e-5, rtol=1e-4)


def test_losses_train_every_parameter():
    model = tiny().train()
    losses = model(torch.randn(2, 3, 3, *SIZE), clip_targets())
    assert set(losses) == {
        f"stage{i}_{name}"
        for i in range(3)
        for name in ("loss_cls", "pos_acc", "loss_bbox", "loss_iou", "loss_mask")
    }
    sum(value for name, value in losses.items() if "loss" in name).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert without == []


def test_auxiliary_stages_weigh_as_much_as_said():
    frames = torch.randn(2, 3, 3, *SIZE)
    full, half = (
        tiny({"head.auxiliary_weight": w}).train()(frames, clip_targets()) for w in (1.0, 0.5)
    )
    for name, value in full.items():
        weighed = "loss" in name and not name.startswith("stage2")
        torch.testing.assert_close(half[name], value / 2 if weighed else value)


def test_clips_without_instances_are_background():
    targets = clip_targets()
    empty = type(targets[0])(
        labels=targets[0].labels[:0],
        boxes=targets[0].boxes[:, :0],
        masks=targets[0].masks[:, :0],
        present=targets[0].present[:, :0],
        frame_size=SIZE,
    )
    model = tiny().train()
    losses = model(torch.randn(2, 3, 3, *SIZE), [empty, empty])
    total = sum(value for name, value in losses.items() if "loss" in name)
    total.backward()
    assert torch.isfinite(total)
    assert losses["stage0_loss_bbox"].item() == losses["stage0_loss_mask"].item() == 0
    assert losses["stage0_loss_cls"].item() > 0


def test_bf16_agrees_with_fp32():
    model = tiny()
    frames = torch.randn(1, 3, 3, *SIZE)
    with torch.no_grad():
        exact = model.detect(frames)[0]
        with torch.autocast("cpu", torch.bfloat16):
            rough = model.detect(frames)[0]
    assert rough.boxes.dtype == torch.float32
    torch.testing.assert_close(rough.scores, exact.scores, atol=0.01, rtol=0.1)


def test_the_first_lines_of_the_readme():
    frames = torch.randn(1, 2, 3, 64, 96)
    model = build_model(preset("tiny", {"head.kind": "per_frame"}))
    instances = model.eval()(frames)[0]
    assert instances.masks.shape == (10, 2, 64, 96)


def test_reading_a_config_does_not_wait_for_torch():
    code = "import sys, core; core.preset('tiny'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_of_the_package():
    import core

    with pytest.raises(AttributeError, match="no attribute 'tevit_model'"):
        _ = core.tevit_model


def test_attention_over_time_multiplies_the_queries_at_once():
    """Out of order in memory, torch would copy the weights for each query."""
    model = build_model(preset("tiny")).eval()
    in_order = []
    for head in model.roi_head.bbox_head:
        attention = head.attention.attn
        attention.register_forward_pre_hook(lambda _, x: in_order.append(x[0].is_contiguous()))
    with torch.no_grad():
        model.detect(torch.randn(1, 3, 3, 64, 96))
    assert in_order[1::2] == [True] * 3  # each head's first call is among the queries of a frame
