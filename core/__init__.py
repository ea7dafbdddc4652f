"""The TeViT model, and what turns videos into predictions.

What needs torch is imported on first use, so that planning a grid or reading its status does
not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from core.config.overrides import ConfigError, override
from core.config.presets import PRESETS, preset
from core.config.schema import Config, ModelConfig

if TYPE_CHECKING:
    from core.model.structures import ClipTargets, Detections, Instances
    from core.model.tevit import TeViT, build_model

_NEED_TORCH = {
    "ClipTargets": "core.model.structures",
    "Detections": "core.model.structures",
    "Instances": "core.model.structures",
    "TeViT": "core.model.tevit",
    "build_model": "core.model.tevit",
}

__all__ = [
    "PRESETS",
    "ClipTargets",
    "Config",
    "ConfigError",
    "Detections",
    "Instances",
    "ModelConfig",
    "TeViT",
    "build_model",
    "override",
    "preset",
]


def __getattr__(name: str) -> Any:
    if name in _NEED_TORCH:
        return getattr(import_module(_NEED_TORCH[name]), name)
    raise AttributeError(f"module 'core' has no attribute {name!r}")
