"""The TeViT model, and what turns videos into predictions.

All is imported on first use: neither help waits for pydantic, nor a plan or a status for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.config.overrides import ConfigError, override
    from core.config.presets import PRESETS, preset
    from core.config.schema import Config, ModelConfig
    from core.model.structures import ClipTargets, Detections, Instances
    from core.model.tevit import TeViT, build_model

_HOMES = {
    "core.config.overrides": ("ConfigError", "override"),
    "core.config.presets": ("PRESETS", "preset"),
    "core.config.schema": ("Config", "ModelConfig"),
    "core.model.structures": ("ClipTargets", "Detections", "Instances"),
    "core.model.tevit": ("TeViT", "build_model"),
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
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'core' has no attribute {name!r}")
