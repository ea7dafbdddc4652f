"""Small models whose outputs are recorded, so that a change of the numbers cannot pass unseen.

``python -m tests.core.model.golden_cases`` records them anew (after a change that is meant).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from core import ClipTargets, build_model, preset
from tests.core.model.weights import fill_by_formula, noise

FILE = Path(__file__).parent / "golden" / "small_models.json"
SIZE = (64, 96)

CASES: dict[str, dict[str, object]] = {
    "messengers_stqi": {},
    "per_frame_baseline": {"messenger.tokens": 0, "head.kind": "per_frame"},
    "no_shift_unshared": {"messenger.shift": False, "head.kind": "stqi_unshared"},
    "steps_and_stages": {"messenger.shift_steps": [1, -2, 3], "messenger.stages": [2, 3]},
    "resnet": {
        "backbone.name": "resnet50",
        "backbone.width": 8,
        "backbone.norm_eval": True,
        "messenger.tokens": 0,
    },
    "swin": {"backbone.name": "swin_t", "backbone.width": 24, "messenger.tokens": 0},
    "channel_shift_gru": {
        "backbone.temporal": "channel_shift",
        "messenger.tokens": 0,
        "head.kind": "gru",
        "head.bce_weight": 2.0,
    },
    "attention_relative": {
        "backbone.temporal": "attention",
        "messenger.tokens": 0,
        "head.kind": "relative_attention",
        "head.auxiliary_weight": 0.5,
    },
    "means": {"backbone.temporal": "mean", "messenger.tokens": 0, "head.kind": "mean"},
}


def clip_targets() -> list[ClipTargets]:
    """Two clips of three frames; the second has an instance that leaves."""
    masks = torch.zeros(3, 2, *SIZE, dtype=torch.bool)
    boxes = torch.zeros(3, 2, 4)
    for t in range(3):
        for i, (x, y, w, h) in enumerate([(8 + 9 * t, 10, 30, 24), (50, 30 - 6 * t, 26, 28)]):
            masks[t, i, y : y + h, x : x + w] = True
            boxes[t, i] = torch.tensor([x, y, x + w, y + h])
    present = torch.ones(3, 2, dtype=torch.bool)
    leaves = present.clone()
    leaves[2, 1] = False
    labels = torch.tensor([0, 2])
    return [
        ClipTargets(labels, boxes, masks, present, SIZE),
        ClipTargets(labels.flip(0), boxes, masks, leaves, SIZE),
    ]


def outputs(case: str) -> dict[str, list[float]]:
    """What the case's model computes: detections, losses, gradient norms."""
    torch.manual_seed(0)
    config = preset("tiny", {"messenger.tokens": 8, "head.class_weight": 2.0, **CASES[case]})
    model = fill_by_formula(build_model(config))
    frames = noise("frames", (2, 3, 3, *SIZE))
    with torch.no_grad():
        pyramid, stages = model.eval().stages(frames, [SIZE, SIZE])
        last = stages[-1]
        # fixed queries, not the best ones: the order of near ties depends on rounding
        masks = model.roi_head.masks(
            -1,
            pyramid,
            last.boxes[0, 0, :2],
            torch.zeros(2, dtype=torch.long),
            last.attention_features[0, 0, :2],
        )
    losses = model.train()(frames, clip_targets())
    total = sum(value for name, value in losses.items() if "loss" in name)
    total.backward()
    norms = {
        child: sum(float(p.grad.double().square().sum()) for p in part.parameters()) ** 0.5
        for child, part in model.named_children()
    }
    return {
        "scores": last.logits.sigmoid().mean(dim=1).flatten().tolist(),
        "boxes": last.boxes[:, 0].flatten().tolist(),
        "mask_logits": masks[:, :, ::7, ::7].flatten().tolist(),
        "losses": [losses[name].item() for name in sorted(losses)],
        "gradient_norms": [norms[child] for child in sorted(norms)],
    }


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps({case: outputs(case) for case in CASES}, indent=1) + "\n")
