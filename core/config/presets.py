"""Named configurations: the published ones, what they start from, and small ones for CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.config.overrides import ConfigError, override, unknown
from core.config.schema import Config

_NO_MESSENGERS = {"messenger.tokens": 0}

_R50 = {
    **_NO_MESSENGERS,
    "backbone.name": "resnet50",
    "backbone.frozen_stages": 1,
    "backbone.norm_eval": True,
    "backbone.drop_path": 0.0,
}
_SWIN_L = {
    **_NO_MESSENGERS,
    "backbone.name": "swin_l",
    "backbone.drop_path": 0.3,
    "head.queries": 300,
}
# drop path as QueryInst has it for Swin-T, Swin's own detectors for the sizes between
_SWINS: dict[str, dict[str, Any]] = {
    "swin_t": {"backbone.name": "swin_t", "backbone.drop_path": 0.2},
    "swin_s": {"backbone.name": "swin_s", "backbone.drop_path": 0.2},
    "swin_b": {"backbone.name": "swin_b", "backbone.drop_path": 0.3},
    "swin_l": _SWIN_L,
}
# QueryInst, 3x multi-scale: 36 epochs of the 117,266 images of COCO train2017 with instances, /10
# after 27 and 33
_QUERYINST_COCO = {
    **_NO_MESSENGERS,
    "head.kind": "per_frame",
    "head.classes": 80,
    "data.root": "coco",
    "data.holdout": 0.02,
    "data.clip_length": 1,
    "data.train_sizes": [[1333, short] for short in range(480, 801, 32)],
    "data.train_resize": "choice",
    "data.test_size": [1333, 800],
    "train.steps": 36 * 7330,
    "train.lr": 1e-4,
    "train.warmup": 1000,
    "train.milestones": [27 * 7330, 33 * 7330],
    "inference.top_k": 100,
}

PRESETS: dict[str, dict[str, Any]] = {
    # PVTv2-B1 with messengers, 100 queries: the paper's main model.
    "tevit_msgshift": {},
    "tevit_r50": _R50,
    "tevit_swin_l": {
        **_SWIN_L,
        "data.train_sizes": [[1333, short] for short in range(320, 801, 32)],
        "data.train_resize": "choice",
        "data.test_size": [1333, 480],
    },
    # What video models start from: a per-frame model of COCO's images, for each backbone.
    "queryinst_coco": _QUERYINST_COCO,
    "queryinst_coco_r50": {**_QUERYINST_COCO, **_R50},
    "queryinst_coco_r101": {**_QUERYINST_COCO, **_R50, "backbone.name": "resnet101"},
    **{
        f"queryinst_coco_{name}": {**_QUERYINST_COCO, **swin, "train.clip_norm": 1.0}
        for name, swin in _SWINS.items()
    },
    **{
        f"queryinst_coco_pvt_v2_b{size}": {**_QUERYINST_COCO, "backbone.name": f"pvt_v2_b{size}"}
        for size in (0, 2, 3, 4, 5)
    },
    # Learns the synthetic data on two CPU cores in about two minutes.
    "tiny": {
        "backbone.name": "pvt_v2_b0",
        "backbone.width": 16,
        "backbone.drop_path": 0.0,
        "messenger.tokens": 2,
        "head.queries": 10,
        "head.stages": 3,
        "head.classes": 3,
        "head.channels": 64,
        "head.attention_heads": 4,
        "head.ffn_channels": 128,
        "head.dynamic_channels": 16,
        "head.roi_base": 16.0,
        "head.mask_convs": 1,
        "head.class_weight": 16.0,
        "data.clip_length": 3,
        "data.train_sizes": [[96, 64]],
        "data.test_size": [96, 64],
        "data.workers": 0,
        "train.steps": 380,
        "train.clips": 2,
        "train.lr": 1e-3,
        "train.backbone_lr": 1.0,
        "train.clip_norm": 1.0,
        "train.schedule": "one_cycle",
        "train.warmup": 50,
        "train.checkpoint_every": 100,
    },
}


def preset(name: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """The named configuration, with ``overrides`` (dotted names) applied.

    Raises:
        ConfigError: unknown preset, unknown field or invalid value.

    Example:
        >>> preset("tevit_msgshift", {"head.kind": "per_frame"}).head.kind
        'per_frame'
    """
    if name not in PRESETS:
        raise ConfigError(unknown("preset", name, PRESETS))
    return override(Config(), {**PRESETS[name], **(overrides or {})})
