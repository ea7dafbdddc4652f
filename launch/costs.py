"""Parameters and multiply-adds of a grid's cells, each distinct model once, kept in a cache.

Both are counted on shapes alone: half a second a model of any size.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pydantic

from ablations.cell import Cell
from ablations.signature import SCHEMA
from core.config.schema import Config
from core.errors import UserError
from core.files import cache_folder, write_json
from launch.records import lease
from launch.records.run_folder import RunFolder
from launch.records.shapes import RecordFile, read_whole
from launch.records.store import Store

logger = logging.getLogger(__name__)

MOST_MODELS = 12
MOST_CELLS = 500


@pydantic.dataclasses.dataclass(frozen=True)
class Costs:
    """What a model costs.

    Attributes:
        parameters: number of them.
        multiply_adds: a frame, at the config's test size and clip length; None: not counted.
    """

    parameters: pydantic.StrictInt | None = None
    multiply_adds: pydantic.StrictInt | None = None


def costs_of(
    store: Store,
    cells: Iterable[Cell],
    *,
    count: bool,
    each: Callable[[str], None] = lambda name: None,
) -> dict[str, Costs]:
    """Costs by signature, from the runs' records, the cache, or counted now.

    Args:
        count: False: only what is known already.
        each: called with the name of a cell before its model is counted.
    """
    known: dict[str, Costs] = {}
    found: dict[str, Costs] = {}
    keys: dict[int, str] = {}
    for cell in cells:
        # cells of a grid share their validated sections, so most keys need no hashing
        parts = (cell.config.backbone, cell.config.messenger, cell.config.head)
        identity = hash((*map(id, parts), id(cell.config.data), id(cell.config.inference)))
        key = keys.get(identity) or keys.setdefault(identity, model_key(cell.config))
        if key not in known:
            known[key] = _recorded(store.run(cell.signature)) or _cached(key) or Costs()
            if count and known[key].multiply_adds is None:
                each(cell.name)
                known[key] = _counted(cell.config)
                _keep(key, known[key])
        found[cell.signature] = known[key]
    return found


def known_costs(run: RunFolder, config: Config) -> Costs:
    """Costs by the run's own record or the cache, as far as they are known."""
    return _recorded(run) or _cached(model_key(config)) or Costs()


def worth_counting(cells: Iterable[Cell]) -> bool:
    """Whether a plan should count unasked: few models, and a grid that a person reads."""
    listed = list(cells)
    if len(listed) > MOST_CELLS:
        return False
    return len({model_key(cell.config) for cell in listed}) <= MOST_MODELS


def model_key(config: Config) -> str:
    """A name for everything that parameters and multiply-adds depend on."""
    dump = config.model_dump(mode="json", include={"backbone", "messenger", "head", "inference"})
    dump["backbone"].pop("pretrained")
    generated = config.data.root == "synthetic"
    video_size = config.data.synthetic.size if generated else None  # other data have a usual size
    shape = [config.data.test_size, config.data.clip_length, video_size]
    text = json.dumps({"schema": SCHEMA, "model": dump, "shape": shape}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _recorded(run: RunFolder) -> Costs | None:
    record = lease.read_dict(run.result("flops"), RecordFile) or {}
    figures: Mapping[str, Any] = record.get("figures") or {}
    with contextlib.suppress(KeyError, pydantic.ValidationError):
        return Costs(figures.get("parameters"), figures["total"])
    return None


def _cache_file(key: str) -> Path:
    return cache_folder() / "costs" / f"{key}.json"


def _cached(key: str) -> Costs | None:
    with contextlib.suppress(UserError):  # which is said when it is to be kept
        return read_whole(_cache_file(key), Costs, "what a model costs")
    return None


def _keep(key: str, counted: Costs) -> None:
    try:
        write_json(_cache_file(key), asdict(counted))
    except (OSError, UserError) as error:  # without it a plan is slower next time, and as right
        logger.warning("multiply-adds are not kept for the next plan: %s", error)


def _counted(config: Config) -> Costs:
    from benchmarks.flops.record import planned_costs

    try:
        return Costs(*planned_costs(config))
    except UserError as error:  # no trustworthy count is no reason not to plan
        logger.warning("multiply-adds not counted: %s", error)
        return Costs(parameters(config))


def parameters(config: Config) -> int:
    """Parameters of the configured model, which is built without memory for them."""
    import torch

    from core.model.tevit import build_model

    with torch.device("meta"):
        return sum(p.numel() for p in build_model(config).parameters())
