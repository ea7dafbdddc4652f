"""What is measured: a model with input of a given shape, behind the same few calls for all.

Our model is made in :mod:`benchmarks.workloads.tevit`, mmdet's in
:mod:`benchmarks.workloads.mmdet`; counting and timing know no more of either than this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core.config.schema import Config
from core.data.transforms import Size, padded_size, rescaled
from core.errors import UserError

DEFAULT_VIDEO_SIZE = (720, 1280)  # most videos of YouTube-VIS


def parse_size(text: str) -> Size:
    """``640x384`` (width x height) as (height, width).

    Raises:
        UserError: it is not two whole numbers of 1 or more.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UserError(f"size {text!r}: expected WIDTHxHEIGHT, such as 640x384")
    return int(height), int(width)


@dataclass(frozen=True)
class ClipShape:
    """Shape of the input: ``batch`` clips of ``clip_length`` frames.

    Attributes:
        height, width: of the frames that the model sees, padding included.
        video_height, video_width: of the masks that are asked for, and of the image files.
    """

    clip_length: int
    height: int
    width: int
    batch: int = 1
    video_height: int = DEFAULT_VIDEO_SIZE[0]
    video_width: int = DEFAULT_VIDEO_SIZE[1]

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise UserError(f"{name}={value}: must be 1 or more")
        if self.height % 32 or self.width % 32:
            raise UserError(
                f"size {self.width}x{self.height}: the model's input is padded to multiples of 32, "
                f"so measure at {-(-self.width // 32) * 32}x{-(-self.height // 32) * 32}"
            )

    @property
    def frames(self) -> int:
        """Frames of a call, each of them another frame of the video."""
        return self.batch * self.clip_length

    @property
    def frame_size(self) -> Size:
        """(height, width) that the video takes up inside the padded frame."""
        size = rescaled((self.video_height, self.video_width), (self.width, self.height))
        return size if padded_size([size]) == (self.height, self.width) else self.size

    @property
    def size(self) -> Size:
        """(height, width) of the padded frames."""
        return self.height, self.width


def clip_shape(
    config: Config,
    *,
    size: Size | None = None,
    clip_length: int | None = None,
    batch: int = 1,
    video_size: Size | None = None,
) -> ClipShape:
    """The shape at which ``config`` is measured unless told otherwise.

    Args:
        config: gives what is not told: its test size, padded; the frames of its clips; the
            generated videos' size, or 1280x720 for other data.
        size: (height, width) of the padded frames.
        clip_length: frames a clip.
        batch: clips a call.
        video_size: (height, width) of masks and image files.
    """
    if video_size is None:
        synthetic = config.data.root == "synthetic" and size is None
        video_size = config.data.synthetic.size if synthetic else DEFAULT_VIDEO_SIZE
    if size is None:
        size = padded_size([rescaled(video_size, config.data.test_size)])
    if clip_length is None:
        online = config.inference.mode == "near_online"
        clip_length = config.inference.clip_length if online else config.data.clip_length
    return ClipShape(clip_length, *size, batch, *video_size)


@dataclass
class Workload:
    """A model with its input, ready to be counted and timed.

    Attributes:
        name: how tables call it.
        model: holds the parameters.
        traceable: ``traceable(frames)`` is the model alone and returns tensors.
        parts: parts of ``traceable`` to report, by the names of their submodules.
        detect: scope *model*: frames to boxes, classes and masks inside boxes.
        segment: scope *postprocess*: the same and masks at the video's size.
        end_to_end: scope *end to end*: image files to RLE results; none: not supported.
        video_frames: frames of the video that ``end_to_end`` reads, each counted once.
        facts: for the protocol, such as where the weights come from.
    """

    name: str
    shape: ClipShape
    model: nn.Module
    traceable: nn.Module
    frames: Tensor
    parts: Mapping[str, Sequence[str]]
    detect: Callable[[], object]
    segment: Callable[[], object]
    end_to_end: Callable[[], object] | None = None
    video_frames: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        """``fp32`` or ``bf16``."""
        return str(self.facts.get("precision", "fp32"))

    def parameters(self) -> tuple[int, int]:
        """Parameters: all, and those that are trained."""
        parameters = list(self.model.parameters())
        return (
            sum(p.numel() for p in parameters),
            sum(p.numel() for p in parameters if p.requires_grad),
        )


def random_frames(shape: ClipShape, device: torch.device) -> Tensor:
    """Frames (B, T, 3, H, W) of noise, as normalised frames are: the same for the same shape."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(shape.batch, shape.clip_length, 3, *shape.size, generator=generator)
    return frames.to(device)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Mixed precision where ``precision`` is ``bf16``."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
