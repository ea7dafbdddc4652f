"""What a grid answers: verdicts, effects, sources of doubt, and the result in a sentence."""

import json
import re

import numpy as np
import pytest
from invented_runs import COMPONENTS, make_store
from typer.testing import CliRunner

import cli
from ablations.analysis.effects import Run, effects
from ablations.table_spec import TableSpec, parse_specs
from launch.records.store import Store
from reports.findings.find import find
from reports.frame.cells import frame_cells
from reports.frame.collect import collect
from reports.frame.runs import read_runs
from reports.renderers.csv import to_csv
from reports.renderers.latex import to_latex
from reports.renderers.markdown import to_markdown
from reports.report import make_report
from reports.tables.build import build_tables
from reports.tables.labels import names_for

NOISE = np.random.default_rng(5).normal(0, 0.004, (4, 10))
SHIFT = {
    "messenger": {"off": {"messenger.tokens": 0}, "shift": {"messenger.tokens": 8}},
    "head": COMPONENTS["head"],
}


def gains(stqi=0.13, messenger=0.0, both=0.0):
    """AP in which the parts add so much, with a little noise of each cell and seed."""

    def ap(axes, seed):
        a, b = axes["messenger"] != "off", axes["head"] == "stqi"
        return float(
            0.3 + stqi * b + messenger * a + both * (a and b) + NOISE[2 * a + b, seed] + seed / 50
        )

    return ap


def found(grid, **spec):
    (parsed,) = parse_specs({"shape": "components", **spec}, "g")
    frame = collect(grid)
    table = build_tables(frame, parsed, {}, name="x")[0]
    return find(grid, frame, parsed, "x", names_for(frame_cells(frame), parsed.labels)), table


def verdicts_of(table):
    place = [column.part for column in table.columns].index("verdict")
    return {row.cell: row.entries[place] for row in table.rows}


def test_the_sentence_says_what_each_part_adds_and_whether_the_gains_add_up(make):
    findings, _ = found(make(axes=SHIFT, ap=gains(), seeds=range(6)))
    assert re.fullmatch(
        r"STQI adds 1[23]\.\d AP \[\d+\.\d, \d+\.\d\] over 6 seeds; "
        r"MsgShifT is (no different within 1 AP|undecided): "
        r"[+−]?\d\.\d AP \[−?\d\.\d, −?\d\.\d\]"
        r"(, \d+ more seeds would settle 1 AP)?; .*",
        findings.sentence,
    ), findings.sentence


def test_gains_that_add_up_and_gains_that_do_not(make):
    alike, _ = found(make(axes=SHIFT, ap=gains(), seeds=range(10)), delta=3)
    assert alike.sentence.endswith("; the gains add up within 3 AP.")
    less, table = found(make(axes=SHIFT, ap=gains(0.13, 0.1, -0.1), seeds=range(10)), delta=3)
    assert "; the gains do not add up: MsgShifT and STQI together give " in less.sentence
    assert less.sentence.endswith(" less than the sum of their gains.")
    assert set(verdicts_of(table)) == {row.cell for row in table.rows}


def test_losses_are_no_gains(make):
    worse = found(make(axes=SHIFT, ap=gains(-0.13, -0.1)))[0].sentence
    assert "STQI costs 1" in worse and "gains" not in worse


def test_seeds_that_failed_are_not_counted(make):
    state = lambda a, s: "failed" if a["head"] == "stqi" and s else "done"  # noqa: E731
    partial = found(make(axes=SHIFT, ap=gains(), state=state))[0]
    assert "over 1 to 3 seeds" in partial.sentence and "over 3 seeds" not in partial.sentence
    assert partial.tables[0].setting == "1 to 3 seeds."


def test_cells_are_called_by_what_they_differ_in_from_the_baseline(make):
    failed = {"messenger": "shift", "head": "per_frame"}
    grid = make(axes=SHIFT, ap=gains(), state=lambda a, s: "failed" if a == failed else "done")
    sentence = found(grid)[0].sentence
    assert re.match(r"(MsgShifT with STQI|STQI) adds 1", sentence)
    assert "; STQI adds 1" in sentence or "; MsgShifT with STQI adds 1" in sentence


def test_of_many_interactions_the_largest_are_spoken_of(make):
    axes = {
        "tokens": {str(k): {"messenger.tokens": k} for k in (0, 4, 8)},
        "stages": {str(k): {"head.stages": k} for k in (1, 2, 3)},
    }
    noise = np.random.default_rng(0).normal(0, 0.001, (9, 4, 4))

    def ap(a, seed):
        x, y = int(a["tokens"]), int(a["stages"])
        return float(0.3 + 0.02 * x * y + noise[x, y, seed])

    baseline = {"tokens": "0", "stages": "1"}
    sentence = found(make(axes=axes, ap=ap, seeds=range(4)), shape="plain", baseline=baseline)[0]
    assert sentence.sentence.count("than the sum of their gains") == 2
    assert sentence.sentence.endswith("; nor do 2 other pairs.")


def test_the_effects_are_those_of_all_runs_paired_by_seed(make):
    grid = make(axes=SHIFT, ap=gains(0.1, 0.05), seeds=range(4))
    table = found(grid, delta=2)[0].tables[0]
    frame = collect(grid)
    runs = [
        Run({"messenger": row["axis.messenger"], "head": row["axis.head"]}, row["seed"], ap)
        for _, row in frame.iterrows()
        for ap in [100 * row["ap.AP"]]
    ]
    expected = effects(runs, delta=2, references={"messenger": "off", "head": "per_frame"})
    assert [row.labels[0].text for row in table.rows] == ["MsgShifT", "STQI", "MsgShifT × STQI"]
    for row, effect in zip(table.rows, expected, strict=True):
        shown, size = row.entries[0].difference, (effect.mean, *effect.corrected)
        assert (shown.mean, shown.low, shown.high) == pytest.approx(size)
    for text in (to_markdown(table), to_latex(table), to_csv(table)):
        assert "STQI" in text
    assert "corrected over 3 effects" in to_markdown(table)


def test_every_cell_has_a_verdict_corrected_over_the_table(make):
    _, table = found(make(axes=SHIFT, ap=gains(0.13), seeds=range(10)), delta=2.5)
    shown = {cell: entry.text for cell, entry in verdicts_of(table).items()}
    assert shown == {
        "messenger=off head=per_frame": "",
        "messenger=off head=stqi": "better",
        "messenger=shift head=per_frame": "no different",
        "messenger=shift head=stqi": "better",
    }
    assert "no different within ±2.5 AP" in to_markdown(table)
    worse = found(make(axes=SHIFT, ap=gains(-0.13), seeds=range(10)))[1]
    assert verdicts_of(worse)["messenger=off head=stqi"].text == "worse"


def test_an_undecided_cell_says_how_many_seeds_would_settle_it(make):
    findings, table = found(
        make(axes={"head": COMPONENTS["head"], **SHIFT}, ap=gains(0.01)), delta=0.2
    )
    entry = verdicts_of(table)["head=stqi messenger=off"]
    assert entry.text == f"undecided (+{entry.verdict.more})"
    assert f"{entry.verdict.more}" in to_csv(table)
    assert "more seeds would settle 0.2 AP" in findings.sentence


def test_one_seed_says_what_it_says_without_verdicts(make):
    findings, table = found(make(axes=SHIFT, seeds=(0,)))
    assert (findings.sentence, findings.tables) == ("", ())
    assert "verdict" not in [column.part for column in table.columns]
    assert "One seed proves nothing" in to_markdown(table)


def test_a_design_without_interactions_has_verdicts_and_a_sentence_but_no_effects(make):
    axes = {"head.queries": {str(n): {"head.queries": n} for n in (5, 10, 20)}}
    ap = {"5": 0.3, "10": 0.4, "20": 0.2}
    grid = make(
        axes=axes, ap=lambda a, s: ap[a["head.queries"]] + NOISE[int(a["head.queries"]) % 4, s]
    )
    spec = {"shape": "plain", "baseline": {"head.queries": "5"}}
    findings, table = found(grid, **spec)
    assert re.fullmatch(
        r"Queries 10 adds \d+\.\d AP \[.*\] over 3 seeds; Queries 20 costs \d+\.\d AP \[.*\]\.",
        findings.sentence,
    ), findings.sentence
    assert findings.tables == ()
    assert verdicts_of(table)["head.queries=10"].text == "better"


def test_a_fractional_design_has_effects_and_says_what_they_are_aliased_with(make):
    grid = make(axes=SHIFT, ap=gains(0.13, 0.05))
    frame = collect(grid)
    third = (frame["axis.messenger"] == "shift") ^ (frame["axis.head"] == "stqi")
    frame.insert(9, "axis.third", third.map({True: "on", False: "off"}))
    frame["cell"] += " third=" + frame["axis.third"].astype(str)
    spec = TableSpec(shape="components")
    (table,) = find(grid, frame, spec, "x", names_for(frame_cells(frame), {})).tables
    assert len(table.rows) == 3
    assert "the design cannot tell it from messenger × head." in " ".join(
        note.text.replace("−", "") for note in table.notes
    )


def test_cells_that_were_not_scored_alike_have_neither_effects_nor_sentence(make):
    split = lambda a, s: "val" if a["head"] == "stqi" else "test"  # noqa: E731
    findings, table = found(make(axes=SHIFT, split=split))
    assert (findings.sentence, findings.tables) == ("", ())
    assert "verdict" not in [column.part for column in table.columns]


def test_a_grid_without_runs_or_with_a_failed_cell_has_a_report(make):
    assert found(make(axes=SHIFT, state=lambda a, s: "new"))[0].tables == ()
    lost = make(
        axes=SHIFT,
        state=lambda a, s: "failed" if a == {"messenger": "shift", "head": "stqi"} else "done",
    )
    findings, _ = found(lost)
    assert findings.sentence
    assert findings.tables == ()  # three cells tell no interaction


def with_resamples(grid, videos=0.02):
    rng = np.random.default_rng(0)
    draws = rng.normal(0, videos, 400)
    for run in grid.runs:
        path = run.folder.result("ap")
        record = json.loads(path.read_text())
        own = rng.normal(0, videos / 10, 400)
        difference = draws * (run.axes["head"] == "stqi") + own
        record["bootstrap"]["samples"] = {"AP": list(record["figures"]["AP"] + difference)}
        path.write_text(json.dumps(record))
    return read_runs(Store(grid.source.parents[1]), grid.name)


def test_the_doubt_is_shown_by_seeds_and_by_videos(make):
    grid = with_resamples(make(axes=SHIFT, ap=gains(), seeds=range(5)))
    doubt = found(grid)[0].tables[-1]
    assert doubt.name == "x_variance"
    rows = {row.labels[0].text: row.entries for row in doubt.rows}
    assert set(rows) == {"messenger off, STQI", "MsgShifT, per-frame", "MsgShifT, STQI"}
    both, seeds, videos, share = rows["messenger off, STQI"]
    assert videos.summary.mean == pytest.approx(2, rel=0.15)
    total = seeds.summary.mean**2 + videos.summary.mean**2
    assert share.summary.mean == pytest.approx(100 * seeds.summary.mean**2 / total)
    assert both.difference.high - both.difference.low > 4 * videos.summary.mean * 0.9
    assert rows["MsgShifT, per-frame"][2].summary.mean < 0.5
    assert "more seeds lessen the first, only more videos the second" in to_markdown(doubt)


def test_the_result_is_on_top_of_terminal_markdown_and_page(tmp_path):
    store = make_store(tmp_path, axes=SHIFT, ap=gains(), table={"shape": "components"})
    arguments = ["report", "components", "--store", str(tmp_path), "--no-plots", "--no-clips"]
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    report = make_report(store, "components", plots=False, clips=False)
    sentence = report.tables[0].result
    assert sentence.startswith("STQI adds")
    assert " ".join(done.output.split()).startswith(" ".join(sentence.split()))
    markdown = (report.folder / "tables" / "components.md").read_text()
    assert markdown.startswith("**STQI adds")
    page = report.page.read_text()
    assert page.index(f'<span class="result">{sentence}</span>') < page.index("<nav")
    names = {path.name for path in report.files}
    assert {"components_effects.md", "components_effects.tex"} <= names


def test_delta_is_a_key_of_the_table(make):
    assert TableSpec().delta == 1.0
    with pytest.raises(Exception, match="delta"):
        parse_specs({"delta": 0}, "grid.yaml")
