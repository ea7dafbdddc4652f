"""The reproducibility statement that conferences ask for, from the records alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from reports.frame.protocol import common_protocol, show_value
from reports.frame.runs import GridRuns
from reports.renderers.latex_letters import escape_latex
from reports.tables.code import versions
from reports.tables.model import Table


def statement(grid: GridRuns, frame: pd.DataFrame, tables: Sequence[Table]) -> str:
    """A paragraph a question in LaTeX, with ``\\cite``; what was not recorded is said to be so.

    Args:
        frame: the collected runs.
        tables: of the grid.
    """
    parts = {
        "Model": _model(frame),
        "Data": _data(frame),
        "Selection": _selection(frame),
        "Seeds": _seeds(grid, tables),
        "Compute": _compute(grid, frame),
        "Energy": ["It was not recorded."],
        "Code": _code(frame),
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


def _model(frame: pd.DataFrame) -> Iterator[str]:
    yield r"TeViT~\cite{tevit}, whose query head is that of QueryInst~\cite{queryinst}."
    keys = {"pvt_v2": r"PVTv2~\cite{pvtv2}", "resnet": r"ResNet~\cite{resnet}"}
    keys["swin"] = r"Swin~\cite{swin}"
    used = {str(name) for name in frame.get("backbone.name", pd.Series(dtype=str)).dropna()}
    known = [text for start, text in keys.items() if any(n.startswith(start) for n in used)]
    if known:
        yield f"Backbone: {', '.join(known)}."


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


def _selection(frame: pd.DataFrame) -> Iterator[str]:
    found = _values(frame, "ap.protocol.checkpoint")
    if found and all(value.startswith("last") for value in found):
        yield "The last checkpoint of every run is scored; none was chosen by its score."
    elif found:
        yield f"Scored checkpoints: {escape_latex('; '.join(found))}."
    yield "The records do not say on which data the settings that all cells share were chosen."


def _seeds(grid: GridRuns, tables: Sequence[Table]) -> Iterator[str]:
    seeds = list(dict.fromkeys(run.seed for run in grid.runs))
    done = sum(run.state == "done" for run in grid.runs)
    listed = ", ".join(map(str, seeds))
    yield f"{len(grid.runs)} runs with the seeds {listed}, of which {done} are finished."
    yield "Every finished run counts; means are over seeds, none was left out."
    if any(column.part == "verdict" for table in tables for column in table.columns):
        yield r"Verdicts rest on paired $t$ intervals with Holm's correction~\cite{holm}."
    if grid.manifest.seed_limits is not None:
        yield "Seeds were added round by round, for which the intervals account."


def _compute(grid: GridRuns, frame: pd.DataFrame) -> Iterator[str]:
    seconds = pd.to_numeric(frame.get("run.wall_s", pd.Series(dtype=float)), errors="coerce")
    known = seconds.dropna()
    if len(known):
        total = float(known.sum()) / 3600
        yield f"{len(known)} finished runs took {total:.1f} hours together, to their last figure."
    devices = {text: None for run in grid.runs for text in _devices(run.provenance)}
    if devices:
        yield f"Run on {escape_latex('; '.join(devices))}."
    yield "Failed attempts are not in it."
    if "flops.recorded" in frame:
        yield r"Multiply-adds were counted with fvcore~\cite{fvcore}."


def _devices(provenance: Sequence[object]) -> Iterator[str]:
    for attempt in provenance:
        environment = attempt.get("environment", attempt) if isinstance(attempt, dict) else {}
        gpus = [str(gpu.get("name")) for gpu in environment.get("gpus") or []]
        cpu = environment.get("cpu") or {}
        if gpus:
            yield f"{len(gpus)} x {gpus[0]}" if len(gpus) > 1 else gpus[0]
        elif cpu:
            yield f"CPU {cpu.get('model')}, {cpu.get('cores')} cores"


def _code(frame: pd.DataFrame) -> Iterator[str]:
    names = versions(frame)
    if names:
        yield rf"\texttt{{{escape_latex('; '.join(names))}}}."
    if "run.dirty" in frame and (frame["run.dirty"] == True).any():  # noqa: E712
        yield "Some runs were made with uncommitted changes, which are kept with each run."
    torch, python = _values(frame, "run.torch"), _values(frame, "run.python")
    if torch:
        yield rf"PyTorch~\cite{{pytorch}} {', '.join(torch)}, Python {', '.join(python)}."


def _values(frame: pd.DataFrame, column: str) -> list[str]:
    if column not in frame:
        return []
    return list(dict.fromkeys(show_value(value) for value in frame[column].dropna()))
