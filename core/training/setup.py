"""What a training run needs before its first step: checks, seeds, initial weights."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.config.overrides import flatten
from core.config.schema import Config, TrainConfig
from core.data.dataset import VideoDataset
from core.data.loader import ClipBatch
from core.data.split import Split, make_split
from core.data.youtube_vis import load_dataset
from core.errors import UserError
from core.files import read_json, write_json
from core.model.tevit import TeViT
from core.training.checkpoint import LoadReport
from core.training.pretrained import load_pretrained, load_weights
from core.training.recompute import recompute_activations
from core.training.world import World

FREE_FIELDS = (
    "inference.",
    "data.test_size",
    "data.workers",
    "train.checkpoint_every",
    "train.log_every",
    "train.checkpointing",
    "train.eval_every",
)
"""What may change between a run and its resumption without changing what it computes."""

log = logging.getLogger(__name__)


def check_clips(config: Config, world: World) -> None:
    """Each process gets as many clips as the others, so that their number changes no result.

    Raises:
        UserError: the clips of a step do not divide.
    """
    passes = world.size * config.train.accumulate
    if config.train.clips % passes:
        raise UserError(
            f"train.clips={config.train.clips} does not divide into {world.size} processes with "
            f"train.accumulate={config.train.accumulate} forward passes each; use a multiple of "
            f"{passes}"
        )


def training_split(config: Config, world: World) -> tuple[VideoDataset, Split]:
    """The dataset, and which of its videos train; whatever can be known to be wrong is refused.

    Raises:
        UserError: as :func:`check_clips` and :func:`check_classes`; or the data have faults.
    """
    check_clips(config, world)
    dataset = load_dataset(config.data)
    check_classes(config, dataset)
    return dataset, make_split(dataset, config.data)


def check_classes(config: Config, dataset: VideoDataset) -> None:
    """Refuse a head with fewer classes than the dataset.

    Raises:
        UserError: naming both numbers.
    """
    have, need = config.head.classes, len(dataset.categories)
    if have < need:
        raise UserError(
            f"head.classes={have}, but {dataset.annotations_path} has {need} classes: "
            f"set head.classes={need}"
        )
    if have > need:
        log.warning("head.classes=%d, but the data have %d: the rest learn nothing", have, need)


def check_same_config(config: Config, saved: Mapping[str, Any], path: Path) -> None:
    """Refuse to go on with another config, except in fields that do not change the training.

    Raises:
        UserError: naming the fields that differ.
    """
    # a field that there was not yet when the run began stood at what is now its default
    ours, theirs = flatten(config.to_dict()), flatten(Config().to_dict()) | flatten(saved)
    changed = [
        f"{name}={ours.get(name)} (was {theirs.get(name)})"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name) and not name.startswith(FREE_FIELDS)
    ]
    if changed:
        raise UserError(
            f"{path} is of another config: {', '.join(changed)}; train in another folder"
        )


def claim_folder(folder: Path, config: Config, name: str) -> None:
    """Make ``folder`` that of a run of ``config``, by its ``config.json``.

    One whose run ended before its first step, for want of its data say, may become another's.

    Raises:
        UserError: it is already that of another config.
    """
    path = folder / "config.json"
    begun = folder.is_dir() and {p.name for p in folder.iterdir()} - {"config.json", "split.json"}
    if path.exists() and begun:
        record = read_json(path)
        check_same_config(config, record.get("config", record), path)
    elif any((folder / "checkpoints").glob("*.pt")):
        raise UserError(f"{folder}: holds checkpoints but no config.json; train in another folder")
    else:
        write_json(path, {"name": name, "config": config.to_dict()})


def load_initial_weights(
    model: TeViT, config: Config, start: Path | None = None, classes: Sequence[str] = ()
) -> list[LoadReport]:
    """Fill ``model`` from ``backbone.pretrained``, then ``train.init``, then ``start``, if given.

    Args:
        classes: what the model's classes are called, to find them in those files.
        start: checkpoint of the run that this one starts from.

    Raises:
        UserError: a file is missing, broken, unsafe or does not fit.
    """
    reports = []
    if config.backbone.pretrained is not None:
        reports.append(load_pretrained(model.backbone, config.backbone.pretrained))
    for weights in (config.train.init, start):
        if weights is not None:
            reports.append(load_weights(model, weights, classes))
    return reports


def prepare(model: TeViT, train: TrainConfig, device: torch.device) -> None:
    """Have activations recomputed and parts compiled, where the config says so, in place.

    Raises:
        UserError: there is nothing here to compile with.
    """
    if train.checkpointing:
        recompute_activations(model)
    if train.compile:
        try:
            torch.compile(torch.neg)(torch.ones(2, device=device))
        except Exception as error:  # which it is depends on what is missing
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(
                f"train.compile=true, but torch.compile does not work here ({reason:.200}): it "
                "needs a C++ compiler, on a GPU also triton; or set train.compile=false"
            ) from error
        # what surrounds these looks at the numbers of instances, which differ from step to step
        for part in (model.backbone, model.neck, *model.roi_head.bbox_head):
            part.compile()


def losses_of(
    model: nn.Module, batch: ClipBatch, device: torch.device, train: TrainConfig
) -> dict[str, Tensor]:
    """The losses of a batch, whose sum is learned from, in the precision that the config says."""
    frames, targets = batch
    with torch.autocast(device.type, torch.bfloat16, enabled=train.precision == "bf16"):
        outputs: dict[str, Tensor] = model(
            frames.to(device, non_blocking=True), [target.to(device) for target in targets]
        )
    return {name: value for name, value in outputs.items() if "loss" in name}


def seed_all(seed: int) -> None:
    """Seed every generator that the training may draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def parallel(model: TeViT, world: World, device: torch.device) -> nn.Module:
    """The model itself, or wrapped so that the ranks' gradients are averaged."""
    if world.size == 1:
        return model
    # a matter of speed, of a 1x1 convolution's few weights
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    # every switch leaves every trained parameter on the way to a loss: none has to be looked for
    ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=ids)
