import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from invented_runs import make_store
from typer.testing import CliRunner

import cli
from core.errors import UserError
from reports.frame.runs import read_runs
from reports.html import Markup, tag
from reports.report import make_report

VOID = {"meta", "input", "br", "img", "link"}


class Checker(HTMLParser):
    """Collects ids, links and text, and checks that elements are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.addresses, self.words = [], [], [], []

    def handle_starttag(self, name, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.addresses += [attributes[k] for k in ("src", "href", "xlink:href") if k in attributes]
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        if name not in VOID:
            assert self.open.pop() == name

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


def checked(path):
    checker = Checker()
    text = path.read_text("utf-8").replace("></input>", ">")
    checker.feed(text)
    assert checker.open == []
    return checker, text


def test_the_page_is_whole_and_needs_nothing_else(page):
    checker, text = checked(page)
    assert len(checker.ids) == len(set(checker.ids))
    for address in checker.addresses:
        assert address.startswith(("data:", "#")), address
    outside = re.findall(r"url\((?!data:|#)[^)]*\)|@import|https?://(?!www\.w3\.org)", text)
    assert outside == []


def test_the_page_says_everything(page):
    words = " ".join(checked(page)[0].words)
    for said in (
        "Which component brings what.",
        "6 done, 2 failed",
        "AP against frames a second on CPU",
        "Training loss",
        "Truth",
        "tracks found",
        "shared switches",
        "messenger.tokens",
        "held-out",
        "CPU (Xeon, 1 thread)",
        "RuntimeError: loss is nan <step 41> & more",
        "Traceback (most recent call last)",
        "2 runs, cause: error",
        "0123456789abcdef (clean)",
        "torch 2.15.0",
        "tevit launch components",
        "published: YouTube-VIS-2019 val",
    ):
        assert said in words, said


def test_the_result_comes_first_and_failures_before_success(page):
    words = " ".join(checked(page)[0].words)
    places = [words.index(said) for said in ["2 of 8 runs failed", "Traceback of", "Δ AP"]]
    assert places == sorted(places)
    runs = page.read_text("utf-8").split('id="runs"')[1]
    states = re.findall(r'<tr [^>]*data-state="(\w+)"', runs)
    assert states == ["failed"] * 2 + ["done"] * 6


def test_a_run_shows_its_folder_and_the_end_of_its_log(tmp_path):
    store = make_store(tmp_path, seeds=(0,))
    run = read_runs(store, "components").runs[0]
    for attempt in (2, 10):
        log = run.folder.log(attempt)
        log.parent.mkdir(exist_ok=True)
        log.write_text("".join(f"attempt {attempt} line {k}\n" for k in range(50)))
    words = " ".join(
        checked(make_report(store, "components", plots=False, clips=False).page)[0].words
    )
    assert str(run.folder.path.resolve()) in words
    assert "attempt 10 line 49" in words
    assert "attempt 10 line 43" not in words
    assert "attempt 2" not in words
    assert words.count("No log.") == 3


def test_what_is_looked_up_is_folded(page):
    text = page.read_text("utf-8")
    folded = re.findall(r'<section id="([a-z-]+)"><details', text)
    assert {"clips", "further-figures", "further-plots", "grid", "runs"} <= set(folded)
    assert not {"results", "plots", "failures"} & set(folded)


def test_many_cells_make_a_page_of_few_megabytes(tmp_path):
    axes = {
        "tokens": {str(n): {"messenger.tokens": n} for n in range(20)},
        "queries": {str(n): {"head.queries": n} for n in range(5, 15)},
    }
    store = make_store(tmp_path, axes=axes, seeds=(0,))
    report = make_report(store, "components", plots=False, clips=False)
    assert report.page.stat().st_size < 3e6


def test_a_report_imports_no_torch(predicted):
    store = predicted(seeds=(0,))
    code = (
        "import sys; from pathlib import Path; from launch.records.store import Store; "
        "from reports.report import make_report; "
        "report = make_report(Store(Path(sys.argv[1])), 'components', plots=False); "
        "assert 'base64' in report.page.read_text(); "  # clips are in it
        "print([name for name in ('torch', 'statsmodels') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.root)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_symbols_are_set_wherever_a_label_stands(predicted):
    axes = {
        "head.queries": {str(n): {"head.queries": n} for n in (5, 10)},
        "messenger": {"off": {"messenger.tokens": 0}, "on": {"messenger.tokens": 8}},
    }
    spec = {
        "labels": {"head.queries": "$N_q$"},
        "baseline": {"head.queries": "5", "messenger": "off"},
    }
    report = make_report(predicted(axes=axes, table=spec), "components")
    page = checked(report.page)[0]
    assert "$" not in " ".join(page.words)
    assert "<i>N</i><sub>q</sub>" in report.page.read_text()


def test_one_seed_is_warned_of_at_the_top(predicted):
    report = make_report(predicted(seeds=(0,)), "components", plots=False)
    words = " ".join(checked(report.page)[0].words)
    assert words.index("One seed proves nothing") < words.index("Results")


def test_a_grid_that_has_not_begun_has_a_page(tmp_path):
    store = make_store(tmp_path, state=lambda axes, seed: "new")
    report = make_report(store, "components")
    words = " ".join(checked(report.page)[0].words)
    assert "Nothing has been measured yet." in words
    assert "No clips: no run has predictions yet." in words
    assert "12 new" in words


def test_what_users_write_is_escaped(tmp_path):
    store = make_store(tmp_path, table={"title": "<script>alert(1)</script>", "columns": ["AP"]})
    _, text = checked(make_report(store, "components", plots=False, clips=False).page)
    assert "<script>alert" not in text


def test_files_and_nothing_else_are_written_into_the_report(tmp_path):
    store = make_store(tmp_path / "store")
    before = {path for path in store.root.rglob("*") if path.is_file()}
    report = make_report(store, "components", clips=False)
    after = {path for path in store.root.rglob("*") if path.is_file()}
    assert after - before == set(report.files)
    assert all(report.folder in path.parents for path in report.files)
    assert report.folder == store.root / "reports" / "components"


def test_a_report_made_again_replaces_its_files_and_leaves_others(tmp_path):
    store = make_store(tmp_path)
    make_report(store, "components", plots=False, page=False)
    notes = store.root / "reports" / "components" / "tables" / "notes.txt"
    notes.write_text("mine")
    table = notes.with_name("components.md")
    table.write_text("old")
    make_report(store, "components", plots=False, page=False)
    assert notes.read_text() == "mine"
    assert "AP" in table.read_text()


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path):
    store = make_store(tmp_path)
    with pytest.raises(
        UserError, match="unknown format 'pdf'; valid formats: md, latex, siunitx, csv, html"
    ):
        make_report(store, "components", formats=["md", "pdf"])
    assert not (store.root / "reports").exists()


def test_a_bad_table_is_refused_before_anything_is_written(tmp_path):
    store = make_store(tmp_path, table={"rows": ["heads"]})
    with pytest.raises(UserError, match="unknown row field 'heads'"):
        make_report(store, "components")
    assert not (store.root / "reports").exists()


def run(*arguments):
    return CliRunner().invoke(cli.app, ["report", *map(str, arguments)])


def test_command_prints_the_table_and_the_paths(tmp_path):
    store = make_store(tmp_path / "store", seeds=(0,))
    out = tmp_path / "out"
    done = run("components", "--store", store.root, "--out", out, "--no-plots", "--no-clips")
    assert done.exit_code == 0, done.output
    assert "One seed proves nothing" in done.output
    assert f"Page: {out / 'index.html'}" in done.output
    kinds = ("csv", "html", "md", "tex")
    stems = ("components", "components_details", "components_protocol")
    expected = {f"{stem}.{kind}" for stem in stems for kind in kinds} | {"preview.tex"}
    assert {p.name for p in (out / "tables").iterdir()} == expected
    assert "AP50" not in done.output
    assert "Every seed counts" not in done.output


def test_command_with_one_format_and_a_table_of_its_own(tmp_path):
    store = make_store(tmp_path / "store", seeds=(0,))
    spec = tmp_path / "table.yaml"
    spec.write_text("name: heads\ncolumns: [AP, macs]\n")
    out = tmp_path / "out"
    arguments = ["--format", "latex", "--table", spec, "--no-plots", "--no-page", "--out", out]
    done = run("components", "--store", store.root, *arguments)
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (out / "tables").iterdir()) == [
        "heads.tex",
        "heads_protocol.tex",
        "preview.tex",
    ]


def test_command_names_the_launched_grids(tmp_path):
    store = make_store(tmp_path)
    done = run("component", "--store", store.root)
    assert isinstance(done.exception, UserError)
    assert "launched grids: components" in str(done.exception)


def test_markup_is_escaped_once():
    inner = tag("b", "a & b")
    assert tag("p", inner, " <", title='"x"', hidden=True, data_n=None) == (
        '<p title="&quot;x&quot;" hidden><b>a &amp; b</b> &lt;</p>'
    )
    assert isinstance(inner, Markup)
