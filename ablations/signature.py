"""The part of a config that can change a result, and the signature made of it.

Two cells with the same signature compute the same thing, so they share one run.  A field is
left out only where it provably has no effect; where in doubt it stays, which at worst runs
something twice.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

from ablations.fingerprint import data_identity, file_identity
from core.config.schema import (
    BackboneConfig,
    Config,
    DataConfig,
    InferenceConfig,
    MessengerConfig,
    Section,
    TrainConfig,
)

SCHEMA = 1
"""Raise it when the same config comes to mean something else; every signature changes."""

SECTIONS = ("backbone", "messenger", "head", "data", "train", "inference")
_DIGITS = 16


def signature(config: Config, start: str | None = None) -> str:
    """16 hex digits that name the run of ``config``: schema version, fields with effect, seed.

    Args:
        start: signature of the run whose weights it begins with, if it begins with a run's.
    """
    parts = [_text(getattr(config, name)) for name in SECTIONS]
    begins = {} if start is None else {"start": start}
    parts.append(_json({"schema": SCHEMA, "seed": config.seed, **_files(config), **begins}))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]


def canonical(config: Config) -> dict[str, Any]:
    """What the signature is made of, as plain values.

    Files (weights, annotations, a split) stand by what they hold, not by their path.
    """
    sections = {name: effective(getattr(config, name)) for name in SECTIONS}
    return {**sections, "schema": SCHEMA, "seed": config.seed, **_files(config)}


def _files(config: Config) -> dict[str, Any]:
    """What files and folders hold; looked at each time, since they can change."""
    return {
        "pretrained": file_identity(config.backbone.pretrained),
        "init": file_identity(config.train.init),
        **data_identity(config.data),
    }


@functools.lru_cache(maxsize=4096)
def _text(section: Section) -> str:
    # the cells of a grid share most of their sections, so each is written once
    return _json(effective(section))


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def effective(section: Section) -> dict[str, Any]:
    """The section's fields that can change a result, without those that name files."""
    match section:
        case BackboneConfig():
            # a ResNet has no stochastic depth, a transformer no batch norm
            other = "drop_path" if section.name.startswith("resnet") else "norm_eval"
            return _without(section, other, "pretrained")
        case MessengerConfig():
            return _messenger(section)
        case DataConfig():
            return _without(section, *_idle_data(section))
        case TrainConfig():
            idle = ["milestones"] if section.schedule == "one_cycle" else []
            return _without(section, "init", "checkpoint_every", "log_every", *idle)
        case InferenceConfig(mode="offline"):
            return _without(section, "clip_length", "stride", "match_threshold")
        case _:
            return _without(section)


def _without(section: Section, *names: str) -> dict[str, Any]:
    return section.model_dump(mode="json", exclude=set(names))


def _messenger(section: MessengerConfig) -> dict[str, Any]:
    if not section.tokens:
        return {"tokens": 0}
    steps = [section.steps_of_stage(stage) for stage in (1, 2, 3, 4)]
    return {"tokens": section.tokens, "stages": section.stages, "steps": steps}


def _idle_data(data: DataConfig) -> list[str]:
    idle = ["annotations", "images", "split_file"]
    idle.append("workers")  # a clip is a function of seed and index alone
    if data.root != "synthetic":
        idle += ["root", "synthetic"]
    if data.split_file is not None:
        idle += ["holdout", "split_seed"]
    return idle
