"""The reproducibility statement that conferences ask for, from the records alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from launch.price.observed import joules_of, shared
from launch.records.lease import read_dict
from launch.records.shapes import SpentFile
from reports.frame.collect import collect
from reports.frame.protocol import common_protocol, show_value
from reports.frame.runs import CellRun, GridRuns
from reports.made import Made
from reports.renderers.latex_letters import escape_latex
from reports.tables.code import uncommitted, versions
from reports.tables.model import Table


def statement(made: Made) -> str:
    """A paragraph a question in LaTeX, with ``\\cite``; what was not recorded is said to be so.

    A start run counts once, however many cells begin with it.
    """
    grid, frame = made.grid, made.frame
    runs = list({run.signature: run for run in grid.runs}.values())
    starts = [start.run for start in grid.starts]
    every = pd.concat(  # of object: an empty column of one part has no say in the type
        [part.astype(object) for part in (frame, _collected(grid, starts)) if len(part)]
    )
    parts = {
        "Model": _model(every),
        "Data": [*_data(frame), *_start_data(runs, starts)],
        "Selection": _selection(frame),
        "Seeds": _seeds(grid, starts, made.tables),
        "Compute": _compute(frame, runs, starts),
        "Energy": _energy([*runs, *starts]),
        "Code": _code(every),
    }
    return "\n".join(
        rf"\paragraph{{{head}.}} {' '.join(sentences)}"
        for head, of in parts.items()
        if (sentences := list(of))
    )


def cited(text: str) -> list[str]:
    """Keys of the references that a LaTeX text cites, in their order."""
    found = re.findall(r"\\cite\{([^}]*)\}", text)
    return list(dict.fromkeys(key.strip() for keys in found for key in keys.split(",")))


def _collected(grid: GridRuns, starts: Sequence[CellRun]) -> pd.DataFrame:
    return collect(replace(grid, runs=tuple(starts), starts=())) if starts else pd.DataFrame()


def _model(frame: pd.DataFrame) -> Iterator[str]:
    yield r"TeViT~\cite{tevit}, whose query head is that of QueryInst~\cite{queryinst}."
    keys = {"pvt_v2": r"PVTv2~\cite{pvtv2}", "resnet": r"ResNet~\cite{resnet}"}
    keys["swin"] = r"Swin~\cite{swin}"
    used = _values(frame, "backbone.name")
    known = [text for start, text in keys.items() if any(n.startswith(start) for n in used)]
    if known:
        yield f"Backbone: {', '.join(known)}."
    if weights := _values(frame, "train.init"):
        yield rf"Training begins with the weights \texttt{{{escape_latex('; '.join(weights))}}}."


def _data(frame: pd.DataFrame) -> Iterator[str]:
    protocol = common_protocol(frame, "ap")
    if not protocol:
        yield "Nothing was scored, or not all cells alike: see the protocol's table."
        return
    said = {key: escape_latex(show_value(value)) for key, value in protocol.items()}
    name = said.get("data", "several data sets")
    cite = r"~\cite{ovis}" if "ovis" in name.lower() else ""
    videos = f" on {said['videos']} videos" if "videos" in said else ""
    yield f"Scored{videos} of {name}{cite}; split: {said.get('split', 'varies')}."
    yield r"AP is that of YouTube-VIS~\cite{youtubevis}."
    if said.get("split", "").startswith("held out: ") and not _values(frame, "data.split_file"):
        yield "Trained on all other videos."
    if mixed := [value for value in _values(frame, "data.mix") if value != "none"]:
        yield f"Clips of other data sets are mixed in: {escape_latex('; '.join(mixed))}."


def _start_data(runs: Sequence[CellRun], starts: Sequence[CellRun]) -> Iterator[str]:
    """Which videos start runs were trained on: those of the cells' split, or others."""
    ours = {run.videos for run in runs if run.config}
    if starts and all(start.config and start.videos in ours for start in starts):
        yield f"{_the(starts)} trained with the same split."
        return
    for start in starts:
        data = (start.config or {}).get("data") or {}
        drawn = f"all but {show_value(data.get('holdout'))} of the videos, split with seed "
        split = data.get("split_file") or f"{drawn}{show_value(data.get('split_seed'))}"
        said = f"{data.get('root')}: {split}" if data else "data that are not recorded"
        yield f"The start run {escape_latex(start.name)} was trained on {escape_latex(said)}."


def _selection(frame: pd.DataFrame) -> Iterator[str]:
    found = _values(frame, "ap.protocol.checkpoint")
    if found and all(value.startswith("last") for value in found):
        yield "The last checkpoint of every run is scored; none was chosen by its score."
    elif found:
        yield f"Scored checkpoints: {escape_latex('; '.join(found))}."
    yield "The records do not say on which data the settings that all cells share were chosen."


def _seeds(grid: GridRuns, starts: Sequence[CellRun], tables: Sequence[Table]) -> Iterator[str]:
    done = sum(run.state == "done" for run in grid.runs)
    yield f"{len(grid.runs)} runs with the {_with_seeds(grid.runs)}, of which {done} are finished."
    if starts:
        begun = len({name for start in grid.starts for name in start.followers})
        count = "one start run" if len(starts) == 1 else f"{len(starts)} start runs"
        known = [start for start in starts if start.config]
        seeds = f" ({_with_seeds(known)})" if known else ""
        yield f"{begun} of them begin with the weights of {count}{seeds}."
    yield "Every finished run counts; means are over seeds, none was left out."
    if any(column.part == "verdict" for table in tables for column in table.columns):
        yield r"Verdicts rest on paired $t$ intervals with Holm's correction~\cite{holm}."
    if grid.manifest.limits is not None:
        yield "Seeds were added round by round, for which the intervals account."


def _with_seeds(runs: Sequence[CellRun]) -> str:
    seeds = list(dict.fromkeys(str(run.seed) for run in runs))
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}"


def _the(starts: Sequence[CellRun]) -> str:
    return "The start run was" if len(starts) == 1 else f"The {len(starts)} start runs were"


def _compute(
    frame: pd.DataFrame, runs: Sequence[CellRun], starts: Sequence[CellRun]
) -> Iterator[str]:
    finished, begun = ([run for run in each if run.done] for each in (runs, starts))
    if finished:
        count = "1 finished run" if len(finished) == 1 else f"{len(finished)} finished runs"
        yield f"{count} took {_hours(finished)} in all."
    if begun:
        which = "The start run" if len(begun) == 1 else f"{len(begun)} start runs"
        yield f"{which} took {_hours(begun)} more."
    if len(finished) + len(begun) < len(runs) + len(starts):
        yield "What unfinished runs took is not in it."
    devices = {text: None for run in (*runs, *starts) for text in _devices(run)}
    if devices:
        yield f"Run on {escape_latex('; '.join(devices))}."
    if "flops.recorded" in frame:
        yield r"Multiply-adds were counted with fvcore~\cite{fvcore}."


def _hours(runs: Sequence[CellRun]) -> str:
    hours = sum(float((run.done or {}).get("wall_s") or 0) for run in runs) / 3600
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"


def _devices(run: CellRun) -> Iterator[str]:
    for attempt in run.provenance:
        environment = attempt.get("environment", attempt)
        gpus = [str(gpu.get("name")) for gpu in environment.get("gpus") or []]
        cpu = environment.get("cpu") or {}
        if gpus:
            yield f"{len(gpus)} x {gpus[0]}" if len(gpus) > 1 else gpus[0]
        elif cpu:
            yield f"CPU {cpu.get('model')}, {cpu.get('cores')} cores"


def _energy(runs: Sequence[CellRun]) -> Iterator[str]:
    """By the devices' own counters, of finished runs that had a device to themselves."""
    finished = [run for run in runs if run.done]
    joules, sources, reasons = [], [], []
    for run in finished:
        energy = (read_dict(run.folder.spent, SpentFile) or {}).get("energy") or {}
        taken = joules_of(run.folder, int((run.done or {}).get("attempts") or 0))
        if any(shared(attempt.get("submission") or {}) > 1 for attempt in run.provenance):
            reasons.append("runs shared a device")
        elif taken is not None:
            joules.append(taken)
            sources.append(str(energy.get("source")))
        elif energy.get("why_not"):
            reasons.append(str(energy["why_not"]))
    why = f": {escape_latex('; '.join(dict.fromkeys(reasons)))}" if reasons else ""
    if not joules:
        yield f"It was not recorded{why}."
        return
    counters = escape_latex(", ".join(dict.fromkeys(sources)))
    yield (
        f"{sum(joules) / 3.6e6:.3g} kWh by {counters}, for {len(joules)} of the {len(finished)} "
        "finished runs."
    )
    if len(joules) < len(finished):
        yield f"That of the others was not recorded{why}."


def _code(frame: pd.DataFrame) -> Iterator[str]:
    names = versions(frame)
    if names:
        what = "Version" if len(names) == 1 else "Versions"
        yield rf"{what} \texttt{{{escape_latex('; '.join(names))}}}."
    if uncommitted(frame):
        yield "Some runs were made with uncommitted changes, which are kept with each run."
    torch, python = _values(frame, "run.torch"), _values(frame, "run.python")
    if torch:
        yield rf"PyTorch~\cite{{pytorch}} {', '.join(torch)}, Python {', '.join(python)}."


def _values(frame: pd.DataFrame, column: str) -> list[str]:
    if column not in frame:
        return []
    return list(dict.fromkeys(show_value(value) for value in frame[column].dropna()))
