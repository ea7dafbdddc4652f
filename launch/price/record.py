"""What was predicted when a grid was launched, and what its runs have taken since.

launch/prices/GRID.json    signature to the range of device hours, and the devices of a cell
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.files import write_json
from launch.price.estimate import Range
from launch.price.observed import joules_of
from launch.price.price import Price
from launch.records import lease
from launch.records.run_folder import RunFolder
from launch.records.shapes import DoneFile, PricePart, misfit
from launch.records.store import Manifest, Store


@dataclass(frozen=True)
class Spent:
    """Of the finished runs of a grid that had a price.

    Attributes:
        runs: how many.
        hours: device hours that they took.
        predicted: device hours that were predicted.
        unit: "GPU" or "core".
        watt_hours: that they took; None: not measured of each, or they shared what is measured.
        predicted_watt_hours: that were predicted; None: of one there was no prediction.
    """

    runs: int
    hours: float
    predicted: Range
    unit: str
    watt_hours: float | None
    predicted_watt_hours: Range | None


def remember(store: Store, grid: str, price: Price, submitted: Collection[str]) -> None:
    """Record the prices of what was submitted; a run keeps the price of its first submission."""
    cells = {
        signature: {
            **asdict(cell.hours),
            "units": cell.share.units,
            "gpu": bool(cell.share.gpus),
            "alone": cell.share.alone,
            "watt_hours": cell.watt_hours and asdict(cell.watt_hours),
        }
        for signature, cell in price.cells.items()
        if signature in submitted
    }
    if cells:
        write_json(_file(store, grid), {"schema": 1, "cells": {**cells, **_known(store, grid)}})


def spent_of(store: Store, manifest: Manifest) -> list[Spent]:
    """Spent and predicted device hours, GPUs and CPU cores apart."""
    known = _known(store, manifest.grid)
    found: dict[str, Spent] = {}
    for signature in dict.fromkeys(cell.signature for cell in manifest.all_cells):
        run = store.run(signature)
        done = lease.read_dict(run.done_path, DoneFile)
        if signature not in known or done is None:
            continue
        try:
            one = _spent(run, done, known[signature])
        except (KeyError, TypeError):
            continue
        found[one.unit] = one if one.unit not in found else _both(found[one.unit], one)
    return list(found.values())


def _spent(run: RunFolder, done: Mapping[str, Any], price: Mapping[str, Any]) -> Spent:
    joules = joules_of(run, done["attempts"]) if price.get("alone") else None
    predicted = price.get("watt_hours")
    return Spent(
        runs=1,
        hours=done["wall_s"] * price["units"] / 3600,
        predicted=Range(price["low"], price["mid"], price["high"]),
        unit="GPU" if price.get("gpu") else "core",
        watt_hours=None if joules is None else joules / 3600,
        predicted_watt_hours=None if predicted is None else Range(**predicted),
    )


def _both(a: Spent, b: Spent) -> Spent:
    hours, more = a.watt_hours, b.watt_hours
    expected, further = a.predicted_watt_hours, b.predicted_watt_hours
    return Spent(
        a.runs + b.runs,
        a.hours + b.hours,
        a.predicted + b.predicted,
        a.unit,
        None if hours is None or more is None else hours + more,
        None if expected is None or further is None else expected + further,
    )


def _file(store: Store, grid: str) -> Path:
    return store.journal / "prices" / f"{grid}.json"


def _known(store: Store, grid: str) -> dict[str, dict[str, Any]]:
    cells = (lease.read_dict(_file(store, grid)) or {}).get("cells")
    cells = cells if isinstance(cells, dict) else {}
    return {name: cell for name, cell in cells.items() if misfit(cell, PricePart) is None}
