"""Speed and memory against clip length, input size or queries, an isolated process a point."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from benchmarks.records import record_head
from benchmarks.speed.isolated import SpeedJob
from benchmarks.speed.measure import fps_of_job
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import parse_size
from core.config.overrides import config_from_dict, override
from core.errors import UserError

CurveAxis = Literal["clip_length", "size", "queries", "batch"]
AXES: dict[str, tuple[CurveAxis, ...]] = {
    "fps": ("clip_length", "size", "queries", "batch"),
    "train": ("batch",),
}
"""Of each kind of job; ``batch`` is clips a call, or clips of the one forward pass of a step."""

CURVE_COLUMNS = (
    "name", "axis", "value", "frames", "pixels", "fps_model", "low", "high", "fps_postprocess",
    "fps_end_to_end", "matmul_share", "allocated", "reserved", "host_peak", "oom",
    "low_postprocess", "high_postprocess", "drift",
)  # fmt: skip
TRAIN_COLUMNS = (
    "name", "axis", "value", "frames", "fps", "low", "high", "step_ms", "data_ms", "forward_ms",
    "backward_ms", "optimiser_ms", "matmul_share", "allocated", "reserved", "host_peak", "oom",
    "drift",
)  # fmt: skip


def parse_axis(text: str, kind: str = "fps") -> tuple[CurveAxis, list[str]]:
    """``clip_length=1,5,10`` as an axis and its values.

    Args:
        kind: of the job: ``fps`` or ``train``.

    Raises:
        UserError: no such axis, or no values.
    """
    name, _, values = text.partition("=")
    for axis in AXES[kind]:
        if name == axis and values:
            found = values.split(",")
            if len(set(found)) < len(found):
                raise UserError(f"--curve {text}: a value stands there twice")
            return axis, found
    example = "batch=1,2,4, clips of a training step"
    if kind == "fps":
        example = f"an axis ({', '.join(AXES[kind])}), =, and values with commas"
    raise UserError(f"--curve {text!r}: expected {example}")


def at(spec: WorkloadSpec, axis: CurveAxis, value: str, kind: str = "fps") -> WorkloadSpec:
    """``spec`` with one axis set to ``value``.

    Raises:
        UserError: the value does not fit the axis, or the workload has no such axis.
    """
    if axis == "size":
        height, width = parse_size(value)
        return replace(spec, shape=replace(spec.shape, height=height, width=width))
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"--curve {axis}={value}: must be a whole number, 1 or more")
    number = int(value)
    if axis == "clip_length":
        return replace(spec, shape=replace(spec.shape, clip_length=number))
    if kind == "fps" and axis == "batch":
        return replace(spec, shape=replace(spec.shape, batch=number))
    if axis == "queries" and spec.mmdet is not None:
        raise UserError(f"{spec.name}: queries are set by its own configuration, not here")
    fields = {"head.queries": number}
    if axis == "batch":
        fields = {"train.clips": number, "train.accumulate": 1}
    return replace(spec, config=override(config_from_dict(spec.config), fields).to_dict())


def measure_curve(
    job: SpeedJob,
    axis: CurveAxis,
    values: Sequence[str],
    *,
    run: Callable[[SpeedJob], list[dict[str, Any]]] = fps_of_job,
    report: Callable[[str, dict[str, Any]], None] = lambda value, record: None,
) -> dict[str, Any]:
    """Measure the job's workloads at every value; running out of memory is a point, too.

    Args:
        report: told every record as it comes.

    Returns:
        A record of kind ``curve``: ``points`` are values, each with its ``fps`` or ``train_speed``
        record.
    """
    jobs = {
        value: replace(job, workloads=tuple(at(s, axis, value, job.kind) for s in job.workloads))
        for value in values
    }
    points = []
    for value, one in jobs.items():
        for record in run(one):
            report(value, record)
            points.append({"value": value, "record": record})
    names = ", ".join(spec.name for spec in job.workloads)
    return {**record_head("curve", names), "axis": axis, "values": list(values), "points": points}


def is_of_training(curve: dict[str, Any]) -> bool:
    """Whether a curve is one of ``tevit bench train``."""
    return any(point["record"].get("kind") == "train_speed" for point in curve["points"])


def curve_rows(curve: dict[str, Any]) -> list[dict[str, Any]]:
    """One flat row a point: what a plot needs.

    Its keys are :data:`CURVE_COLUMNS`, of a curve of training :data:`TRAIN_COLUMNS`.
    """
    row, columns = _row, CURVE_COLUMNS
    if is_of_training(curve):
        row, columns = _train_row, TRAIN_COLUMNS
    rows = []
    for point in curve["points"]:
        record = point["record"]
        memory = record.get("memory") or {}
        values = {
            "name": record["name"],
            "axis": curve["axis"],
            "value": point["value"],
            **(record["figures"] or {}),
            **memory,
            "oom": record.get("oom"),
            "drift": "; ".join(record.get("environment", {}).get("drift", [])) or None,
            **row(record["protocol"], record.get("scopes", {})),
        }
        rows.append({column: values.get(column) for column in columns})
    return rows


def _row(protocol: dict[str, Any], scopes: dict[str, Any]) -> dict[str, Any]:
    model, postprocess = scopes.get("model", {}), scopes.get("postprocess", {})
    return {
        "frames": protocol["clip_length"] * protocol["batch"],
        "pixels": protocol["height"] * protocol["width"],
        **{end: model.get(end) for end in ("low", "high")},
        **{f"{end}_postprocess": postprocess.get(end) for end in ("low", "high")},
    }


def _train_row(protocol: dict[str, Any], scopes: dict[str, Any]) -> dict[str, Any]:
    step = scopes.get("step", {})
    frames = protocol["clip_length"] * protocol["clips"]
    return {"frames": frames, **{end: step.get(end) for end in ("low", "high")}}


def curve_csv(curve: dict[str, Any]) -> str:
    """The rows as CSV; absent figures are empty."""
    columns = TRAIN_COLUMNS if is_of_training(curve) else CURVE_COLUMNS
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve_rows(curve))
    return out.getvalue()
