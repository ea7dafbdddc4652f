"""The model's backbones: frames of clips to four feature maps."""

from __future__ import annotations

from torchvision.models.resnet import Bottleneck

from core.config.schema import ModelConfig
from core.model.backbones.pvt_v2 import VARIANTS as PVT_VARIANTS
from core.model.backbones.pvt_v2 import PVTBlock, PVTv2
from core.model.backbones.resnet import DEPTHS as RESNET_DEPTHS
from core.model.backbones.resnet import ResNet
from core.model.backbones.swin import Swin, SwinBlock
from core.model.backbones.temporal import LAST_STAGE

Backbone = PVTv2 | ResNet | Swin
BLOCKS = (PVTBlock, Bottleneck, SwinBlock)
"""The blocks that backbones are made of."""


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
        for parameter in backbone.stage_parameters(stage):
            parameter.requires_grad_(False)
    if config.backbone.frozen_stages == LAST_STAGE:
        backbone.mixer.requires_grad_(False)
    return backbone


__all__ = ["BLOCKS", "Backbone", "build_backbone"]
