"""``tevit report --paper``: what a submission needs, compiled."""

import json
import re
import shutil
import subprocess

import pytest
from findings.test_start_runs_in_reports import START, with_start
from invented_runs import make_store, write

from reports.paper.statement import cited
from reports.paper.write import references
from reports.report import make_report

SPEC = {"shape": "components", "title": "Components."}


@pytest.fixture
def paper(tmp_path):
    def _paper(prepare=lambda store: None, **changes):
        store = make_store(tmp_path / "store", table=SPEC, **changes)
        prepare(store)
        folder = tmp_path / "paper"
        report = make_report(store, "components", page=False, paper=folder)
        return folder, report

    return _paper


def test_it_has_tables_figures_protocol_statement_and_what_is_cited(paper):
    folder, report = paper()
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {
        "main.tex",
        "reproducibility.tex",
        "references.bib",
        "tables/components.tex",
        "tables/components_protocol.tex",
        "figures/differences_column.pdf",
    } <= names
    assert not any("training" in name or name.endswith(".png") for name in names)
    assert names <= {str(p.relative_to(folder)) for p in report.files if folder in p.parents}
    assert report.places()["Paper"] == folder / "main.tex"
    main = (folder / "main.tex").read_text()
    for name in re.findall(r"\\input\{(.*?)\}", main):
        assert (folder / f"{name}.tex").exists()
    for name in re.findall(r"\\includegraphics\{(.*?)\}", main):
        assert (folder / name).exists()


def test_the_statement_is_of_the_records(paper):
    folder, _ = paper(state=lambda a, s: "failed" if s == 2 and a["head"] == "stqi" else "done")
    said = (folder / "reproducibility.tex").read_text()
    for text in (
        "12 runs with the seeds 0, 1, 2, of which 10 are finished.",
        "Scored on 32 videos of synthetic; split: held-out.",
        "The last checkpoint of every run is scored",
        "10 finished runs took 54 minutes in all. What unfinished runs took is not in it.",
        "CPU Xeon, 2 cores",
        "0123456789",
        "2.15.0",
        r"Holm's correction~\cite{holm}",
        "It was not recorded.",
    ):
        assert text in said, text
    entries = (folder / "references.bib").read_text()
    assert re.findall(r"@\w+\{(\w+),", entries) == cited(said)
    assert "swin" not in entries


def test_what_was_not_done_is_not_claimed(paper):
    folder, _ = paper(state=lambda a, s: "new")
    said = (folder / "reproducibility.tex").read_text()
    assert "of which 0 are finished" in said
    assert "hours" not in said
    assert "holm" not in said
    assert "fvcore" not in said


def test_a_start_run_counts_once(paper):
    def prepare(store):
        with_start(store)
        energy = {"source": "a counter", "joules": 5.4e6, "attempts": 1}
        write(store.run(START).spent, {"energy": energy})
        made = {"environment": {"gpus": [{"name": "A100"}], "code": {"id": "start-code"}}}
        write(store.run(START).provenance(1), made)

    folder, _ = paper(prepare)
    said = (folder / "reproducibility.tex").read_text()
    for text in (
        "The start run was trained with the same split.",
        "12 of them begin with the weights of one start run (seed 0).",
        "12 finished runs took 1.1 hours in all. The start run took 5 minutes more.",
        "Run on CPU Xeon, 2 cores; A100.",
        "1.5 kWh by a counter, for 1 of the 13 finished runs. That of the others was not recorded.",
        "0123456789; start-code",
    ):
        assert text in said, text


def test_a_start_run_of_other_videos_is_named_with_them(paper):
    def prepare(store):
        with_start(store)
        record = json.loads(store.run(START).config_path.read_text())
        record["config"]["data"] |= {"root": "coco", "holdout": 0.1}
        write(store.run(START).config_path, record)

    said = (paper(prepare)[0] / "reproducibility.tex").read_text()
    assert "start was trained on coco: all but 0.1 of the videos, split with seed 0." in said


def test_every_reference_has_an_entry():
    with pytest.raises(KeyError):
        references(["nobody"])
    assert references(["tevit", "holm"]).count("@") == 2


CVPR = "[letterpaper,textwidth=6.875in,textheight=8.875in,columnsep=0.3125in]"
NEURIPS = "[letterpaper,textwidth=5.5in,textheight=9in]"


@pytest.mark.parametrize(
    ("columns", "page"), [("", "[margin=1in]"), ("[twocolumn]", CVPR), ("", NEURIPS)]
)
def test_it_compiles_with_its_references_and_no_float_leaves_its_heading(paper, columns, page):
    if shutil.which("pdflatex") is None or shutil.which("bibtex") is None:
        pytest.skip("needs pdflatex and bibtex (apt-get install texlive-latex-recommended)")
    folder, _ = paper(with_start)
    main = folder / "main.tex"
    text = main.read_text().replace(r"\documentclass", rf"\documentclass{columns}")
    text = text.replace("[margin=1in]", page)
    # the log says where each heading and caption ends up
    spy = r"\newwrite\spy\immediate\openout\spy=places.txt "
    spy += r"\let\headed\section\def\section*#1{\headed*{#1}\write\spy{head}}"
    spy += r"\let\called\caption\def\caption#1{\called{#1}\write\spy{float}}"
    main.write_text(text.replace(r"\begin{document}", rf"{spy}\begin{{document}}"))
    for program in (["pdflatex"], ["bibtex"], ["pdflatex"], ["pdflatex"]):
        flags = [] if program == ["bibtex"] else ["-interaction=nonstopmode", "-halt-on-error"]
        done = subprocess.run(
            [*program, *flags, "main"], cwd=folder, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "main.log").read_text(errors="replace")
    assert "undefined" not in log
    assert "Overfull" not in log
    # 2 tables and 4 figures of the result, the statement, 3 tables of the appendix, references
    places = (folder / "places.txt").read_text().split()
    assert places == ["head", *["float"] * 6, "head", "head", *["float"] * 3, "head"]
