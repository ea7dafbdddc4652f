"""The cells' figures in the form of the ``model-index`` of model cards."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmarks.figures import FIGURES
from reports.frame.cells import CellRows, frame_cells
from reports.frame.protocol import common_protocol, show_value
from reports.frame.statistics import seed_summary

_TASK = {"type": "video-instance-segmentation", "name": "Video instance segmentation"}
_SHOWN = ("AP", "AP50", "AP75", "AR1", "AR10", "params", "macs", "fps")


def model_index(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    """An entry a cell: mean over its seeds, with deviation and seeds among the arguments.

    Cells whose seeds were measured by different protocols have no mean and no such figure.

    Args:
        name: of the grid.
    """
    cells = [(cell, _metrics(cell)) for cell in frame_cells(frame)]
    entries = [
        {
            "name": f"{name}: {cell.name}",
            "results": [{"task": _TASK, "dataset": _dataset(cell), "metrics": metrics}],
        }
        for cell, metrics in cells
        if metrics
    ]
    return {"model-index": entries}


def _dataset(cell: CellRows) -> dict[str, str]:
    protocol = common_protocol(cell.rows, "ap")
    data = show_value(protocol.get("data", "none"))
    found = {"name": data, "type": data}
    return found | ({"split": show_value(protocol["split"])} if "split" in protocol else {})


def _metrics(cell: CellRows) -> list[dict[str, Any]]:
    metrics = []
    for figure in (FIGURES[key] for key in _SHOWN):
        values = {} if cell.mixed(figure.kind) else cell.values(figure)
        summary = seed_summary(list(values.values()))
        if summary is None:
            continue
        arguments: dict[str, Any] = {"seeds": list(values), "std": summary.std}
        if figure.kind == "fps":
            device = common_protocol(cell.rows, "fps").get("device")
            arguments["device"] = None if device is None else show_value(device)
        metrics.append(
            {"type": figure.key, "name": figure.label, "value": summary.mean, "args": arguments}
        )
    return metrics
