"""Everything that a grid answers, found once: its sentence and its tables."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ablations.table_spec import TableSpec
from benchmarks.figures import figure_of
from reports.findings.effects_table import effects_table
from reports.findings.runs import find_effects
from reports.findings.sentence import effects_sentence, verdicts_sentence
from reports.findings.starts_table import starts_table
from reports.findings.variance import doubt_table
from reports.frame.runs import GridRuns
from reports.tables.comparisons import compare, protocol_differences
from reports.tables.labels import Names
from reports.tables.layout import lay_out
from reports.tables.model import Table


@dataclass(frozen=True)
class Findings:
    """What the runs answer.

    Attributes:
        sentence: the result; empty where no cell has two seeds, or there is no baseline.
        tables: of effects, of the sources of doubt and of start runs, those that there are.
    """

    sentence: str
    tables: tuple[Table, ...]


def find(grid: GridRuns, frame: pd.DataFrame, spec: TableSpec, name: str, names: Names) -> Findings:
    """What the grid answers, by the baseline, δ and level of ``spec``.

    Args:
        name: of the table that ``spec`` makes.
        names: what cells, axes and values are called.
    """
    layout = lay_out(frame, spec, name, grid.manifest.limits)
    figure = figure_of(layout.judged or "AP")
    verdicts = compare(
        figure,
        names.cells,
        protocol_differences(names.cells, figure.kind),
        better=None,
        baseline=layout.baseline,
        level=spec.level,
        delta=spec.delta,
        limits=layout.limits,
    ).verdicts
    found = find_effects(names, figure, layout)
    sentence = ""
    if layout.baseline is not None and any(v.kind != "none" for v in verdicts.values()):
        if found and layout.limits is None:  # effects do not account for looks
            sentence = effects_sentence(found, names, spec.delta)
        else:
            delta = layout.limits.until if layout.limits else spec.delta
            sentence = verdicts_sentence(verdicts, names, delta, layout.baseline)
    tables: list[Table] = []
    if found:
        tables.append(effects_table(found, names, figure, layout))
    doubt = doubt_table(grid.runs, names, layout)
    starts = starts_table(grid.starts, layout.name)
    return Findings(sentence, (*tables, *(table for table in (doubt, starts) if table is not None)))
