import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from invented_runs import SMALL_DATA, invent_predictions, make_store
from typer.testing import CliRunner

import cli
from core.errors import UserError
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


@pytest.fixture(scope="module")
def page(tmp_path_factory, small_data):
    store = make_store(
        tmp_path_factory.mktemp("page"),
        overrides=SMALL_DATA,
        seeds=(0, 1),
        state=lambda a, s: "failed" if (a["head"], s) == ("stqi", 1) else "done",
        table={"shape": "components", "published": ["tevit_msgshift_2019"]},
    )
    invent_predictions(store, "components")
    return make_report(store, "components").page


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
        "CPU (Xeon, 1 threads)",
        "RuntimeError: loss is nan <step 41> & more",
        "Traceback (most recent call last)",
        "2 runs, cause: error",
        "0123456789abcdef (clean)",
        "torch 2.15.0",
        "tevit launch components",
        "published, not measured here",
    ):
        assert said in words, said


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


@pytest.mark.slow
def test_in_a_browser_the_table_sorts_and_the_clips_play(page, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    click = """<script>
      const heads = [...document.querySelectorAll("#results thead tr:last-child th")];
      const column = heads.findIndex((head) => head.textContent.trim().startsWith("AP"));
      heads[column].querySelector("button").click();
      const rows = [...document.querySelectorAll("#results tbody")][0].rows;
      const found = [...rows].map((row) => row.cells[column].dataset.sort);
      document.querySelector(".video input").value = 2;
      document.querySelector(".video input").dispatchEvent(new Event("input"));
      document.title = JSON.stringify([found, document.querySelector(".video output").textContent]);
    </script>"""
    copy = tmp_path / "clicked.html"
    copy.write_text(page.read_text("utf-8").replace("</body>", click + "</body>"))
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=3000",
    ]
    done = subprocess.run(
        [browser, *flags, "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    title = re.search(r"<title>\[\[(.*?)\],(.*?)\]</title>", done.stdout)
    values = [float(value) for value in re.findall(r"[\d.]+", title[1])]
    assert len(values) == 4
    assert values == sorted(values, reverse=True)
    assert "frame 3 of 4" in title[2]
