"""Situations of real users in which a report was wrong: each with what is right."""

import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from invented_runs import COMPONENTS, SMALL_DATA, make_store, plots_of
from matplotlib.figure import Figure

import cli
from ablations.table_spec import TableError, TableSpec
from launch.records.store import Store
from reports.frame.cells import frame_cells
from reports.frame.collect import collect
from reports.frame.runs import read_runs
from reports.page.plots import plot_figure
from reports.plots.legend import label_points
from reports.plots.style import draw, styled, svg
from reports.renderers.latex import escape_latex, to_latex
from reports.renderers.markdown import to_markdown
from reports.report import make_report
from reports.tables.build import build_tables
from reports.tables.labels import names_for

TWINS = {
    "messenger": {
        "off": {"messenger.tokens": 0},
        "on": {"messenger.tokens": 8, "messenger.shift": False},
        "shift": {"messenger.tokens": 8, "messenger.shift": True},
    }
}
SIXTY = {
    "messenger.tokens": {str(n): {"messenger.tokens": n} for n in (0, 2, 4, 8, 32)},
    "head": COMPONENTS["head"],
    "train.lr": {f"{lr:g}": {"train.lr": lr} for lr in (1e-4, 2e-4, 4e-4, 5e-4, 8e-4, 1e-3)},
}


def table_of(frame, **spec):
    return build_tables(frame, TableSpec(**spec), {}, name="x")[0]


def again(grid):
    """The frame of a grid whose records were changed on disk."""
    return collect(read_runs(Store(grid.source.parents[1]), grid.name))


def change_fps(run, change):
    path = run.folder.result("fps")
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def visible_text(plot):
    with styled():
        figure = draw(plot, 5.5)
        figure.canvas.draw()
        return [text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))]


# --- two cells with one printed name -------------------------------------------------------------

ALIKE = {"messenger=on": "messengers", "messenger=shift": "messengers"}


def test_two_cells_with_one_printed_name_have_a_bar_each(make):
    plot = plots_of(make(axes=TWINS), ALIKE)["flops_by_module"]
    sums = plot.data.groupby("cell")["multiply-adds (G)"].sum() * 1000
    assert sums.round(1).to_dict() == {
        "messenger=off": 48.5,
        "messenger=on": 49.2,
        "messenger=shift": 49.2,
    }
    said = visible_text(plot)
    assert "messengers (on)" in said
    assert "messengers (shift)" in said
    assert said.count(" 49.2") == 2


def test_bars_are_drawn_by_cell_even_where_names_are_alike(frame):
    from reports.plots.stacked import modules

    cells = frame_cells(frame(axes=TWINS))
    plot = modules(cells, {cell.name: "same" for cell in cells})
    assert visible_text(plot).count(" 49.2") == 2


def test_two_cells_with_one_printed_name_keep_their_line_in_a_sweep(make):
    axes = {"messenger.shift": {}, "head.queries": {}}
    axes["messenger.shift"] = {"a": {"messenger.shift": True}, "b": {"messenger.shift": False}}
    axes["head.queries"] = {str(n): {"head.queries": n} for n in (5, 10)}
    ap = {("a", "5"): 0.1, ("a", "10"): 0.2, ("b", "5"): 0.3, ("b", "10"): 0.4}
    grid = make(axes=axes, ap=lambda a, s: ap[a["messenger.shift"], a["head.queries"]])
    plots = plots_of(grid, {"a": "same", "b": "same"})
    data = plots["ap_by_head_queries"].data
    assert data.groupby("series")["mean"].max().round(6).tolist() == [20, 40]
    assert plots["training"].data.groupby("label")["cell"].nunique().eq(1).all()


def test_two_cells_with_one_printed_name_have_rows_that_differ(frame):
    built = table_of(frame(axes=TWINS), labels=ALIKE, columns=["AP"])
    assert [row.labels[0].text for row in built.rows] == [
        "off",
        "messengers (on)",
        "messengers (shift)",
    ]


def test_values_without_a_check_mark_are_told_apart(frame):
    built = table_of(frame(axes=TWINS), checks={"messenger": "shift"}, columns=["AP"])
    assert [(label.check, label.text) for row in built.rows for label in row.labels] == [
        (False, "off"),
        (None, "Msg"),
        (True, "shift"),
    ]


def test_columns_with_one_printed_name_are_told_apart(frame):
    built = table_of(frame(), labels={"AP": "quality", "AP50": "quality"}, columns=["AP", "AP50"])
    assert [column.label for column in built.columns] == ["quality (AP)", "quality (AP50)"]


# --- a tick that the configuration does not bear out ---------------------------------------------


@pytest.mark.parametrize(("shift", "tick"), [(True, True), (False, False)])
def test_messenger_shift_false_is_not_ticked_under_msgshift(frame, shift, tick):
    on = {"messenger.tokens": 8, "messenger.shift": shift}
    axes = {"messenger": {"off": {"messenger.tokens": 0}, "on": on}}
    built = table_of(frame(axes=axes), shape="components", labels={"messenger": "MsgShifT"})
    assert [row.labels[0].check for row in built.rows] == [False, tick]
    by_itself = table_of(frame(axes=axes), shape="components")
    assert by_itself.fields == ("MsgShifT" if shift else "Msg",)
    assert by_itself.rows[1].labels[0].check


def test_stqi_is_ticked_by_the_configuration(frame):
    axes = {"head": {"per_frame": {"head.kind": "stqi"}, "other": {"head.kind": "per_frame"}}}
    built = table_of(frame(axes=axes), checks={"head": "other"}, labels={"head": "STQI"})
    assert [row.labels[0].check for row in built.rows] == [True, False]


# --- measured on several machines ----------------------------------------------------------------


def test_v100_and_a100_cells_have_a_front_each_named_in_the_plot(make):
    grid = make(device=lambda a, s: "A100" if a["head"] == "stqi" else "V100")
    plot = plots_of(grid)["ap_fps"]
    for _, group in plot.data.groupby("protocol"):
        assert group.loc[group["fps"].idxmax(), "pareto"]
    assert set(plot.data["protocol"]) == {"A100", "V100"}
    assert {"A100", "V100"} <= set(visible_text(plot))
    assert any("one front for each of V100; A100" in note for note in plot.notes)
    assert set(plots_of(grid)["ap_macs"].data["protocol"]) == {""}


def test_a_front_respects_the_ties_of_the_table(make):
    noise = {0: 0.0, 1: 0.02, 2: -0.02}
    grid = make(ap=lambda a, s: 0.3 + noise[s] * (1 if a["head"] == "stqi" else -1))
    data = plots_of(grid)["ap_macs"].data
    assert (data["pareto"] | data["tied"]).all()  # no difference of AP is told from zero
    clear = make(ap=lambda a, s: 0.3 + noise[s] / 10 + 0.1 * (a["head"] == "stqi"))
    data = plots_of(clear)["ap_macs"].data.set_index("cell")
    assert not data.loc["messenger=on head=per_frame", ["pareto", "tied"]].any()


@pytest.mark.parametrize(
    ("field", "environment"),
    [
        ("torch", lambda on: {"packages": {"torch": "2.14.1" if on else "2.15.0"}}),
        ("driver", lambda on: {"driver": "535" if on else "550"}),
        ("host", lambda on: {"host": "node1" if on else "node2"}),
    ],
)
def test_torch_driver_or_host_that_differ_are_marked_as_another_protocol(make, field, environment):
    grid = make()
    for run in grid.runs:
        new = environment(run.axes["head"] == "stqi")
        change_fps(run, lambda record, new=new: record.update(environment=new))
    rows = again(grid)
    built = table_of(rows, columns=["AP", {"figure": "fps", "best": "high"}])
    assert not any(row.entries[1].bold for row in built.rows)
    assert f"not measured alike, so no row is set against another: {field} " in to_markdown(built)


def test_cells_whose_seeds_ran_on_the_same_machines_are_alike_and_have_a_mean(make):
    grid = make()
    for run in grid.runs:
        host = {"host": f"node{run.seed}"}
        change_fps(run, lambda record, host=host: record.update(environment=host))
    built = table_of(again(grid), columns=["fps"])
    assert "not measured alike" not in to_markdown(built)
    assert all(row.entries[0].summary.n == 3 for row in built.rows)


# --- every attempt counts ---


def test_attempt_1_on_edited_code_and_attempt_2_on_clean_is_not_clean(make, tmp_path):
    grid = make(seeds=(0,))
    for run in grid.runs:
        first = json.loads(run.folder.provenance(1).read_text())
        run.folder.provenance(2).write_text(json.dumps(first))
        first["environment"]["git"] |= {"dirty": True, "diff": "+ x", "commit": "fedcba9876543210"}
        run.folder.provenance(1).write_text(json.dumps(first))
    rows = again(grid)
    assert rows["run.dirty"].all()
    text = to_markdown(table_of(rows))
    assert "different versions of the code: fedcba9876, 0123456789." in text
    assert "code with uncommitted changes" in text
    page = make_report(Store(grid.source.parents[1]), "components", plots=False, clips=False).page
    said = page.read_text()
    assert "fedcba9876543210 (with uncommitted changes)" in said
    assert "0123456789abcdef (clean)" in said
    assert "off-stqi-seed0 (attempt 1)" in said


# --- letters -------------------------------------------------------------------------------------


def latex_of(frame, labels):
    axes = {"messenger.shift_steps": {k: {"messenger.tokens": n} for n, k in enumerate(labels)}}
    return to_latex(table_of(frame(axes=axes, seeds=(0,)), columns=["AP"], title="T."))


@pytest.mark.parametrize("label", ["[1,-1]", "*star", "[x"])
def test_a_latex_row_may_begin_with_a_bracket_or_a_star(frame, tmp_path, label):
    text = latex_of(frame, [label, "plain"])
    assert "{}" + escape_latex(label) in text
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex (apt-get install texlive-latex-recommended)")
    page = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n%s\\end{document}\n"
    (tmp_path / "t.tex").write_text(page % text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (tmp_path / "t.log").read_text(errors="replace")[-1500:]
    if shutil.which("pdftotext"):
        subprocess.run(["pdftotext", "t.pdf"], cwd=tmp_path, check=True)
        assert label in (tmp_path / "t.txt").read_text()


@pytest.mark.parametrize(
    ("letters", "latex"),
    [
        ("≠", r"\ensuremath{\neq}"),
        ("½", r"\ensuremath{\frac{1}{2}}"),
        ("10⁻³", r"10\textsuperscript{\ensuremath{-}}\textsuperscript{3}"),
        ("Łódź", r"\L{}ód\'{z}"),
        ("α", r"\ensuremath{\alpha}"),
        ("Ω", r"\ensuremath{\Omega}"),
        ("Β", r"\ensuremath{\mathrm{B}}"),
        ("H₂", r"H\textsubscript{2}"),
        ("š", r"\v{s}"),
        ("∞", r"\ensuremath{\infty}"),
        ("ﬁ", "fi"),
    ],
)
def test_latex_prints_the_right_symbol(letters, latex):
    assert escape_latex(letters) == latex


@pytest.mark.parametrize(("letter", "code"), [("中", "U+4E2D"), ("ℝ", "U+211D"), ("≃", "U+2243")])
def test_latex_refuses_a_symbol_that_it_lacks_by_name(letter, code):
    with pytest.raises(TableError, match=re.escape(f"no {letter!r} ({code}, ")):
        escape_latex(f"a {letter}")


def test_a_table_that_latex_cannot_print_does_not_end_the_report(tmp_path):
    table = {"title": "中", "columns": ["AP"]}
    store = make_store(tmp_path, table=table, seeds=(0,))
    report = make_report(store, "components", plots=False, clips=False)
    assert any(
        "no LaTeX of table components: LaTeX's fonts have no '中'" in n for n in report.notes
    )
    assert {path.suffix for path in report.files} >= {".md", ".csv", ".html"}
    assert not [path for path in report.files if path.suffix == ".tex"]


@pytest.mark.parametrize("label", ["$8 for $9", r"$\frac{$", "a_$b$", "_x", "100%"])
def test_a_dollar_in_a_label_is_a_dollar_in_plots(make, label):
    grid = make(seeds=(0,), state=lambda a, s: "done" if a["head"] == "stqi" else "new")
    plots = plots_of(grid, {"head=stqi": label})
    for plot in plots.values():
        text = svg(plot)
        assert label.replace("&", "&amp;") in text, plot.name


def test_a_logarithmic_axis_has_plain_numbers(make):
    plot = plots_of(make(seeds=(0,)))["training"]
    data = plot.data.assign(smoothed=plot.data["smoothed"] ** 3)
    plot = type(plot)(plot.name, plot.title, data, plot.draw)
    assert "$" not in svg(plot)


@pytest.mark.parametrize("label", ["white", "#1a1a1a", 'id="x', "url(#x)"])
def test_text_is_never_rewritten_as_colour(make, label):
    plots = plots_of(make(seeds=(0,)), {"head=stqi": label})
    page = str(plot_figure(plots["ap_fps"]))
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", page)
    assert any(label in text for text in shown)
    assert not any("var(--" in text for text in shown)
    assert 'fill: white"' not in page


# --- the page ------------------------------------------------------------------------------------


def test_every_plot_of_the_page_has_a_text_for_who_cannot_see_it(make):
    page = "".join(map(plot_figure, plots_of(make(seeds=(0,))).values()))
    drawings = re.findall(r'<svg role="img" aria-labelledby="([^"]+)"', page)
    assert len(drawings) == page.count("<svg")
    for name in drawings:
        assert re.search(rf'<title id="{name}">[^<]{{5,}}</title>', page)


def test_a_plot_of_sixty_cells_is_readable(make):
    plots = plots_of(make(axes=SIXTY, name="sixty"))
    with styled():
        bars = draw(plots["flops_by_module"], 3.25)
        bars.canvas.draw()
        boxes = [label.get_window_extent() for label in bars.axes[0].get_yticklabels()]
        assert len(boxes) == 60
        boxes.sort(key=lambda box: box.y0)
        assert all(lower.y1 < upper.y0 for lower, upper in itertools.pairwise(boxes))
        for name in ("ap_fps", "ap_macs", "ap_by_messenger_tokens"):
            figure = draw(plots[name], 3.25)
            figure.canvas.draw()
            assert figure.axes[0].get_window_extent().height > 0.4 * figure.bbox.height, name
            named = sum(len(legend.get_texts()) for legend in figure.legends)
            assert 1 <= named + len(figure.axes[0].texts) <= 8


def test_names_beside_points_do_not_cover_each_other():
    figure = Figure((3.25, 2.3))
    axes = figure.subplots()
    points = [(x, 1.0 + 0.01 * x, f"cell {x}") for x in range(4)]
    axes.plot([x for x, _, _ in points], [y for _, y, _ in points], "o")
    label_points(figure, axes, [*points, (1.0, 1.0, "more")])
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 5
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])


@pytest.mark.slow
def test_the_runs_table_sorts_and_the_page_prints_whole_and_keeps_labels_on_a_phone(tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    store = make_store(tmp_path / "store", overrides=SMALL_DATA, table={"shape": "components"})
    page = make_report(store, "components", plots=False, clips=False).page
    script = """<script>
      const table = document.querySelector("#runs table");
      const heads = [...table.tHead.rows[0].cells];
      const order = {};
      for (const name of ["AP 95 % (videos)", "AP", "FPS", "Signature"]) {
        const column = heads.findIndex((head) => head.textContent.trim() === name);
        const read = () => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent);
        heads[column].querySelector("button").click();
        const first = read();
        heads[column].querySelector("button").click();
        order[name] = String(first) === String(read().reverse());
      }
      const results = document.querySelector("#results tbody tr");
      const kept = [...results.cells].map((cell) => getComputedStyle(cell).position === "sticky");
      dispatchEvent(new Event("beforeprint"));
      const open = [...document.querySelectorAll("details")].every((details) => details.open);
      document.title = JSON.stringify({order, kept, open});
    </script>"""
    copy = tmp_path / "page.html"
    copy.write_text(page.read_text("utf-8").replace("</body>", script + "</body>"))
    frame = tmp_path / "phone.html"
    frame.write_text(
        '<iframe src="page.html" width="400" height="800"></iframe><script>onload = () => {'
        "document.title = document.querySelector('iframe').contentDocument.title}</script>"
    )
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000"),
        "--allow-file-access-from-files",
    ]
    done = subprocess.run(
        [browser, *flags, "--dump-dom", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(re.search(r"<title>(.*?)</title>", done.stdout)[1])
    assert found["order"] == dict.fromkeys(found["order"], True)
    assert found["kept"][:3] == [True, True, False]
    assert found["open"]


# --- a rate of zero ------------------------------------------------------------------------------


def test_an_fps_of_0_is_shown_as_such(make):
    grid = make()
    for run in grid.runs:
        if run.cell == "messenger=on head=stqi" and run.seed == 1:
            change_fps(run, lambda record: record["figures"].update(fps_postprocess=0))
    rows = again(grid)
    spec = {"columns": [{"figure": "latency", "difference": True}, "fps"]}
    built = table_of(rows, baseline="messenger=off head=stqi", **spec)
    text = to_markdown(built).splitlines()
    assert "| ∞ | – |" in next(line for line in text if "MsgShifT | STQI" in line)
    assert r"\infty" in to_latex(built)
    plots = plots_of(grid, rows=rows)
    assert len(plots["ap_fps"].data) == 4
    assert np.isfinite(plots["ap_fps"].data["fps"]).all()


def test_names_are_never_alike(frame):
    cells = frame_cells(frame())
    names = names_for(cells, {"per_frame": "x", "stqi": "x", "on": "y", "off": "y"})
    assert len(set(names.by_cell.values())) == 4


# --- names of files that are not UTF-8 -----------------------------------------------------------


def test_a_failure_that_names_a_file_in_latin_1_is_told_and_reported(
    make, tmp_path, monkeypatch, capsys
):
    run = make(state=lambda axes, seed: "failed").runs[0]
    failure = json.loads(run.folder.failure_path.read_text())
    failure["last_line"] = os.fsdecode(b"UserError: caf\xe9.png: no such file")
    failure["traceback"] = failure["last_line"]
    run.folder.failure_path.write_text(json.dumps(failure))
    attempt = run.folder.provenance(1)
    machine = {"environment": {"host": os.fsdecode(b"caf\xe9")}}
    attempt.write_text(json.dumps(json.loads(attempt.read_text()) | machine))
    report = make_report(Store(tmp_path / "store"), "components", formats=["md"], plots=False)
    assert "caf?.png: no such file" in report.page.read_text()
    assert "caf?" in (report.folder / "runs.csv").read_text()
    terminal = io.TextIOWrapper(io.BytesIO(), "utf-8")  # as of a shell with LANG=en_US.UTF-8
    monkeypatch.setattr(sys, "stdout", terminal)
    command = ["tevit", "failures", "components", "--store", str(tmp_path / "store")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    terminal.flush()
    assert ended.value.code == 0
    assert b"caf\\udce9.png: no such file" in terminal.buffer.getvalue()
