"""Speed and memory against clip length, input size or queries, an isolated process a point."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from benchmarks.records import record_head
from benchmarks.speed.isolated import SpeedJob, WorkloadSpec
from benchmarks.speed.measure import fps_of_job
from benchmarks.workloads.workload import parse_size
from core.config.overrides import config_from_dict, override
from core.errors import UserError

CurveAxis = Literal["clip_length", "size", "queries"]
AXES: tuple[CurveAxis, ...] = ("clip_length", "size", "queries")

CURVE_COLUMNS = (
    "name", "axis", "value", "frames", "pixels", "fps_model", "low", "high", "fps_postprocess",
    "fps_end_to_end", "matmul_share", "allocated", "reserved", "host_peak", "oom",
    "low_postprocess", "high_postprocess", "drift",
)  # fmt: skip


def parse_axis(text: str) -> tuple[CurveAxis, list[str]]:
    """``clip_length=1,5,10`` as an axis and its values.

    Raises:
        UserError: no such axis, or no values.
    """
    name, _, values = text.partition("=")
    for axis in AXES:
        if name == axis and values:
            return axis, values.split(",")
    raise UserError(f"{text!r}: expected an axis ({', '.join(AXES)}), =, and values with commas")


def at(spec: WorkloadSpec, axis: CurveAxis, value: str) -> WorkloadSpec:
    """``spec`` with one axis set to ``value``.

    Raises:
        UserError: the value does not fit the axis, or the workload has no such axis.
    """
    if axis == "size":
        height, width = parse_size(value)
        return replace(spec, shape=replace(spec.shape, height=height, width=width))
    if not value.isdigit() or int(value) < 1:
        raise UserError(f"{axis}={value}: must be a whole number, 1 or more")
    if axis == "clip_length":
        return replace(spec, shape=replace(spec.shape, clip_length=int(value)))
    if spec.mmdet is not None:
        raise UserError(f"{spec.name}: queries are set by its own configuration, not here")
    config = override(config_from_dict(spec.config), {"head.queries": int(value)})
    return replace(spec, config=config.to_dict())


def parse_batches(text: str) -> list[int]:
    """``batch=1,2,4`` as numbers of clips a training step.

    Raises:
        UserError: anything else.
    """
    name, _, values = text.partition("=")
    numbers = values.split(",")
    if name != "batch" or not all(n.isdigit() and int(n) > 0 for n in numbers):
        raise UserError(f"--curve {text}: expected batch=1,2,4, clips of a training step")
    return [int(number) for number in numbers]


def with_clips(spec: WorkloadSpec, clips: int) -> WorkloadSpec:
    """``spec`` with so many clips in the one forward pass of a training step."""
    fields = {"train.clips": clips, "train.accumulate": 1}
    config = override(config_from_dict(spec.config), fields)
    return replace(spec, name=f"{spec.name}, batch {clips}", config=config.to_dict())


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
        A record of kind ``curve``: ``points`` are values, each with its ``fps`` record.
    """
    jobs = {v: replace(job, workloads=tuple(at(s, axis, v) for s in job.workloads)) for v in values}
    points = []
    for value, one in jobs.items():
        for record in run(one):
            report(value, record)
            points.append({"value": value, "record": record})
    names = ", ".join(spec.name for spec in job.workloads)
    return {**record_head("curve", names), "axis": axis, "values": list(values), "points": points}


def curve_rows(curve: dict[str, Any]) -> list[dict[str, Any]]:
    """One flat row a point, with :data:`CURVE_COLUMNS` as keys: what a plot needs."""
    return [_row(curve["axis"], point["value"], point["record"]) for point in curve["points"]]


def _row(axis: str, value: str, record: dict[str, Any]) -> dict[str, Any]:
    figures, protocol = record["figures"] or {}, record["protocol"]
    scopes = record.get("scopes", {})
    model, postprocess = scopes.get("model", {}), scopes.get("postprocess", {})
    memory = record.get("memory") or {}
    return {
        "name": record["name"],
        "axis": axis,
        "value": value,
        "frames": protocol["clip_length"] * protocol["batch"],
        "pixels": protocol["height"] * protocol["width"],
        **{key: figures.get(key) for key in ("fps_model", "fps_postprocess", "fps_end_to_end")},
        "low": model.get("low"),
        "high": model.get("high"),
        "matmul_share": figures.get("matmul_share"),
        **{key: memory.get(key) for key in ("allocated", "reserved", "host_peak")},
        "oom": record.get("oom"),
        "low_postprocess": postprocess.get("low"),
        "high_postprocess": postprocess.get("high"),
        "drift": "; ".join(record.get("environment", {}).get("drift", [])) or None,
    }


def curve_csv(curve: dict[str, Any]) -> str:
    """The rows as CSV; absent figures are empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CURVE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve_rows(curve))
    return out.getvalue()
