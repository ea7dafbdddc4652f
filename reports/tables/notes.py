"""What stands below a table: how to read it, what was tested, how each figure was measured."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from benchmarks.measurements import MEASUREMENTS
from reports.frame.protocol import Differences, common_protocol, describe_protocol
from reports.tables.comparisons import Compared
from reports.tables.layout import TableLayout, figure_of
from reports.tables.model import Notes

ONE_SEED = "One seed proves nothing: no figure is bold, and no difference has an interval."


def add_notes(
    notes: Notes, frame: pd.DataFrame, layout: TableLayout, compared: Mapping[str, Compared]
) -> None:
    """Add the notes that hold for the whole table."""
    _spread(notes, layout, compared)
    _verdicts(notes, layout, compared)
    _test(notes, layout, compared)
    _starts(notes, frame)
    _meaning(notes, layout)
    kinds = {figure_of(column.figure).kind for column in layout.columns}
    for kind in MEASUREMENTS:
        if kind in kinds:
            _protocol(notes, kind, frame, layout, compared)
    _code(notes, frame)


def _spread(notes: Notes, layout: TableLayout, compared: Mapping[str, Compared]) -> None:
    percent = f"{100 * layout.spec.level:g} %"
    if _most_seeds(compared) > 1:
        notes.say(
            "Mean ± sample standard deviation over seeds; n: seeds finished (of those planned). "
            "Every seed counts, none is chosen."
        )
    if layout.baseline is not None and any(column.difference for column in layout.columns):
        interval = (
            f", with its {percent} t confidence interval" if _most_seeds(compared) > 1 else ""
        )
        notes.say(f"Δ: difference to the baseline ({layout.baseline}), paired by seed{interval}.")


def _verdicts(notes: Notes, layout: TableLayout, compared: Mapping[str, Compared]) -> None:
    figure = layout.judged
    if figure is None or not compared[figure].verdicts:
        return
    limits = layout.limits
    delta = f"{limits.until if limits else layout.spec.delta:g} {figure_of(figure).label}"
    count = len(compared[figure].verdicts)
    holm = f", with Holm's correction over the {count} cells" if count > 1 else ""
    level = f"{100 * layout.spec.level:g} %{holm}"
    interval = "interval of all looks together" if limits else f"paired t interval ({level})"
    notes.say(
        f"Verdict: what the {interval} says; no "
        f"different: within ±{delta}; undecided (+n): n more seeds would settle a difference of "
        f"{delta}."
    )
    if compared[figure].looks:
        notes.say(compared[figure].looks)


def _test(notes: Notes, layout: TableLayout, compared: Mapping[str, Compared]) -> None:
    tests = {
        name: comparison.ties
        for name, comparison in compared.items()
        if comparison.ties is not None and not figure_of(name).exact
    }
    if any(ties.best is not None for ties in tests.values()):
        percent = f"{100 * layout.spec.level:g} %"
        notes.say(
            "Bold: the best mean and every cell whose paired difference to it over common seeds "
            f"has a {percent} t interval that covers zero (not corrected for the number of cells; "
            "unfinished cells are not tested)."
        )
    elif any(comparison.values.values() for comparison in compared.values()) and tests:
        many = _most_seeds(compared) > 1
        notes.say("No cell has all of its seeds yet: no figure is bold." if many else ONE_SEED)


def _starts(notes: Notes, frame: pd.DataFrame) -> None:
    """Say so where seeds share the run that they begin with: their spread is not all of it."""
    if "run.start" not in frame:
        return
    begun = frame[frame["run.start"].notna()]
    of_cell = begun.groupby("cell")["run.start"]
    if ((of_cell.count() > 1) & (of_cell.nunique() == 1)).any():
        notes.say(
            "All seeds of a cell begin with the weights of one start run: ± and the intervals "
            "leave out the spread of the start."
        )


def _meaning(notes: Notes, layout: TableLayout) -> None:
    """What the figures stand for; those of one meaning together."""
    labels: dict[str, list[str]] = {}
    for column in layout.columns:
        figure = figure_of(column.figure)
        if figure.about:
            labels.setdefault(figure.about, []).append(column.label or figure.label)
    for about, names in labels.items():
        notes.say(f"{', '.join(names)}: {about}.")


def _most_seeds(compared: Mapping[str, Compared]) -> int:
    return max((len(values) for c in compared.values() for values in c.values.values()), default=0)


def _protocol(
    notes: Notes,
    kind: str,
    frame: pd.DataFrame,
    layout: TableLayout,
    compared: Mapping[str, Compared],
) -> None:
    protocol = common_protocol(frame, kind)
    name = MEASUREMENTS[kind].label
    if protocol:
        notes.say(f"{name}: {describe_protocol(kind, protocol)}.")
    varied: Differences = {}
    for column in layout.columns:
        if figure_of(column.figure).kind == kind:
            varied |= compared[column.figure].varied
    if varied:
        fields = "; ".join(
            f"{field.replace('_', ' ')} {', '.join(values)}" for field, values in varied.items()
        )
        notes.say(f"{name}: the protocol varies with the rows: {fields}.")
    if f"{kind}.drift" in frame:
        _drift(notes, name, frame[f"{kind}.drift"])


def _drift(notes: Notes, name: str, drift: pd.Series) -> None:
    """Figures that were taken on a machine that did not hold still."""
    reasons = drift.dropna()
    if len(reasons):
        notes.say(
            f"{name}: suspect in {len(reasons)} of {len(drift)} runs (all reasons in runs.csv), "
            f"such as: {str(reasons.iloc[0]).partition('; ')[0]}."
        )


def _code(notes: Notes, frame: pd.DataFrame) -> None:
    """Say so when the runs were not made by the same code."""
    made = (
        frame["run.commit"].dropna().astype(str) if "run.commit" in frame else pd.Series(dtype=str)
    )
    commits = dict.fromkeys(commit[:10] for of_run in made for commit in of_run.split("; "))
    if len(commits) > 1:
        notes.say(f"The runs were made by different versions of the code: {', '.join(commits)}.")
    if "run.dirty" in frame and (frame["run.dirty"] == True).any():  # noqa: E712
        notes.say("Some runs were made with uncommitted changes to the code (kept with each run).")


def describe_differences(differences: Differences, most: int = 4) -> str:
    """``device A100 (cell x, cell y) or V100 (cell z)``."""
    fields = []
    for field, values in differences.items():
        parts = []
        for value, names in values.items():
            more = f", and {len(names) - most} more" if len(names) > most else ""
            parts.append(f"{value} ({', '.join(names[:most])}{more})")
        fields.append(f"{field.replace('_', ' ')} {' or '.join(parts)}")
    return "; ".join(fields)
