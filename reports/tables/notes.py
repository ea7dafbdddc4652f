"""What stands below a table: how to read it, what was tested, how each figure was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from ablations.table_spec import ColumnSpec
from benchmarks.figures import figure_of
from benchmarks.measurements import MEASUREMENTS
from reports.frame.protocol import (
    Differences,
    common_protocol,
    describe_protocol,
    differs_between,
    measured,
    show_value,
)
from reports.frame.statistics import Ties
from reports.tables.code import diff_command, uncommitted, versions
from reports.tables.comparisons import Compared
from reports.tables.labels import field_value
from reports.tables.layout import TableLayout
from reports.tables.model import Label, Notes, Row, Table
from reports.tables.published import Published

ONE_SEED = "One seed proves nothing: no figure is bold, and no difference has an interval."


def add_notes(notes: Notes, layout: TableLayout, adds_up: bool) -> None:
    """Add the notes that hold for the whole table, as short as they can be; the rest stands in
    :func:`protocol_table`.

    Args:
        adds_up: whether the printed differences are those of the printed figures.
    """
    said, compared = [], layout.compared
    percent = f"{100 * layout.spec.level:g}%"
    if _most_seeds(compared) > 1:
        said.append("±: std over seeds")
    if any(difference.n > 1 for c in compared.values() for difference in c.differences.values()):
        rounded = "" if adds_up else " before rounding"
        said.append(f"Δ: paired by seed{rounded}, {percent} interval{_corrected(layout)}")
    elif not adds_up:
        said.append("Δ: before rounding")
    tests = _tests(compared)
    if any(ties.best is not None for ties in tests.values()):
        said.append("bold: best, or not told from it")
    judged = layout.judged
    if judged is not None and compared[judged].verdicts:
        open_ = any(v.kind == "undecided" for v in compared[judged].verdicts.values())
        more = "; +n: seeds that would settle it" if open_ else ""
        within = f"no different within ±{_delta(layout, judged)}"
        said.append(f"verdict: Δ told from zero, or {within}{more}")
    notes.say(f"{'; '.join(said)}." if said else "")
    measured = any(comparison.values.values() for comparison in compared.values())
    if tests and measured and not any(ties.best is not None for ties in tests.values()):
        many = _most_seeds(compared) > 1
        notes.say("No cell has all of its seeds yet: no figure is bold." if many else ONE_SEED)
    if len(codes := versions(layout.frame)) > 1:
        notes.say(f"Runs of different versions of the code: {', '.join(codes)}.")
    if uncommitted(layout.frame):
        notes.say("Some runs are of code with uncommitted changes.")


def setting(layout: TableLayout, *others: str) -> str:
    """What holds for every row, for the caption: data, backbone, device, seeds.

    Args:
        others: further facts, such as a figure that is the same in all rows.
    """
    kinds = {figure_of(column.figure).kind for column in layout.columns}
    scored, timed = (common_protocol(layout.frame, kind) for kind in ("ap", "fps"))
    known = [show_value(scored[k]) for k in ("data", "split") if k in scored and "ap" in kinds]
    if "videos" in scored and "ap" in kinds:
        known.append(f"{show_value(scored['videos'])} videos")
    parts = [", ".join(known)]
    if "backbone" not in [field.name for field in layout.fields]:
        backbones = {field_value(cell, "backbone") for cell in layout.cells}
        parts += backbones if len(backbones) == 1 else []
    if "fps" in kinds:
        shown = [show_value(timed[k]) for k in ("device", "precision") if k in timed]
        parts += [f"speed on {', '.join(shown)}"] if shown else []
    planned = {cell.planned for cell in layout.cells}
    seeds = []
    if len(planned) == 1 and all(cell.complete for cell in layout.cells):
        count = planned.pop()
        seeds.append("1 seed" if count == 1 else f"{count} seeds")
    if _one_start(layout.frame):
        seeds.append("all from one start run" if seeds else "all seeds from one start run")
    parts.append(", ".join(seeds))
    text = "; ".join(part for part in (*parts, *others) if part)
    return f"{text}." if text else ""


def protocol_table(
    layout: TableLayout, columns: Sequence[ColumnSpec], published: Sequence[Published]
) -> Table:
    """All that there is to say of how the figures came about, as a table for an appendix.

    Args:
        columns: every figure that is shown, in ``layout`` or beside it.
        published: entries that the table shows.
    """
    rows = tuple(
        Row((Label(head), Label(f"{text[0].upper()}{text[1:]}")), "", (), head)
        for head, text in _protocol(layout, columns, published)
    )
    title = layout.spec.title
    return Table(
        f"{layout.name}_protocol",
        f"{title.removesuffix('.')}, protocol." if title else "Protocol.",
        ("What", "How"),
        (),
        (rows,),
        (),
        appendix=True,
        prose=True,
    )


def _protocol(
    layout: TableLayout, columns: Sequence[ColumnSpec], published: Sequence[Published]
) -> Iterator[tuple[str, str]]:
    """What it is about, and the text."""
    frame, compared = layout.frame, layout.compared
    percent = f"{100 * layout.spec.level:g} %"
    yield (
        "Seeds",
        "mean ± sample standard deviation over seeds; n: seeds finished (of those planned). "
        "Every seed counts, none is chosen.",
    )
    if layout.baseline is not None:
        interval = f"a {percent} t interval{_corrected(layout)}"
        said = (
            f"to the baseline ({layout.called[layout.baseline]}), paired by seed, with {interval}."
        )
        yield "Difference", f"{said} Computed from unrounded figures."
    figure = layout.judged
    if figure is not None and compared[figure].verdicts:
        count = len(compared[figure].verdicts)
        holm = f", with Holm's correction over the {count} cells" if count > 1 else ""
        interval = f"paired t interval ({percent}{holm})"
        interval = "interval of all looks together" if layout.limits else interval
        delta = _delta(layout, figure)
        yield (
            "Verdict",
            f"what the {interval} says; no different: within ±{delta}; undecided (+n): n more "
            f"seeds would settle a difference of {delta}. {compared[figure].looks}".strip(),
        )
    if any(ties.best is not None for ties in _tests(compared).values()):
        yield (
            "Bold",
            "the best mean and every cell whose paired difference to it over common seeds has "
            f"a {percent} t interval that covers zero (not corrected for the number of cells; "
            "unfinished cells are not tested).",
        )
    if _one_start(frame):
        said = "all seeds of a cell begin with the weights of one start run"
        yield "Start", f"{said}, whose own spread ± and intervals leave out."
    yield from ((", ".join(names), f"{about}.") for about, names in _meaning(columns).items())
    for kind, measurement in MEASUREMENTS.items():
        yield from ((measurement.label, t) for t in _measured_how(frame, kind, layout.called))
    yield from ((f"{entry.method} (published)", f"{entry.source}.") for entry in published)
    runs = [str(c) for c in frame["run.commit"].dropna()] if "run.commit" in frame else []
    commits = list(dict.fromkeys(commit[:10] for of_run in runs for commit in of_run.split("; ")))
    made = [f"commit {', '.join(commits)}"] if commits else []
    if uncommitted(frame):
        made.append("some runs with uncommitted changes (kept with each run)")
    if codes := [name for name in versions(frame) if name not in commits]:
        made.append(f"version {', '.join(codes)}")
    if command := diff_command(frame):
        made.append(f"what differs: {command}")
    if made:
        yield "Code", f"{'; '.join(made)}."


def _corrected(layout: TableLayout) -> str:
    """For what intervals of differences are corrected, and of which figure where not of all."""
    judged, compared = layout.judged, layout.compared
    kinds = [v.kind for v in compared[judged].verdicts.values()] if judged is not None else []
    if judged is None or not any(kind != "none" for kind in kinds):
        return ""
    over = [f"{len(kinds)} cells"] if len(kinds) > 1 else []
    over += ["all looks"] if layout.limits else []
    if not over:
        return ""
    others = any(c.differences for name, c in compared.items() if name != judged)
    which = f"that of {figure_of(judged).label} " if others else ""
    return f", {which}corrected over {' and '.join(over)}"


def _tests(compared: Mapping[str, Compared]) -> dict[str, Ties]:
    return {
        name: comparison.ties
        for name, comparison in compared.items()
        if comparison.ties is not None and not figure_of(name).exact
    }


def _delta(layout: TableLayout, figure: str) -> str:
    limits = layout.limits
    return f"{limits.until if limits else layout.spec.delta:g} {figure_of(figure).label}"


def _one_start(frame: pd.DataFrame) -> bool:
    """Whether seeds share the run that they begin with: their spread is not all of it then."""
    if "run.start" not in frame:
        return False
    of_cell = frame[frame["run.start"].notna()].groupby("cell")["run.start"]
    return bool(((of_cell.count() > 1) & (of_cell.nunique() == 1)).any())


def _meaning(columns: Sequence[ColumnSpec]) -> dict[str, list[str]]:
    """What figures stand for, to the labels of those of that meaning."""
    labels: dict[str, list[str]] = {}
    for column in columns:
        figure = figure_of(column.figure)
        if figure.about:
            labels.setdefault(figure.about, []).append(column.label or figure.label)
    return labels


def _measured_how(frame: pd.DataFrame, kind: str, called: Mapping[str, str]) -> Iterator[str]:
    if protocol := common_protocol(frame, kind):
        yield f"{describe_protocol(kind, protocol)}."
    varied, unexplained = differs_between(frame, kind)
    if varied:
        fields = [f"{f.replace('_', ' ')} {', '.join(values)}" for f, values in varied.items()]
        yield f"the protocol varies with the rows: {'; '.join(fields)}."
    if unexplained:
        yield f"not measured alike: {describe_differences(unexplained, called)}."
    count, reason = suspect(frame, kind)
    if count:
        yield f"suspect in {count}, such as: {reason} (all reasons in runs.csv)."


def suspect(frame: pd.DataFrame, kind: str) -> tuple[str, str]:
    """How many figures were taken on a machine that did not hold still, and a reason; empty
    without any."""
    if f"{kind}.drift" not in frame or (reasons := frame[f"{kind}.drift"].dropna()).empty:
        return "", ""
    count = f"{len(reasons)} of {len(measured(frame, kind))} runs"
    return count, str(reasons.iloc[0]).partition("; ")[0]


def _most_seeds(compared: Mapping[str, Compared]) -> int:
    return max((len(values) for c in compared.values() for values in c.values.values()), default=0)


def describe_differences(
    differences: Differences, called: Mapping[str, str] | None = None, most: int = 4
) -> str:
    """``device A100 (cell x, cell y) or V100 (cell z)``.

    Args:
        called: what cells are called; none: as they are.
        most: cells that are named.
    """
    known = called or {}
    fields = []
    for field, values in differences.items():
        parts = []
        for value, names in values.items():
            more = f", and {len(names) - most} more" if len(names) > most else ""
            parts.append(f"{value} ({', '.join(known.get(n, n) for n in names[:most])}{more})")
        fields.append(f"{field.replace('_', ' ')} {' or '.join(parts)}")
    return "; ".join(fields)
