"""The runs inside the page: their state, what they ran with, and every failure with its trace."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.figures import FIGURES, Figure
from launch.node.provenance import changes_text
from launch.records import failures
from reports.frame.cells import URGENCY
from reports.frame.runs import CellRun, GridRuns
from reports.html import Markup, join, scrolled, tag
from reports.page.grid import switch_list
from reports.renderers.html import text_html
from reports.renderers.typeset import number

_SHOWN = ("AP", "macs", "fps", "hours")
_LONGEST_DIFF = 20_000
_LOG_LINES = 6
_LONGEST_LINE = 160


def runs_section(frame: pd.DataFrame, runs: Sequence[CellRun]) -> Markup:
    """A row a run, the failed ones first: state, cause, its figures with the bootstrap interval,
    attempts, host; below the table the folder of each and the end of its log, folded.

    Args:
        frame: a row a run.
        runs: in the order of ``frame``.
    """
    figures = [FIGURES[key] for key in _SHOWN if FIGURES[key].column in frame]
    heads = ["Run", "State", "Cause"]
    numbers = ["AP 95 % (videos)", *(figure.label for figure in figures), "Attempts"]
    head = [tag("th", name, scope="col") for name in heads]
    head += [tag("th", name, class_="number", scope="col") for name in numbers]
    head += [tag("th", name, scope="col") for name in ("Host", "Signature")]
    order = sorted(zip(frame.iterrows(), runs, strict=True), key=lambda pair: _urgency(pair[1]))
    rows = [_run(row, run, figures) for (_, row), run in order]
    logs = [_log(run) for _, run in order]
    return join([scrolled(head, rows, "Runs"), tag("h3", "Folders and ends of logs"), *logs])


def _urgency(run: CellRun) -> int:
    return URGENCY.index(run.state) if run.state in URGENCY else len(URGENCY)


def _log(run: CellRun) -> Markup:
    """The run's name, which opens to its folder and the last lines of its log."""
    log = run.log
    end = failures.tail(log).splitlines()[-_LOG_LINES:] if log else []
    said = [line[-_LONGEST_LINE:] for line in end]
    parts = [tag("p", run.folder.path.resolve(), class_="code")]
    parts.append(tag("pre", "\n".join(said), tabindex=0) if said else tag("p", "No log."))
    content = (tag("summary", run.name), *parts)
    where = {"id": _id(run), "class_": "run", "data_cell": run.cell, "data_state": run.state}
    return tag("details", *content, **where)


def _id(run: CellRun) -> str:
    return f"run-{run.signature}"


def _run(row: pd.Series, run: CellRun, figures: Sequence[Figure]) -> Markup:
    state, attempts = str(row["state"]), _text(row, "run.attempts")
    cells = [
        tag("th", tag("a", run.name, href=f"#{_id(run)}"), scope="row", data_sort=run.name),
        tag("td", tag("span", state, class_=f"state {state}")),
        tag("td", _text(row, "cause")),
        tag("td", _interval(row), class_="number", data_sort=_text(row, "ap.bootstrap.AP.low")),
    ]
    for figure in figures:
        found = row[figure.column]
        value = None if pd.isna(found) else figure.printed(float(found))
        text = "" if value is None else number(value, figure.decimals)
        cells.append(tag("td", text, class_="number", data_sort="" if value is None else value))
    cells += [
        tag("td", attempts, class_="number", data_sort=attempts),
        tag("td", _text(row, "run.host")),
        tag("td", row["signature"], class_="code"),
    ]
    return tag("tr", *cells, data_cell=run.cell, data_state=run.state)


def _interval(row: pd.Series) -> str:
    low, high = (row.get(f"ap.bootstrap.AP.{end}") for end in ("low", "high"))
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return ""
    return f"[{number(100 * float(low), 1)}, {number(100 * float(high), 1)}]"


def _text(row: pd.Series, name: str) -> str:
    value = row.get(name)
    return "" if value is None or pd.isna(value) else str(value)


def failures_section(grid: GridRuns, names: Mapping[str, str]) -> Markup:
    """Failures grouped by the last line of their trace; then whatever else is not finished; empty
    where every run is done."""
    groups: dict[str, list[CellRun]] = defaultdict(list)
    for run in grid.runs:
        if run.failure is not None:
            groups[str(run.failure.get("last_line") or run.cause or "unknown")].append(run)
    parts = [_failure(line, runs) for line, runs in groups.items()]
    rest = [run for run in grid.runs if run.state != "done" and run.failure is None]
    if rest:
        parts.append(tag("h3", "Not finished"))
        parts.append(tag("ul", *(tag("li", text_html(_unfinished(run, names))) for run in rest)))
    broken = [fault for run in grid.runs for fault in run.faults]
    if broken:
        parts.append(tag("h3", "Files that could not be read"))
        parts.append(tag("ul", *(tag("li", fault, class_="code") for fault in broken)))
    return join(parts)


def _failure(line: str, runs: Sequence[CellRun]) -> Markup:
    first = runs[0].failure or {}
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    names = ", ".join(run.name for run in runs)
    trace = tag("pre", str(first.get("traceback") or "no traceback was recorded"))
    summary = tag("summary", f"Traceback of {runs[0].name}, attempt {first.get('attempt', '?')}")
    cause = f"{count}, cause: {first.get('cause', 'unknown')}: {names}"
    return join([tag("h3", line, class_="code"), tag("p", cause), tag("details", summary, trace)])


def _unfinished(run: CellRun, names: Mapping[str, str]) -> str:
    cause = f" ({run.cause})" if run.cause else ""
    return f"{names[run.cell]}, seed {run.seed}: {run.state}{cause}"


def provenance_section(grid: GridRuns) -> Markup:
    """What every attempt of the runs was made with, those of the same code and machine together."""
    groups: dict[str, list[str]] = defaultdict(list)
    facts: dict[str, tuple[dict[str, object], str]] = {}
    for run in grid.runs:
        found = [_facts(attempt) for attempt in run.provenance]
        keys = [json.dumps(of, default=str) for of in found]
        facts |= zip(keys, found, strict=True)
        for attempt, key in enumerate(keys, start=1):
            if key not in keys[attempt:]:  # an attempt like a later one is not named twice
                which = f" (attempt {attempt})" if len(set(keys)) > 1 else ""
                groups[key].append(run.name + which)
    parts: list[Markup] = []
    for key, names in groups.items():
        shown, diff = facts[key]
        several = len(groups) > 1
        count = "1 run" if len(names) == 1 else f"{len(names)} runs"
        parts.append(tag("h3", f"{count}: {', '.join(names)}") if several else Markup(""))
        parts.append(switch_list(shown))
        if diff:
            parts.append(
                tag("details", tag("summary", "Uncommitted changes"), tag("pre", _cut(diff)))
            )
    return join(parts or [tag("p", "No run has recorded what it ran on yet.")])


def _facts(attempt: Mapping[str, Any]) -> tuple[dict[str, object], str]:
    environment = attempt.get("environment", attempt)
    git = environment.get("git") or {}
    cpu = environment.get("cpu") or {}
    gpus = [str(gpu.get("name")) for gpu in environment.get("gpus") or []]
    packages = environment.get("packages") or {}
    changed = changes_text(git)
    shown: dict[str, object] = {
        "Command": _command((attempt.get("submission") or {}).get("command")),
        "Commit": f"{git['commit']} ({changed})" if git.get("commit") else "not in a checkout",
        "Code": _code(environment.get("code") or {}),
        "Executor": (attempt.get("submission") or {}).get("executor"),
        "Host": environment.get("host"),
        "CPU": f"{cpu.get('model')}, {cpu.get('cores')} cores" if cpu else None,
        "GPU": ", ".join(gpus) or "none",
        "Driver": environment.get("driver"),
        "Python": environment.get("python"),
        "Packages": ", ".join(f"{name} {version}" for name, version in packages.items()),
    }
    return {name: value for name, value in shown.items() if value}, str(git.get("diff") or "")


def _command(words: Sequence[str] | str | None) -> str | None:
    return words if words is None or isinstance(words, str) else shlex.join(words)


def _code(code: Mapping[str, Any]) -> str | None:
    """Its name, and where that is to be found."""
    if not code.get("id"):
        return None
    kept = {"snapshot": "frozen in the store", "installed": "an installed wheel"}
    return f"{code['id']} ({kept.get(str(code.get('kind')), 'not frozen')})"


def _cut(diff: str) -> str:
    if len(diff) <= _LONGEST_DIFF:
        return diff
    return (
        f"{diff[:_LONGEST_DIFF]}\n... {len(diff) - _LONGEST_DIFF} more characters in the run folder"
    )
