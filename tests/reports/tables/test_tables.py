import json
import math

import pytest

from ablations.table_spec import TableError, TableSpec, parse_specs
from launch.records.store import Store
from reports.frame.collect import collect
from reports.frame.runs import read_runs
from reports.renderers.typeset import entry_place, number
from reports.tables.build import build_tables
from reports.tables.published import load_published

CHECKS = {"shape": "components"}


@pytest.fixture
def table(frame):
    """Builds the table of a specification from invented runs."""

    def _table(spec=None, **changes):
        (parsed,) = parse_specs({} if spec is None else spec, "grid.yaml")
        return build_tables(frame(**changes), parsed, load_published(), name="components")[0]

    return _table


@pytest.fixture
def protocol(frame):
    """Builds the protocol of a specification's tables from invented runs, as a text."""

    def _protocol(spec=None, **changes):
        (parsed,) = parse_specs({} if spec is None else spec, "grid.yaml")
        table = build_tables(frame(**changes), parsed, load_published(), name="components")[-1]
        return " ".join(label.text for row in table.rows for label in row.labels)

    return _protocol


def column(table, key, part="value", over=None):
    keys = [(c.figure.key, c.part, c.over) for c in table.columns]
    return keys.index((key, part, over))


def entry(table, cell, key, part="value", over=None):
    (row,) = [row for row in table.rows if row.cell is not None and cell in row.cell]
    return row.entries[column(table, key, part, over)]


def notes(table):
    return " ".join(note.text for note in table.notes)


BOTH = "messenger=on head=stqi"
NEITHER = "messenger=off head=per_frame"


def test_mean_and_deviation_over_all_seeds(table, protocol):
    ap = {0: 0.30, 1: 0.32, 2: 0.37}
    built = table(ap=lambda axes, seed: ap[seed])
    summary = entry(built, BOTH, "AP").summary
    assert (summary.n, summary.mean) == (3, pytest.approx(33.0))
    assert summary.std == pytest.approx(math.sqrt(13))
    assert "±: std over seeds" in notes(built)
    assert built.setting.endswith("3 seeds.")
    assert not built.seeds
    assert "Every seed counts, none is chosen" in protocol()


def test_difference_is_paired_with_the_baseline_and_has_the_interval_of_its_verdict(table):
    gain = {0: 0.05, 1: 0.06, 2: 0.07}
    built = table(CHECKS, ap=lambda a, s: 0.2 + s / 10 + gain[s] * (a["messenger"] == "on"))
    difference = entry(built, "messenger=on head=per_frame", "AP", "difference").difference
    assert difference.mean == pytest.approx(6.0)
    verdict = entry(built, "messenger=on head=per_frame", "AP", "verdict").verdict
    assert (difference.low, difference.high) == (verdict.low, verdict.high)
    assert difference.low < 6 - 4.302653 / math.sqrt(3)  # wider than for one cell alone
    assert "corrected over 3 cells" in notes(built)
    assert entry(built, NEITHER, "AP", "difference").text == "baseline"
    assert "paired by seed" in notes(built)


def test_rivals_have_their_names(table):
    axes = {
        "backbone.temporal": {
            kind: {"backbone.temporal": kind, "messenger.tokens": 0}
            for kind in ("channel_shift", "mean", "attention")
        },
        "head.kind": {kind: {"head.kind": kind} for kind in ("stqi", "mean", "gru")},
    }
    built = table({"rows": ["method", "backbone.temporal", "head.kind"]}, axes=axes)
    said = [tuple(label.text for label in row.labels) for row in built.rows]
    assert said[0] == ("TeViT (channel shift (TSM) + STQI)", "channel shift (TSM)", "STQI")
    assert said[4] == ("TeViT (mean over time + mean over time)", *["mean over time"] * 2)
    assert said[8][1:] == ("temporal attention", "GRU")
    assert built.fields[1:] == ("Mixing of frames", "Head")


def test_components_shape_has_check_marks_and_the_bare_cell_as_baseline(table):
    built = table(CHECKS)
    assert built.fields == ("MsgShifT", "STQI")
    marks = [tuple(label.check for label in row.labels) for row in built.rows]
    assert marks == [(False, False), (False, True), (True, False), (True, True)]
    assert entry(built, NEITHER, "AP", "difference").text == "baseline"


def test_a_table_has_few_columns_and_the_rest_is_in_a_second_one(frame):
    (spec,) = parse_specs({"shape": "components", "title": "X."}, "g")
    first, second, protocol = build_tables(frame(), spec, {}, name="x")
    shown = [(c.figure.key, c.part) for c in first.columns]
    ap = [("AP", part) for part in ("value", "difference", "verdict")]
    assert shown == [*ap, ("macs", "value"), ("fps", "value")]
    keys = [c.figure.key for c in second.columns]
    assert keys == ["AP50", "AP75", "AR1", "AR10", "latency"]
    for same in ("AP std (videos) 2.1", "Params (M) 0.641", "Memory (MiB) (CPU) 113"):
        assert same in second.setting
    assert (second.name, protocol.name) == ("x_details", "x_protocol")
    assert [t.appendix for t in (first, second, protocol)] == [False, True, True]


def test_named_columns_are_all_there_and_nothing_is_added(frame):
    (spec,) = parse_specs({"columns": ["AP", "params"]}, "g")
    first, protocol = build_tables(frame(), spec, {}, name="x")
    assert [c.figure.key for c in first.columns] == ["AP", "params"]
    assert protocol.prose


def test_notes_are_at_most_two_lines(make):
    # all that is usual: rounded differences, open verdicts, a busy machine
    def ap(axes, seed):
        steep, gain = 1 + 2 * (axes["messenger"] == "on"), 0.0504 * (axes["head"] == "stqi")
        return 0.3004 + seed / 100 * steep + gain

    grid = make(ap=ap)
    for run in grid.runs:
        path = run.folder.result("fps")
        record = json.loads(path.read_text()) | {"environment": {"drift": ["clock fell by 30 %"]}}
        path.write_text(json.dumps(record))
    (spec,) = parse_specs(CHECKS, "g")
    frame = collect(read_runs(Store(grid.source.parents[1]), "components"))
    said = notes(build_tables(frame, spec, {}, name="x")[0])
    for part in ("before rounding", "+n:", "suspect in 12 of 12 runs"):
        assert part in said
    line = 140  # letters of a page's width in the size of notes
    assert len(said) <= 2 * line


@pytest.mark.parametrize(("gain", "says"), [(0.0504, True), (0.05, False)])
def test_differences_that_do_not_add_up_are_said_to_be_of_unrounded_ones(table, gain, says):
    # 31.04 and 36.08 are printed as 31.0 and 36.1, their difference of 5.04 as 5.0
    built = table(CHECKS, ap=lambda a, s: 0.3004 + s / 100 + gain * (a["head"] == "stqi") * 1.0)
    row = entry(built, "messenger=off head=stqi", "AP", "difference").difference
    printed = [round(entry(built, c, "AP").summary.mean, 1) for c in (NEITHER, BOTH)]
    assert (round(printed[1] - printed[0], 1) != round(row.mean, 1)) == says
    assert ("before rounding" in notes(built)) == says


def test_a_long_table_is_ruled_by_its_first_label(frame):
    axes = {
        "queries": {str(n): {"head.queries": n} for n in range(5, 12)},
        "head": {k: {"head.kind": k} for k in ("per_frame", "stqi")},
    }
    built = build_tables(frame(axes=axes, seeds=(0,)), TableSpec(), {}, name="x")[0]
    assert [len(group) for group in built.groups] == [2] * 7


def test_main_shape_has_the_papers_columns(table):
    built = table({"shape": "main"})
    assert built.fields[:2] == ("Method", "Backbone")
    keys = [c.figure.key for c in built.columns]
    assert keys == ["AP", "macs", "fps"]
    assert built.rows[3].labels[0].text == "TeViT (MsgShifT + STQI)"
    assert built.rows[3].labels[1].text == "PVTv2-B0"


def test_a_count_of_operations_never_stands_without_a_speed(table):
    built = table({"columns": ["AP", "macs", "params"]})
    assert [c.figure.key for c in built.columns] == ["AP", "macs", "latency", "params"]
    built = table({"columns": ["fps_model", "flops"]})
    assert [c.figure.key for c in built.columns] == ["fps_model", "flops"]


def test_flops_are_twice_the_multiply_adds(table):
    built = table({"columns": ["macs", "flops", "fps"]})
    macs, flops = (entry(built, BOTH, key).summary.mean for key in ("macs", "flops"))
    assert flops == pytest.approx(2 * macs)


def test_bold_are_the_best_and_what_the_test_cannot_tell_from_it(table):
    noise = {0: 0.0, 1: 0.01, 2: -0.01}

    def ap(axes, seed):
        if axes["head"] == "per_frame":
            return 0.2 + noise[seed]
        return 0.4 + (noise[seed] if axes["messenger"] == "on" else -noise[seed])

    built = table(ap=ap)
    bold = {row.cell for row in built.rows if row.entries[column(built, "AP")].bold}
    assert bold == {"messenger=off head=stqi", BOTH}
    assert "bold: best, or not told from it" in notes(built)


def test_one_seed_proves_nothing(table):
    built = table(CHECKS, seeds=(0,))
    assert not any(e.bold for row in built.rows for e in row.entries)
    assert "One seed proves nothing" in notes(built)
    difference = entry(built, BOTH, "AP", "difference").difference
    assert difference.low is None
    assert entry(built, BOTH, "AP").summary.std is None
    assert "interval" not in notes(built).split("One seed")[0]


def test_an_unfinished_cell_is_shown_as_such_and_never_bold(table):
    built = table(
        CHECKS,
        state=lambda axes, seed: "failed" if (axes["head"], seed) == ("stqi", 2) else "done",
    )
    (row,) = [row for row in built.rows if row.cell == BOTH]
    assert row.seeds == "2/3"
    assert "seed 2 failed (error)" in notes(built)
    ap = row.entries[column(built, "AP")]
    assert (ap.summary.n, ap.bold) == (2, False)


def test_nothing_is_bold_while_an_unfinished_cell_is_ahead(table):
    built = table(
        state=lambda axes, seed: "running" if (axes["head"], seed) == ("stqi", 2) else "done",
        ap=lambda axes, seed: 0.2 + 0.1 * (axes["head"] == "stqi") + seed / 1000,
    )
    assert not any(row.entries[column(built, "AP")].bold for row in built.rows)
    assert "is ahead, but not finished" in notes(built)


def test_a_draw_with_an_unfinished_cell_is_not_being_behind_it(table):
    built = table(
        state=lambda axes, seed: "queued" if (axes["head"], seed) == ("stqi", 2) else "done",
        ap=lambda axes, seed: 0.25,
    )
    assert "is ahead" not in notes(built)


def test_a_measurement_that_failed_costs_its_own_figure_alone(make):
    grid = make(ap=lambda axes, seed: 0.2 + 0.1 * (axes["head"] == "stqi") + seed / 1000)
    for run in grid.runs:
        if (run.cell, run.seed) == (BOTH, 2):
            run.folder.result("fps").rename(run.folder.failed_result("fps"))
    runs = read_runs(Store(grid.source.parents[1]), "components")
    (failed,) = [run for run in runs.runs if run.cause]
    assert (failed.state, failed.cause) == ("interrupted", "done but for fps")
    built = build_tables(collect(runs), TableSpec(columns=["AP", "fps"]), {}, name="x")[0]
    (row,) = [row for row in built.rows if row.cell == BOTH]
    assert row.seeds == "3"
    ap, fps = (entry(built, BOTH, key) for key in ("AP", "fps"))
    assert (ap.summary.n, ap.bold) == (3, True)
    assert (fps.summary.n, fps.bold) == (2, False)
    assert "seed 2 done but for fps." in notes(built)
    assert "FPS of 2 of 3 seeds." in notes(built)


def test_a_figure_of_other_seeds_than_the_finished_ones_says_how_many(make):
    grid = make(seeds=(0, 1))
    for run in grid.runs:
        if run.cell == BOTH:
            run.folder.result("fps").unlink()
    rows = collect(read_runs(Store(grid.source.parents[1]), "components"))
    built = build_tables(rows, TableSpec(columns=["AP", "params"]), {}, name="x")[0]
    (row,) = [row for row in built.rows if row.cell == BOTH]
    assert row.seeds == "0/2"
    ap, params = (entry_place(e, c, row) for e, c in zip(row.entries, built.columns, strict=True))
    assert (ap.fragments[-1].text, len(params.fragments)) == ("(n=2)", 1)


def test_what_is_measured_of_one_seed_is_a_mark_on_timings_alone(make):
    grid = make()
    for run in grid.runs:
        path = run.folder.result("fps")
        record = json.loads(path.read_text())
        record["environment"] = {"drift": ["clock fell by 30 %"]}
        path.write_text(json.dumps(record))
        if run.seed:
            for kind in ("flops", "fps"):
                run.folder.result(kind).unlink()
    rows = collect(read_runs(Store(grid.source.parents[1]), "components"))
    (table, *_) = build_tables(rows, TableSpec(columns=["macs", "fps"]), {}, name="x")
    assert notes(table).count("of one seed") == 1
    assert "of one seed; suspect in 4 of 4 runs (see the protocol)" in notes(table)
    marked = {c.figure.key: bool(c.marks) for c in table.columns}
    assert marked == {"macs": False, "fps": True}


def test_disturbed_timings_are_named(make):
    grid = make(seeds=(0,))
    path = grid.runs[0].folder.result("fps")
    record = json.loads(path.read_text())
    record["environment"] = {"drift": ["clock fell by 30 %", "other processes computed"]}
    path.write_text(json.dumps(record))
    rows = collect(read_runs(Store(grid.source.parents[1]), "components"))
    said = notes(build_tables(rows, TableSpec(), {}, name="x")[0])
    assert "suspect in 1 of 4 runs (see the protocol)" in said
    rest = build_tables(rows, TableSpec(), {}, name="x")[-1]
    assert "Suspect in 1 of 4 runs, such as: clock fell by 30 %" in str(rest.rows)


def test_an_unfinished_cell_that_is_behind_does_not_spoil_the_bold(table):
    built = table(
        state=lambda axes, seed: "queued" if (axes["head"], seed) == ("per_frame", 2) else "done",
        ap=lambda axes, seed: 0.2 + 0.1 * (axes["head"] == "stqi") + seed / 1000,
    )
    bold = {row.cell for row in built.rows if row.entries[column(built, "AP")].bold}
    assert bold == {"messenger=off head=stqi", BOTH}


@pytest.mark.parametrize("state", ["failed", "queued", "new"])
def test_a_cell_without_any_result_keeps_its_row(table, state):
    built = table(state=lambda axes, seed: state if axes["head"] == "stqi" else "done")
    assert len(built.rows) == 4
    assert entry(built, BOTH, "AP").text == state
    assert f"seed 0 {state}" in notes(built)


def test_a_grid_of_which_nothing_ran_has_a_table(table):
    built = table(CHECKS, state=lambda axes, seed: "new")
    assert [row.seeds for row in built.rows] == ["0/3"] * 4


def test_mixed_protocol_has_no_mean_and_shows_each_seed(table):
    built = table(
        CHECKS,
        split=lambda axes, seed: "val" if (axes["head"], seed) == ("stqi", 1) else "held-out",
    )
    mixed = entry(built, BOTH, "AP")
    assert mixed.mixed
    assert mixed.summary is None
    assert len(mixed.values) == 3
    assert "mixed protocol, no mean: split held-out (seed 0, seed 2) or val (seed 1)" in notes(
        built
    )
    assert entry(built, BOTH, "AP", "difference").text == "–"
    row = next(row for row in built.rows if row.cell == BOTH)
    shown = entry_place(mixed, built.columns[column(built, "AP")], row)
    assert shown.fragments[0].text.count(" / ") == 2


def test_cells_measured_on_different_machines_are_not_compared(table):
    spec = {"columns": [{"figure": "fps", "best": "high", "difference": True}], "baseline": BOTH}
    built = table(
        spec, device=lambda axes, seed: "A100" if axes["head"] == "stqi" else "CPU (Xeon)"
    )
    fps = [row.entries[0] for row in built.rows]
    assert not any(e.bold for e in fps)
    assert [row.entries[1].text for row in built.rows] == ["–", "–", "–", "baseline"]
    assert "not measured alike" in notes(built)
    assert built.columns[0].marks


def test_the_cpu_is_named(table):
    built = table()
    assert "FPS (CPU)" in [c.label for c in built.columns]
    assert "speed on CPU (Xeon, 1 thread)" in built.setting
    gpu = table(device=lambda axes, seed: "NVIDIA H100")
    assert "FPS" in [c.label for c in gpu.columns]
    assert "speed on NVIDIA H100" in gpu.setting


def test_out_of_memory_is_a_result(table):
    built = table(oom=lambda axes, seed: "OOM at T=36" if axes["head"] == "stqi" else None)
    assert entry(built, BOTH, "fps").text == "OOM at T=36"
    some = table(oom=lambda axes, seed: "OOM at T=36" if seed == 0 else None)
    assert entry(some, BOTH, "fps").summary.n == 2
    assert "1 of 3 seeds: OOM at T=36" in notes(some)


def test_seed_spread_and_video_bootstrap_are_kept_apart(table, protocol):
    built = table({"columns": ["AP", "AP_videos"]})
    videos = built.columns[column(built, "AP_videos")]
    row = built.rows[0]
    shown = entry_place(row.entries[column(built, "AP_videos")], videos, row)
    assert [fragment.text for fragment in shown.fragments] == ["2.1"]
    assert "under resampling of the videos" in protocol()


def test_published_figures_are_marked_and_unknown_ones_empty(table):
    built = table({"shape": "main", "published": ["vistr_r50", "tevit_msgshift_released"]})
    vistr, tevit = built.groups[-1]
    assert vistr.published
    assert vistr.labels[:2] == (type(vistr.labels[0])("VisTR"), type(vistr.labels[0])("ResNet-50"))
    assert vistr.entries[column(built, "AP")].values == {0: 36.2}
    assert tevit.entries[column(built, "fps")].text == ""
    assert "YouTube-VIS-2019 val, best of several runs" in notes(built)
    assert built.setting.startswith("synthetic, held-out, 32 videos")
    assert not any(e.bold for row in built.groups[-1] for e in row.entries)


def test_order_group_labels_and_decimals(table):
    spec = {
        "rows": ["head", "messenger"],
        "group": "head",
        "order": {"head": ["stqi"]},
        "labels": {"head": "Head", "head=stqi": "full", "AP": "mask AP"},
        "decimals": {"AP": 3},
        "columns": ["AP"],
    }
    built = table(spec)
    assert [len(group) for group in built.groups] == [2, 2]
    assert built.groups[0][0].labels[0].text == "full"
    assert built.fields == ("Head", "messenger")
    assert (built.columns[0].label, built.columns[0].decimals) == ("mask AP", 3)


def test_an_axis_can_be_laid_out_across(table):
    built = table({"across": "head", "columns": ["AP", "fps"]})
    assert [c.above for c in built.columns] == ["per-frame"] * 2 + ["STQI"] * 2
    assert len(built.rows) == 2
    assert entry(built, "messenger=on", "AP", over="stqi").summary.mean > 35


def test_any_collected_column_can_be_shown(table):
    built = table({"columns": ["train.steps"]})
    assert entry(built, BOTH, "train.steps").summary.mean == 800


def test_counts_show_enough_digits(table):
    built = table({"columns": ["macs"]})
    assert built.columns[0].decimals == 4  # 0.0485 G


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"rows": ["messenger"]}, ["do not tell", "never averaged", "head"]),
        ({"rows": ["heads"]}, ["unknown row field 'heads'", "axes: messenger, head", "head.kind"]),
        ({"baseline": "nothing"}, ["no cell", BOTH]),
        ({"baseline": {"head": "stqi"}}, ["2 cells"]),
        ({"order": {"head": ["x"]}}, ["head has no value 'x'", "stqi"]),
        ({"checks": {"head": "x"}}, ["head has no value 'x'", "stqi"]),
        ({"columns": ["AP", "AP"]}, ["AP is there twice"]),
        ({"columns": ["mAP"]}, ["unknown figure 'mAP'", "AP50"]),
        ({"published": ["vistr"]}, ["unknown entry 'vistr'", "vistr_r50"]),
        ({"across": "heads"}, ["unknown row field 'heads'"]),
    ],
)
def test_faults_name_what_is_valid(table, spec, words):
    with pytest.raises(Exception) as caught:
        table(spec)
    for word in words:
        assert word in str(caught.value)


def test_an_empty_grid_is_an_error(frame):
    with pytest.raises(TableError, match="no cells"):
        build_tables(frame().iloc[:0], TableSpec(), {}, name="x")[0]


@pytest.mark.parametrize(
    ("value", "decimals", "sign", "text"),
    [
        (46.25, 1, False, "46.2"),
        (-0.04, 1, True, "0.0"),
        (0.04, 1, True, "0.0"),
        (-1.25, 2, True, "−1.25"),
        (1.0, 1, True, "+1.0"),
        (161_832_616, 0, False, "161\u2009832\u2009616"),
        (1234.5, 1, False, "1234.5"),
    ],
)
def test_numbers(value, decimals, sign, text):
    assert number(value, decimals, sign=sign) == text
