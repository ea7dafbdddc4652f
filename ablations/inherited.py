"""What cells take over from the weights of their start runs: said once a grid, before it runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ablations.cell import Cell
from core.config.schema import Config, DataConfig
from core.errors import UserError
from core.model.tevit import build_model
from core.training.checkpoint import LoadReport, load_state
from core.training.pretrained import CLASS_LAYERS


def inherited(cells: Sequence[Cell]) -> list[str]:
    """A text for each start run and each difference between its model and its followers'.

    The models are built without memory for their weights, so nothing has to have been trained.

    Raises:
        UserError: a cell's model has no tensor in common with that of its start run.
    """
    followers: defaultdict[tuple[str, str], list[Cell]] = defaultdict(list)
    reports: dict[str, LoadReport] = {}
    for cell in cells:
        if cell.start is not None and cell.trains:
            key = repr((_model_of(cell.start.config), _model_of(cell.config)))
            if key not in reports:
                reports[key] = _report(cell.start.config, cell.config, cell.name)
            stem = cell.start.name.rpartition(",")[0]
            followers[stem, reports[key].summary()].append(cell)
    return [
        f"{len(found)} cell{'s begin' if len(found) > 1 else ' begins'} with the weights of "
        f"{start}\n{text}"
        for (start, text), found in followers.items()
    ]


def _model_of(config: Config) -> tuple[object, ...]:
    return config.backbone, config.messenger, config.head, *_videos(config.data), *_split(config)


def _videos(data: DataConfig) -> tuple[object, ...]:
    return data.root, data.annotations, data.synthetic if data.root == "synthetic" else None


def _split(config: Config) -> tuple[object, ...]:
    data = config.data
    return (data.split_file,) if data.split_file else (data.holdout, data.split_seed)


def _report(start: Config, config: Config, cell: str) -> LoadReport:
    with torch.device("meta"):
        state, model = build_model(start).state_dict(), build_model(config)
        note = ""
        if _videos(start.data) == _videos(config.data) and _split(start) != _split(config):
            note = (
                "the start run splits the same videos in another way (data.holdout, split_seed, "
                "split_file), so it is trained on some that these cells are scored on"
            )
        if start.data.root != config.data.root:
            note = "classes are taken over by name, others begin afresh"
            ours = model.state_dict()
            state |= {n: v for n, v in ours.items() if n in state and n.endswith(CLASS_LAYERS)}
        try:
            return replace(load_state(model, state, Path("start run")), note=note)
        except UserError as error:
            raise UserError(
                f"cell {cell} has nothing in common with its start run: {error}"
            ) from None
