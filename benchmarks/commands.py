"""A command's measurements on the terminal: progress, tables, and files of records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console, Group

from benchmarks.machine.environment import environment
from benchmarks.request import origin
from benchmarks.roofline_table import roofline_tables
from benchmarks.speed.curves import curve_csv, measure_curve, parse_axis
from benchmarks.speed.fps import check_scopes
from benchmarks.speed.isolated import SpeedJob, run_job
from benchmarks.speed.max_clip import find_max_clip
from benchmarks.speed.measure import RunJob, fps_of_job
from benchmarks.speed.regress import check_machine, compare_speeds, read_record
from benchmarks.tables import fps_table, spread
from benchmarks.train_table import train_table
from core.errors import UserError
from core.files import write_atomic, write_json

TABLES: dict[str, Callable[[Sequence[dict[str, Any]]], Group]] = {
    "fps": fps_table,
    "train": train_table,
    "roofline": roofline_tables,
}


@dataclass(frozen=True)
class Outputs:
    """Where records (JSON) and a curve's points (CSV) are written to, if anywhere."""

    json: Path | None = None
    csv: Path | None = None

    def write(self, records: Sequence[dict[str, Any]], job: SpeedJob | None = None) -> None:
        """Write ``records`` with the command, the code's version, and what to measure again."""
        if self.json is not None:
            again = {} if job is None else {"job": asdict(job)}
            write_json(self.json, {**origin(), **again, "records": list(records)})

    def write_curve(self, curve: dict[str, Any]) -> None:
        """Write a curve's record (with the command, too) and its points."""
        if self.json is not None:
            write_json(self.json, {**origin(), **curve})
        if self.csv is not None:
            write_atomic(self.csv, curve_csv(curve))


def run_fps(job: SpeedJob, outputs: Outputs, console: Console | None = None) -> None:
    """Measure the job's workloads (speed, training, or what bounds them) and print their table."""
    console = console or Console()
    _check(job, outputs, csv=False)
    with _shown(console, f"measuring {', '.join(spec.name for spec in job.workloads)}") as run:
        records = run(job) if job.kind == "roofline" else fps_of_job(job, run)
    outputs.write(records, job)
    console.print(TABLES[job.kind](records))


def run_regress(path: Path, tolerance: float) -> int:
    """Measure a record's job again and print what became of its speed.

    Returns:
        0: nothing is slower; 1: something is; 3: of something it cannot be told.

    Raises:
        UserError: no such record, or one of another machine.
    """
    console = Console()
    job, then = read_record(path)
    check_machine(path, then[0]["environment"], environment(with_diff=False), job.threads)
    what = f"measuring {', '.join(spec.name for spec in job.workloads)} again"
    with _shown(console, what) as run:
        now = fps_of_job(job, run)
    found = compare_speeds(then, now, tolerance)
    for one in found:
        console.print(one.sentence(), soft_wrap=True, highlight=False)
    for record in now:
        for reason in record["environment"].get("drift", []):
            console.print(f"DRIFT: {record['name']}: {reason}", soft_wrap=True, highlight=False)
    words = {one.word for one in found}
    if "slower" in words:
        return 1
    lost = {record["name"] for record in then} - {one.name for one in found}
    return 3 if lost or "cannot tell" in words else 0


def run_curve(job: SpeedJob, axis_and_values: str, outputs: Outputs) -> None:
    """Measure the job at every value of an axis and print each point as it comes."""
    console = Console()
    _check(job, outputs, csv=True)
    axis, values = parse_axis(axis_and_values, job.kind)
    with _shown(console, f"measuring {len(values)} values of {axis}") as run:
        curve = measure_curve(
            job,
            axis,
            values,
            run=lambda one: fps_of_job(one, run),
            report=lambda value, record: console.print(point(value, record)),
        )
    outputs.write_curve(curve)
    if job.kind == "train":
        points = [(point["value"], point["record"]) for point in curve["points"]]
        console.print(
            train_table([r | {"name": f"{r['name']}, {axis} {value}"} for value, r in points])
        )


def run_search(job: SpeedJob, most: int, outputs: Outputs) -> None:
    """Search each workload's longest clip and print it."""
    console = Console()
    _check(job, outputs, csv=False)
    found = []
    for spec in job.workloads:
        with console.status(f"{spec.name}: searching the longest clip that fits"):
            found.append(
                find_max_clip(
                    replace(job, workloads=(spec,)),
                    most=most,
                    report=lambda t, fits: console.print(f"T={t}: {'fits' if fits else 'OOM'}"),
                )
            )
        console.print(verdict(found[-1]))
    outputs.write(found)


def point(value: str, record: dict[str, Any]) -> str:
    """One point of a curve in words."""
    if record["figures"] is None:
        return f"{record['name']} at {value}: {record['oom']}"
    rates = [
        f"{scope} {spread(figures['fps'], figures['low'], figures['high'])}"
        for scope, figures in record.get("scopes", {}).items()
    ]
    drift = "".join(f"\n  DRIFT: {reason}" for reason in record["environment"].get("drift", []))
    return f"{record['name']} at {value}: FPS {', '.join(rates)}{drift}"


def verdict(record: dict[str, Any]) -> str:
    """A search's result in words."""
    longest, limit = record["figures"]["max_clip"], record["protocol"]["memory_limit"]
    where = record["protocol"]["device_type"].upper()
    memory = f"{where}, {limit / 2**30:.1f} GiB" if limit else where
    if longest is None:
        return f"{record['name']}: not even one frame fits ({memory})"
    if not record["figures"]["bounded"]:
        return f"{record['name']}: {longest} frames fit ({memory}); longer clips were not tried"
    return f"{record['name']}: the longest clip that fits has {longest} frames ({memory})"


@contextmanager
def _shown(console: Console, what: str) -> Iterator[RunJob]:
    """Runs jobs and says how far they are."""
    with console.status(what) as status:
        # what may be cut off by the terminal comes last
        yield partial(run_job, report=lambda line: status.update(f"{line} · {what}"))


def _check(job: SpeedJob, outputs: Outputs, *, csv: bool) -> None:
    """Refuse before anything runs what would fail after."""
    check_scopes(job.scopes)
    if outputs.csv is not None and not csv:
        raise UserError("--csv holds a curve's points; use --curve, or --json for records")
