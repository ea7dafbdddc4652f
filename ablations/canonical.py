"""The part of a config that can change a result, and the signature made of it.

Two cells with the same signature compute the same thing, so they share one run.  A field is
left out only where it provably has no effect; where in doubt it stays, which at worst runs
something twice.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ablations.fingerprint import file_identity, folder_identity
from core.config import Config

SCHEMA = 1
"""Raise it when the same config comes to mean something else; every signature changes."""

_DIGITS = 16


def signature(config: Config) -> str:
    """16 hex digits that name the run of ``config``: schema version, fields with effect, seed."""
    payload = {"schema": SCHEMA, "config": canonical(config)}
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def canonical(config: Config) -> dict[str, Any]:
    """``config`` as plain values without the fields that cannot change a result.

    Files (weights, split, annotations) stand by what they hold, not by their path.
    """
    tree = config.to_dict()
    tree["messenger"] = _messenger(config)
    _backbone(tree["backbone"], config)
    _data(tree["data"], config)
    _train(tree["train"], config)
    if config.inference.mode == "offline":
        for name in ("clip_length", "stride", "match_threshold"):
            del tree["inference"][name]
    return tree


def _messenger(config: Config) -> dict[str, Any]:
    messenger = config.messenger
    if not messenger.tokens:
        return {"tokens": 0}
    steps = [messenger.steps_of_stage(stage) for stage in (1, 2, 3, 4)]
    return {"tokens": messenger.tokens, "stages": messenger.stages, "steps": steps}


def _backbone(section: dict[str, Any], config: Config) -> None:
    if config.backbone.name.startswith("resnet"):
        del section["drop_path"]  # a ResNet has no stochastic depth
    else:
        del section["norm_eval"]  # a transformer has no batch norm
    section["pretrained"] = file_identity(config.backbone.pretrained)


def _data(section: dict[str, Any], config: Config) -> None:
    data = config.data
    del section["workers"]  # a clip is a function of seed and index alone
    if data.root == "synthetic":
        del section["annotations"], section["images"]
    else:
        del section["synthetic"]
        section["root"] = folder_identity(data.root)
    if data.split_file is not None:
        del section["holdout"], section["split_seed"]
        section["split_file"] = file_identity(data.split_file)


def _train(section: dict[str, Any], config: Config) -> None:
    del section["checkpoint_every"], section["log_every"]
    if config.train.schedule == "one_cycle":
        del section["milestones"]
    section["init"] = file_identity(config.train.init)
