"""How an AP came about: what travels with the figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config.schema import Config
from core.data.dataset import VideoDataset
from core.training.checkpoint import read_file


def ap_protocol(config: Config, dataset: VideoDataset, checkpoint: Path) -> dict[str, Any]:
    """The protocol of the AP of a config's held-out videos.

    Args:
        config: the cell's.
        dataset: the held-out videos.
        checkpoint: the file whose weights predicted.
    """
    contents = read_file(checkpoint, lazy=True)
    step = (contents.get("meta") or {}).get("step") if isinstance(contents, Mapping) else None
    inference = config.inference
    weights = checkpoint.stem if step is None else f"{checkpoint.stem}, step {step}"
    if inference.weights == "ema":
        weights += f", moving average ({config.train.ema:g})"
    protocol: dict[str, Any] = {
        "data": dataset.name,
        "split": f"held out: {config.data.holdout:g} of the videos, seed {config.data.split_seed}",
        "seed": config.seed,
        "checkpoint": weights,
        "mode": inference.mode,
        "top_k": inference.top_k,
        "test_size": list(config.data.test_size),
        "mask_size": "video",
        "precision": inference.precision,
    }
    if dataset.of_images:
        protocol["evaluator"] = "pycocotools, images"
    if config.data.split_file is not None:
        protocol["split"] = f"held out: {config.data.split_file.name}"
    if inference.mode == "near_online":
        protocol |= {"clip_length": inference.clip_length, "stride": inference.stride}
    return protocol
