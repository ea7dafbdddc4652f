"""One forward and backward pass at full size, so that what can fail does so before it is dear."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace

import torch

from core.config.schema import Config
from core.data.dataset import VideoDataset
from core.data.loader import ClipBatch, collate, training_clips
from core.data.transforms import Size, pad, padded_size, rescaled
from core.errors import UserError
from core.model.tevit import build_model
from core.training.distributed import default_device
from core.training.setup import losses_of, prepare, training_split
from core.training.world import World, world_from_environment


def try_step(config: Config, world: World | None = None) -> Size:
    """Read one batch and take it through the model and back, as large as training ever makes one.

    Weights are initial ones, thrown away afterwards; training seeds its generators itself.

    Args:
        world: this process among those that will train; none: as its launcher says.

    Returns:
        (height, width) of the padded frames that were tried.

    Raises:
        UserError: the data do not fit the config, a frame cannot be read, or memory does not
            suffice: the message names clips, frames and size.
    """
    world = world_from_environment() if world is None else world
    dataset, split = training_split(config, world)
    part, heldout = dataset.subset(split.train), dataset.subset(split.heldout)
    clips = config.train.clips // (world.size * config.train.accumulate)
    boxes = _largest_boxes(config)
    data = config.data.model_copy(update={"train_sizes": boxes[:1], "train_resize": "choice"})
    source, datasets = training_clips(part, data, config.seed, heldout)
    frames, targets = collate([source[clip] for clip in range(clips)])
    size = _largest_frame(datasets, boxes, config.data.augment.crop > 0, together=clips > 1)
    targets = [replace(target, masks=pad(target.masks, size)) for target in targets]
    device = default_device(world)
    try:
        _forward_backward(config, (pad(frames, size), targets), device)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise UserError(
            f"out of memory in one forward and backward pass of {clips} clips of "
            f"{config.data.clip_length} frames of {size[1]}x{size[0]} on {device}: lower "
            "train.clips, data.clip_length or data.train_sizes, or raise train.accumulate or the "
            "number of processes"
        ) from error
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return size


def _forward_backward(config: Config, batch: ClipBatch, device: torch.device) -> None:
    model = build_model(config).train().to(device)
    prepare(model, config.train, device)
    losses = losses_of(model, batch, device, config.train)
    torch.stack(list(losses.values())).sum().backward()


def _largest_boxes(config: Config) -> tuple[Size, ...]:
    """(long side, short side) that frames are resized to, the largest first."""
    sizes = config.data.train_sizes
    if config.data.train_resize == "range":  # the two sides are drawn apart
        return ((max(map(max, sizes)), max(map(min, sizes))),)
    return tuple(sorted(sizes, key=lambda size: -size[0] * size[1]))


def _largest_frame(
    datasets: Sequence[VideoDataset], boxes: tuple[Size, ...], cropped: bool, *, together: bool
) -> Size:
    """(height, width) of the largest padded frame that the videos give.

    Args:
        boxes: what frames are resized to.
        cropped: parts of frames are resized, too, which may have any ratio of sides.
        together: clips of several sizes may meet in a batch, which is padded to hold them all.
    """
    shapes = {(v.height, v.width) for dataset in datasets for v in dataset.videos}
    if cropped:
        shapes |= {shape for box in boxes for shape in (box, box[::-1])}
    sizes = [padded_size([rescaled(shape, box)]) for shape in shapes for box in boxes]
    if together:
        return max(h for h, _ in sizes), max(w for _, w in sizes)
    return max(sizes, key=lambda size: size[0] * size[1])
