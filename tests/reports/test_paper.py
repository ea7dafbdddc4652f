"""``tevit report --paper``: what a submission needs, compiled."""

import re
import shutil
import subprocess

import pytest
from invented_runs import make_store

from reports.paper.statement import cited
from reports.paper.write import references
from reports.report import make_report

SPEC = {"shape": "components", "title": "Components."}


@pytest.fixture
def paper(tmp_path):
    def _paper(**changes):
        store = make_store(tmp_path / "store", table=SPEC, **changes)
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
        "10 finished runs took 0.9 hours together",
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


def test_every_reference_has_an_entry():
    with pytest.raises(KeyError):
        references(["nobody"])
    assert references(["tevit", "holm"]).count("@") == 2


def test_it_compiles_with_its_references(paper):
    if shutil.which("pdflatex") is None or shutil.which("bibtex") is None:
        pytest.skip("needs pdflatex and bibtex (apt-get install texlive-latex-recommended)")
    folder, _ = paper()
    for program in (["pdflatex"], ["bibtex"], ["pdflatex"], ["pdflatex"]):
        flags = [] if program == ["bibtex"] else ["-interaction=nonstopmode", "-halt-on-error"]
        done = subprocess.run(
            [*program, *flags, "main"], cwd=folder, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "main.log").read_text(errors="replace")
    assert "undefined" not in log
    assert "Overfull" not in log
    assert (folder / "main.pdf").stat().st_size > 20_000
