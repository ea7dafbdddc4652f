"""The part of a config that can change a result, and the signature made of it.

Two cells with the same signature compute the same thing, so they share one run.  A field is
left out only where it provably has no effect; where in doubt it stays, which at worst runs
something twice.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from core.config.schema import (
    AugmentConfig,
    BackboneConfig,
    Config,
    DataConfig,
    HeadConfig,
    InferenceConfig,
    MessengerConfig,
    Section,
    TrainConfig,
)
from core.data.locate import find_annotations
from core.data.synthetic.dataset import GENERATOR_VERSION
from core.errors import UserError
from core.files import kind_of

SCHEMA = 1
"""Raise it when the same config comes to mean something else; every signature changes."""

ADDED: dict[type[Section], dict[str, Any]] = {
    BackboneConfig: {"temporal": "messengers"},
    HeadConfig: {
        "bce_weight": 0.0,
        "focal_alpha": 0.25,
        "focal_gamma": 2.0,
        "auxiliary_weight": 1.0,
    },
    DataConfig: {
        "synthetic.blinking": 0.0,
        "synthetic.light": 0.0,
        "clip_range": None,
        "pseudo_clips": "off",
        "augment": AugmentConfig().model_dump(mode="json"),
    },
    TrainConfig: {
        "layer_decay": 1.0,
        "optimizer": "adamw",
        "decay_norms": True,
        "ema": 0.0,
        "compile": False,
    },
    InferenceConfig: {"weights": "raw"},
}
"""Fields that came later, with the value that means what was before them: at that value they are
left out, so that runs made before keep their signatures."""

SECTIONS = ("backbone", "messenger", "head", "data", "train", "inference")
_annotations = functools.lru_cache(maxsize=1024)(find_annotations)
_resolved = functools.lru_cache(maxsize=1024)(Path.resolve)
_DIGITS = 16
_WHOLE = 64 * 2**20
_BLOCK = 2**20
_BLOCKS = 16


def signature(config: Config, start: str | None = None) -> str:
    """16 hex digits that name the run of ``config``: schema version, fields with effect, seed.

    Args:
        start: signature of the run whose weights it begins with, if it begins with a run's.
    """
    parts = [_text(getattr(config, name)) for name in SECTIONS]
    begins = {} if start is None else {"start": start}
    parts.append(_json({"schema": SCHEMA, "seed": config.seed, **_files(config), **begins}))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]


def training_signature(config: Config, start: str | None = None) -> str:
    """The same for configs that differ only in what testing alone reads: their weights are equal.

    That is ``inference.*`` and ``data.test_size``.
    """
    data = config.data.model_copy(update={"test_size": DataConfig().test_size})
    trained = config.model_copy(update={"data": data, "inference": InferenceConfig()})
    return signature(trained, start)


def _files(config: Config) -> dict[str, Any]:
    """What files and folders hold, not where they are; looked at each time, as they can change."""
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
    values = _with_effect(section)
    for name, before in ADDED.get(type(section), {}).items():
        *path, leaf = name.split(".")
        group = functools.reduce(lambda inner, key: inner.get(key, {}), path, values)
        if leaf in group and group[leaf] == before:
            del group[leaf]
    return values


def _with_effect(section: Section) -> dict[str, Any]:
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
            return _without(section, "init", *_idle_training(section))
        case InferenceConfig(mode="offline"):
            return _without(section, "clip_length", "stride", "match_threshold")
        case _:
            return _without(section)


def _idle_training(train: TrainConfig) -> list[str]:
    idle = ["checkpoint_every", "log_every", "eval_every"]
    idle.append("checkpointing")  # the same numbers in less memory
    read = {"step": ("milestones",), "cosine": ("final_lr",), "wsd": ("final_lr", "cooldown")}
    of_schedules = ("milestones", "final_lr", "cooldown")
    idle += [name for name in of_schedules if name not in read.get(train.schedule, ())]
    return idle + (["momentum"] if train.optimizer != "sgd" else [])


def _without(section: Section, *names: str) -> dict[str, Any]:
    return section.model_dump(mode="json", exclude=set(names))


def _messenger(section: MessengerConfig) -> dict[str, Any]:
    if not section.tokens:
        return {"tokens": 0}
    steps = [section.steps_of_stage(stage) for stage in (1, 2, 3, 4)]
    return {"tokens": section.tokens, "stages": section.stages, "steps": steps}


def _idle_data(data: DataConfig) -> list[str]:
    idle = ["annotations", "images", "split_file", "mix"]
    idle.append("workers")  # a clip is a function of seed and index alone
    if data.root != "synthetic":
        idle += ["root", "synthetic"]
    if data.split_file is not None:
        idle += ["holdout", "split_seed"]
    return idle


def file_identity(path: Path | None, *, whole: bool = False) -> str | None:
    """A name for the content of ``path``: the same for a copy, another after a change.

    Up to 64 MiB are hashed whole.  Of larger weights the size, the first and the last MiB and
    14 MiB spread between them are: a checkpoint's last MiB is its table of contents, with a
    checksum of every tensor.  A file that cannot be read stands by its path.

    Args:
        whole: hash all of the file however large, for text in which each byte counts.
    """
    if path is None:
        return None
    full = path.expanduser().absolute()
    try:
        stat = full.stat()
        return _digest(str(full), stat.st_size, stat.st_mtime_ns, whole)
    except OSError:
        return f"path:{full}"


def data_identity(data: DataConfig) -> dict[str, str | None]:
    """What a dataset on disk is: its annotations by content, its images by folder.

    Generated data are what their fields and the generator's version make.

    Images are too many to look at: replacing them in place goes unnoticed, moving them does not.
    """
    mix = {}
    if data.mix:  # not as paths: by what the files hold
        found = (data_identity(DataConfig(root=root)) for root, _ in data.mix)
        shares = (share for _, share in data.mix)
        mix = {"mix": json.dumps([*zip(found, shares, strict=True)])}
    if data.root == "synthetic":
        # the first version's runs were named before versions counted
        generator = {"generator": str(GENERATOR_VERSION)} if GENERATOR_VERSION > 1 else {}
        return {**generator, **mix, "split_file": file_identity(data.split_file, whole=True)}
    root = Path(data.root).expanduser().absolute()
    try:
        annotations = _annotations(root, data.annotations)
    except UserError:
        annotations = root / (data.annotations or "")
    return {
        "annotations": file_identity(annotations, whole=True),
        "images": str(_resolved(root) / (data.images or "")),
        "split_file": file_identity(data.split_file, whole=True),
        **mix,
    }


def dataset_fault(data: DataConfig) -> str | None:
    """What is missing of the datasets on disk, without opening them; none: they are there."""
    for other, _ in data.mix:
        if (fault := dataset_fault(DataConfig(root=other))) is not None:
            return f"data.mix: {fault}"
    if data.root == "synthetic":
        return None
    root = Path(data.root).expanduser().absolute()
    try:
        _annotations(root, data.annotations)
    except UserError as error:
        return str(error)
    folder = (root if root.is_dir() else root.parent) / (data.images or "")
    return None if kind_of(folder) == "folder" else f"{folder}: no such image folder (data.images)"


@functools.lru_cache(maxsize=1024)
def _digest(path: str, size: int, mtime_ns: int, whole: bool) -> str:
    """Hash of the content; size and time of change are there to make the cache forget."""
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as stream:
        if whole or size <= _WHOLE:
            while block := stream.read(_BLOCK):
                digest.update(block)
        else:
            for k in range(_BLOCKS):
                stream.seek((size - _BLOCK) * k // (_BLOCKS - 1))
                digest.update(stream.read(_BLOCK))
    return f"sha256:{digest.hexdigest()[:32]}"
