"""What was predicted when a grid was launched, and what its runs have taken since.

launch/prices/GRID.json    signature to the range of device hours, and the devices of a cell
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path

from core.files import write_json
from launch.price.estimate import NOTHING, Range
from launch.price.price import Price
from launch.records import lease
from launch.records.store import Manifest, Store


@dataclass(frozen=True)
class Spent:
    """Of the finished runs of a grid that had a price.

    Attributes:
        runs: how many.
        hours: device hours that they took.
        predicted: device hours that were predicted.
        unit: "GPU" or "core".
    """

    runs: int
    hours: float
    predicted: Range
    unit: str


def remember(store: Store, grid: str, price: Price, submitted: Collection[str]) -> None:
    """Record the prices of what was submitted; a run keeps the price of its first submission."""
    cells = {
        signature: {**asdict(cell.hours), "units": cell.units, "gpu": bool(cell.share.gpus)}
        for signature, cell in price.cells.items()
        if signature in submitted
    }
    if cells:
        write_json(_file(store, grid), {"schema": 1, "cells": {**cells, **_known(store, grid)}})


def spent_of(store: Store, manifest: Manifest) -> list[Spent]:
    """Spent and predicted device hours, GPUs and CPU cores apart."""
    known = _known(store, manifest.grid)
    found: dict[bool, list[tuple[float, Range]]] = {}
    for signature in dict.fromkeys(cell.signature for cell in manifest.all_cells):
        done = lease.read_dict(store.run(signature).done_path)
        if signature not in known or done is None:
            continue
        try:
            price = known[signature]
            predicted = Range(price["low"], price["mid"], price["high"])
            took = done["wall_s"] * price["units"] / 3600
        except (KeyError, TypeError):
            continue
        found.setdefault(bool(price.get("gpu")), []).append((took, predicted))
    return [
        Spent(
            len(pairs),
            sum(took for took, _ in pairs),
            reduce(Range.__add__, (predicted for _, predicted in pairs), NOTHING),
            "GPU" if gpu else "core",
        )
        for gpu, pairs in found.items()
    ]


def _file(store: Store, grid: str) -> Path:
    return store.journal / "prices" / f"{grid}.json"


def _known(store: Store, grid: str) -> dict[str, dict[str, float]]:
    cells = (lease.read_dict(_file(store, grid)) or {}).get("cells")
    return cells if isinstance(cells, dict) else {}
