"""Stores of invented runs, in the layout that launch writes."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.config.presets import preset
from core.data.rle import decode, encode
from core.data.split import make_split, write_split
from core.data.youtube_vis import load_dataset
from launch.records.store import Manifest, ManifestCell, Store
from reports.frame.cells import frame_cells
from reports.frame.collect import collect
from reports.frame.runs import GridRuns, read_runs
from reports.plots.all import make_plots
from reports.plots.style import Plot
from reports.tables.labels import names_for

COMPONENTS: dict[str, dict[str, dict[str, Any]]] = {
    "messenger": {"off": {"messenger.tokens": 0}, "on": {"messenger.tokens": 8}},
    "head": {"per_frame": {"head.kind": "per_frame"}, "stqi": {"head.kind": "stqi"}},
}
PINNED = {
    "backbone.name": "pvt_v2_b0",
    "head.stages": 3,
    "data.clip_length": 3,
    "train.steps": 800,
}
"""What the invented figures speak of, whatever the preset becomes."""

TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "core/training/train.py", line 88, in train\n'
    "    loss.backward()\n"
    "RuntimeError: loss is nan <step 41> & more"
)

Labels = Mapping[str, str]
PerRun = Callable[[Labels, int], Any]


def invented_ap(axes: Labels, seed: int) -> float:
    """An AP that both components raise, with a spread over seeds."""
    gain = 0.06 * (axes.get("messenger") == "on") + 0.09 * (axes.get("head") == "stqi")
    noise = np.random.default_rng([seed, len(str(axes))]).normal(0, 0.006)
    return float(0.25 + gain + 0.02 * np.sin(seed) + noise)


@dataclass
class Grid:
    """What to invent; every field can be replaced by keyword."""

    name: str = "components"
    axes: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=lambda: COMPONENTS)
    seeds: Sequence[int] = (0, 1, 2)
    measure: Sequence[str] = ("ap", "flops", "fps")
    table: Mapping[str, Any] | None = None
    ap: PerRun = invented_ap
    state: PerRun = lambda axes, seed: "done"
    device: PerRun = lambda axes, seed: "CPU (Xeon, 1 threads)"
    split: PerRun = lambda axes, seed: "held-out"
    oom: PerRun = lambda axes, seed: None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def make_store(root: Path, **changes: Any) -> Store:
    """A store with one grid of invented runs."""
    grid, store = Grid(**changes), Store(root)
    cells = []
    choices = [list(values.items()) for values in grid.axes.values()]
    for chosen in itertools.product(*choices):
        labels = dict(zip(grid.axes, (label for label, _ in chosen), strict=True))
        switches = {k: v for _, values in chosen for k, v in values.items()}
        for seed in grid.seeds:
            name = "-".join([*labels.values(), f"seed{seed}"])
            signature = hashlib.sha256(f"{grid.name} {name}".encode()).hexdigest()[:16]
            cells.append(ManifestCell(name, signature, seed, labels, tuple(grid.measure)))
            switches_now = {**grid.overrides, **switches, "seed": seed}
            make_run(store, cells[-1], grid, switches_now)
    axes = {axis: list(values) for axis, values in grid.axes.items()}
    store.write_manifest(
        Manifest(
            grid.name,
            "2026-01-02T03:04:05+00:00",
            "Which component brings what.",
            axes,
            tuple(grid.measure),
            grid.table,
            tuple(cells),
        )
    )
    return store


def make_run(store: Store, cell: ManifestCell, grid: Grid, switches: Mapping[str, Any]) -> None:
    folder = store.run(cell.signature)
    state = grid.state(cell.axes, cell.seed)
    if state == "new":
        return
    config = preset("tiny", {**PINNED, **switches})
    record = {"schema": 1, "signature": cell.signature, "name": cell.name}
    write(folder.config_path, {**record, "config": config.to_dict()})
    write(folder.provenance(1), PROVENANCE)
    history = "".join(json.dumps(line) + "\n" for line in invented_history(cell.seed))
    folder.history.write_text(history if state in ("done", "failed") else "")
    make_state(folder, state)
    if state == "done":
        for kind in grid.measure:
            write(folder.result(kind), RECORDS[kind](cell, grid, config))


def make_state(folder: Any, state: str) -> None:
    if state == "done":
        done = {"time": "2026-01-02T04:00:00+00:00", "wall_s": 321.0, "attempts": 1}
        write(folder.state_folder / "1.json", {"host": "node1", "pid": 1})
        write(folder.state_folder / "1.end.json", {"outcome": "done", "time": 0})
        write(folder.done_path, done)
    elif state == "running":
        write(folder.state_folder / "1.json", {"host": "elsewhere", "pid": 1})
    elif state == "queued":
        write(folder.state_folder / "queued.json", {"batch": "b", "index": 0, "time": 0})
    elif state == "failed":
        write(folder.state_folder / "1.json", {"host": "node1", "pid": 1})
        end = {"outcome": "failed", "cause": "error", "time": 0}
        write(folder.state_folder / "1.end.json", end)
        last = TRACEBACK.splitlines()[-1]
        failure = {"attempt": 1, "cause": "error", "last_line": last, "traceback": TRACEBACK}
        write(folder.failure_path, {**failure, "time": "2026-01-02T03:30:00+00:00"})


PROVENANCE = {
    "submission": {"command": "tevit launch components", "executor": "local"},
    "environment": {
        "host": "node1",
        "python": "3.11.7",
        "packages": {"torch": "2.15.0"},
        "cpu": {"model": "Xeon", "cores": 2},
        "gpus": [],
        "git": {"commit": "0123456789abcdef", "branch": "main", "dirty": False, "diff": ""},
    },
}


def invented_history(seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    lines = []
    for step in range(10, 401, 10):
        loss = 8 * np.exp(-step / 120) + 4 + rng.normal(0, 0.2)
        losses = {"stage0_loss_cls": loss / 2, "stage0_loss_mask": loss / 2}
        lines.append({"step": step, "steps": 400, "loss": loss, "losses": losses, "lr": 1e-3})
    return lines


def ap_record(cell: ManifestCell, grid: Grid, config: Any) -> dict[str, Any]:
    ap = grid.ap(cell.axes, cell.seed)
    return {
        "kind": "ap",
        "schema": 1,
        "created": "2026-01-02T03:50:00+00:00",
        "protocol": {
            "data": "synthetic",
            "split": grid.split(cell.axes, cell.seed),
            "videos": 32,
            "instances": 117,
            "seed": cell.seed,
            "checkpoint": f"last, step {config.train.steps}",
            "mode": config.inference.mode,
        },
        "figures": None
        if ap is None
        else {
            "AP": ap,
            "AP50": min(1.0, ap * 1.7),
            "AP75": ap * 0.9,
            "APs": None,
            "APm": ap,
            "APl": ap,
            "AR1": ap * 0.95,
            "AR10": ap * 1.1,
        },
        "per_class": {"disc": ap, "star": None},
        "bootstrap": {
            "resamples": 1000,
            "level": 0.95,
            "seed": 0,
            "AP": {"low": (ap or 0) - 0.04, "high": (ap or 0) + 0.04, "std": 0.021},
        },
    }


def flops_record(cell: ManifestCell, grid: Grid, config: Any) -> dict[str, Any]:
    messengers = config.messenger.tokens * 90_000
    by_module = {
        "backbone": 21_000_000 + messengers,
        "neck": 9_000_000,
        **{f"box_head.{k}": 4_000_000 for k in range(config.head.stages)},
        "mask_head": 6_500_000,
    }
    return {
        "kind": "flops",
        "schema": 1,
        "created": "2026-01-02T03:51:00+00:00",
        "protocol": {
            "unit": "multiply-adds",
            "per": "frame",
            "height": 64,
            "width": 96,
            "clip_length": config.data.clip_length,
            "batch": 1,
            "counters": ["fvcore", "torch"],
        },
        "figures": {
            "total": sum(by_module.values()),
            "parameters": 641_000 + config.messenger.tokens * 3,
            "trainable": 641_000 + config.messenger.tokens * 3,
        },
        "by_module": by_module,
    }


def fps_record(cell: ManifestCell, grid: Grid, config: Any) -> dict[str, Any]:
    base = 120 - 12 * (config.messenger.tokens > 0) - 9 * (config.head.kind == "stqi") + cell.seed
    oom = grid.oom(cell.axes, cell.seed)
    scopes = {
        name: {"fps": base * s, "low": base * s - 2, "high": base * s + 2, "n": 30}
        for name, s in (("model", 1.0), ("postprocess", 0.8), ("end_to_end", 0.5))
    }
    record = {
        "kind": "fps",
        "schema": 1,
        "created": "2026-01-02T03:52:00+00:00",
        "protocol": {
            "device": grid.device(cell.axes, cell.seed),
            "precision": "fp32",
            "clip_length": config.data.clip_length,
            "batch": 1,
            "height": 64,
            "width": 96,
            "compile": False,
        },
        "scopes": scopes,
        "memory": {"allocated": (80 + 11 * config.data.clip_length) * 2**20, "reserved": None},
        "figures": {f"fps_{name}": scope["fps"] for name, scope in scopes.items()},
    }
    record["figures"]["matmul_share"] = 0.21
    return {**record, "figures": None, "scopes": None, "oom": oom} if oom else record


def tracking_record(cell: ManifestCell, grid: Grid, config: Any) -> dict[str, Any]:
    scored = ap_record(cell, grid, config)
    ap = scored["figures"]["AP"]
    figures = dict.fromkeys(("HOTA", "DetA", "AssA", "LocA", "IDF1"), ap) | {"IDSW": 12.0}
    return {**scored, "kind": "tracking", "figures": figures}


def errors_record(cell: ManifestCell, grid: Grid, config: Any) -> dict[str, Any]:
    scored = ap_record(cell, grid, config)
    rest = 1 - scored["figures"]["AP"]
    shares = {"class": 0.2, "mask": 0.3, "identity": 0.02 * config.messenger.tokens, "frames": 0.1}
    shares |= {"duplicate": 0.0, "background": 0.15, "both": 0.01, "missed": 0.05}
    figures = {kind: rest * share for kind, share in shares.items()}
    slices = {"length": {"AP_short": rest, "AR_short": rest}}
    return {**scored, "kind": "errors", "figures": figures, "slices": slices}


RECORDS = {
    "ap": ap_record,
    "tracking": tracking_record,
    "errors": errors_record,
    "flops": flops_record,
    "fps": fps_record,
}


def plots_of(
    grid: GridRuns, labels: Labels | None = None, rows: pd.DataFrame | None = None
) -> dict[str, Plot]:
    """Every plot of a grid, or of its collected ``rows``, by its name."""
    names = names_for(frame_cells(collect(grid) if rows is None else rows), labels or {})
    return {plot.name: plot for plot in make_plots(grid.runs, names)}


SMALL_DATA = {"data.synthetic.videos": 8, "data.synthetic.frames": 4, "data.holdout": 0.5}


def invent_predictions(store: Store, name: str, runs: int | None = None) -> None:
    """Predictions for the first ``runs``: the true masks, moved a little, the last track
    missing."""
    for run in read_runs(store, name).runs[:runs]:
        data = run.folder.config().data
        dataset = load_dataset(data)
        split = make_split(dataset, data)
        write_split(run.folder.split, split, dataset)
        results = []
        for video in split.heldout:
            for place, track in enumerate(dataset.tracks_of(video)[:-1]):
                masks = [m and encode(np.roll(decode(m), 2, 1)) for m in track.segmentations]
                score = 0.9 - 0.1 * place
                entry = {"video_id": video, "category_id": track.category_id, "score": score}
                results.append({**entry, "segmentations": masks})
        write(run.folder.predictions, results)
