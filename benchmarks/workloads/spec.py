"""What a workload is to be made of, in JSON types, so that another process can make it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.workloads.mmdet import FACTS, mmdet_workload
from benchmarks.workloads.tevit import tevit_facts, tevit_workload, video_frames_of
from benchmarks.workloads.workload import ClipShape, Workload
from core.config.overrides import config_from_dict


@dataclass(frozen=True)
class WorkloadSpec:
    """A workload in JSON types: a config of ours, or a configuration file of mmdet.

    Attributes:
        config: a resolved config (``Config.to_dict``); for mmdet, the one whose clips its model
            trains on.
        mmdet: path of an mmdet configuration.
        checkpoint: weights; none: initial ones.
    """

    name: str
    shape: ClipShape
    config: dict[str, Any] = field(default_factory=dict)
    mmdet: str | None = None
    checkpoint: str | None = None
    compiled: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What the workload will say of itself, as far as that is known without building it."""
        if self.mmdet is not None:
            return FACTS
        return tevit_facts(config_from_dict(self.config), self._weights, self.compiled)

    @property
    def video_frames(self) -> int:
        """Frames of the video that is predicted end to end."""
        if self.mmdet is not None:
            return self.shape.frames
        return video_frames_of(config_from_dict(self.config), self.shape)

    @property
    def _weights(self) -> Path | None:
        return Path(self.checkpoint) if self.checkpoint else None

    def build(self, device: torch.device) -> Workload:
        """The model and its input on ``device``."""
        known: dict[str, Any] = {"name": self.name, "checkpoint": self._weights}
        if self.mmdet is not None:
            return mmdet_workload(Path(self.mmdet), self.shape, device, **known)
        config = config_from_dict(self.config)
        return tevit_workload(config, self.shape, device, compiled=self.compiled, **known)
