"""The TeViT model, and what turns videos into predictions."""

from core.config import Config, ModelConfig
from core.overrides import ConfigError, override
from core.presets import PRESETS, preset

__all__ = ["PRESETS", "Config", "ConfigError", "ModelConfig", "override", "preset"]
