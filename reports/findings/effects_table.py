"""Main effects and interactions as a table."""

from __future__ import annotations

from collections.abc import Sequence

from ablations.analysis.effects import Effect
from benchmarks.figures import Figure
from reports.findings.sentence import plain_names
from reports.frame.statistics import Difference
from reports.tables.labels import Names
from reports.tables.layout import TableLayout
from reports.tables.model import DASH, Column, Entry, Label, Notes, Row, Table

_SAID = {"higher": "more", "lower": "less", "within": "nothing", "undecided": "undecided"}


def effects_table(
    found: Sequence[Effect], names: Names, figure: Figure, layout: TableLayout
) -> Table:
    """A row an effect: its size with its corrected interval, and what that says.

    Args:
        found: of :func:`reports.findings.runs.find_effects`.
        figure: that they are of.
        layout: of the table that it stands beside, with δ and the level.
    """
    notes, spec = Notes(), layout.spec
    holm = f", corrected over {len(found)} effects" if len(found) > 1 else ""
    notes.say(
        f"Main effect: mean over all values of the other axes; interaction (×): gain beyond the "
        f"sum of the gains. {100 * spec.level:g}% intervals, paired by seed{holm}; nothing: within "
        f"±{spec.delta:g} {figure.label}."
    )
    if layout.limits is not None:
        notes.say(
            "Seeds were added until verdicts were reached; the intervals of effects do not account "
            "for that, and those of the verdicts do."
        )
    size = Column(figure, f"Effect ({figure.label})", 1, "difference")
    columns = (size, Column(figure, "It brings", 1, "verdict"))
    rows = tuple(_row(effect, names, notes) for effect in found)
    main = tuple(row for row, effect in zip(rows, found, strict=True) if len(effect.levels) == 1)
    groups = tuple(group for group in (main, tuple(r for r in rows if r not in main)) if group)
    title = "Main effects and interactions."
    return Table(
        *(f"{layout.name}_effects", title, ("Effect of",), columns, groups, notes.all()),
        setting=f"{found[0].over}.",
    )


def _row(effect: Effect, names: Names, notes: Notes) -> Row:
    parts = [names.against(a, v, effect.references[a]) for a, v in effect.levels.items()]
    marks: tuple[str, ...] = ()
    if effect.aliases:
        aliases = ", ".join(plain_names(alias, names) for alias in effect.aliases)
        marks = (notes.mark(f"the design cannot tell it from {aliases}."),)
    size, said = Entry(text=DASH), DASH
    if effect.corrected is not None:
        size = Entry(difference=Difference(effect.seeds, effect.mean, *effect.corrected))
        said = _SAID[effect.decision]
    entries = (size, Entry(text=said))
    return Row((Label(" × ".join(parts)),), str(effect.seeds), entries, effect.name, marks)
