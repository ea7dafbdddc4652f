"""The model's backbones: frames of clips to four feature maps."""

from __future__ import annotations

from torch import nn

from core.backbones.pvt_v2 import VARIANTS as PVT_VARIANTS
from core.backbones.pvt_v2 import PVTv2
from core.backbones.resnet import DEPTHS as RESNET_DEPTHS
from core.backbones.resnet import ResNet
from core.backbones.swin import Swin
from core.config import ModelConfig

Backbone = PVTv2 | ResNet | Swin


def build_backbone(config: ModelConfig) -> Backbone:
    """The configured backbone, its frozen stages without gradient."""
    backbone: Backbone
    if config.backbone.name in PVT_VARIANTS:
        backbone = PVTv2(config.backbone, config.messenger)
    elif config.backbone.name in RESNET_DEPTHS:
        backbone = ResNet(config.backbone)
    else:
        backbone = Swin(config.backbone)
    for stage in range(config.backbone.frozen_stages + 1):
        for part in backbone.stage_parts(stage):
            freeze(part)
    return backbone


def freeze(module: nn.Module) -> None:
    """Take ``module``'s parameters out of training."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)


__all__ = ["Backbone", "build_backbone"]
