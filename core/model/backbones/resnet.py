"""ResNet-50 and -101 of torchvision's bottlenecks, with any width and frozen batch norm."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from core.config.schema import BackboneConfig
from core.model.backbones.temporal import FrameMixer

DEPTHS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


def _stage(in_channels: int, width: int, depth: int, stride: int) -> nn.Sequential:
    channels = width * Bottleneck.expansion
    downsample = nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
    )
    blocks = [Bottleneck(in_channels, width, stride, downsample)]
    blocks += [Bottleneck(channels, width) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


class ResNet(nn.Module):
    """Four-stage ResNet; parameters are named as torchvision's.

    Attributes:
        channels: channels of the four outputs, at strides 4, 8, 16 and 32.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        width = config.width or 64
        self.norm_eval = config.norm_eval
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.channels = tuple(width * 2**i * Bottleneck.expansion for i in range(4))
        for i, depth in enumerate(DEPTHS[config.name]):
            in_channels = self.channels[i - 1] if i else width
            stage = _stage(in_channels, width * 2**i, depth, stride=2 if i else 1)
            self.add_module(f"layer{i + 1}", stage)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.mixer = FrameMixer(config.temporal, self.channels[-1])
        self.mixer.enter(*(m.conv1 for m in self.modules() if isinstance(m, Bottleneck)))

    def stage_parameters(self, stage: int) -> Iterator[nn.Parameter]:
        """Parameters of ``stage`` (0: the stem; 1 to 4)."""
        for name in [f"layer{stage}"] if stage else ["conv1", "bn1"]:
            yield from self.get_submodule(name).parameters()

    def train(self, mode: bool = True) -> ResNet:
        """Train or eval mode; batch norm stays in eval mode where frozen or configured so."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                frozen = not module.weight.requires_grad
                module.train(mode and not frozen and not self.norm_eval)
        return self

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Frames (B, T, 3, H, W) to four feature maps (B * T, C, H / stride, W / stride)."""
        self.mixer.clip_length = frames.shape[1]
        x = self.maxpool(self.relu(self.bn1(self.conv1(frames.flatten(0, 1)))))
        features = []
        for stage in range(1, 5):
            x = self.mixer(self.get_submodule(f"layer{stage}")(x), stage)
            features.append(x)
        return features
