"""Named configurations: the three published ones and small ones for CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.config.overrides import ConfigError, override, unknown
from core.config.schema import Config

_NO_MESSENGERS = {"messenger.tokens": 0}

PRESETS: dict[str, dict[str, Any]] = {
    # PVTv2-B1 with messengers, 100 queries: the paper's main model.
    "tevit_msgshift": {},
    "tevit_r50": {
        **_NO_MESSENGERS,
        "backbone.name": "resnet50",
        "backbone.frozen_stages": 1,
        "backbone.norm_eval": True,
        "backbone.drop_path": 0.0,
    },
    "tevit_swin_l": {
        **_NO_MESSENGERS,
        "backbone.name": "swin_l",
        "backbone.drop_path": 0.3,
        "head.queries": 300,
        "data.train_sizes": [[1333, short] for short in range(320, 801, 32)],
        "data.train_resize": "choice",
        "data.test_size": [1333, 480],
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
