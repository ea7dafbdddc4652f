"""Tables in every format, against files that were looked at."""

import csv
import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ablations.table_spec import TableError, TableSpec, parse_specs
from reports.renderers.csv import to_csv
from reports.renderers.html import to_html
from reports.renderers.latex import escape_latex, preview, to_latex
from reports.renderers.markdown import escape_markdown, to_markdown
from reports.renderers.terminal import to_terminal
from reports.tables.build import build_table
from reports.tables.published import load_published

GOLDEN = Path(__file__).parent / "golden"
FORMATS = {"md": to_markdown, "tex": to_latex, "csv": to_csv, "html": to_html}
NASTY = r"50% of a_b & c#d {e} ~f^g \h $i$ <j> |k| *l* [m] ünïcode Ł ± “q”"


def ablation(frame):
    """The component ablation: a failed seed, a mixed cell and published figures beside it."""
    rows = frame(
        state=lambda a, s: "failed" if (a["messenger"], s) == ("off", 2) else "done",
        split=lambda a, s: "val" if (a["head"], a["messenger"], s) == ("stqi", "on", 1) else "test",
    )
    spec = {"shape": "components", "published": ["tevit_msgshift_2019"], "title": "Components."}
    return build_table(rows, parse_specs(spec, "g")[0], load_published(), name="components")


def comparison(frame):
    """The main comparison with three sound seeds, so that there are bold figures."""
    spec = {
        "shape": "main",
        "title": "Comparison of methods.",
        "published": ["vistr_r50", "tevit_msgshift_released"],
        "group": "messenger",
    }
    return build_table(frame(), parse_specs(spec, "g")[0], load_published(), name="main")


def across(frame):
    """One seed a cell, an axis across."""
    spec = {"across": "head", "columns": ["AP", "macs"], "title": "One seed."}
    return build_table(frame(seeds=(0,)), parse_specs(spec, "g")[0], {}, name="across")


@pytest.mark.parametrize("make_table", [ablation, comparison, across])
@pytest.mark.parametrize("ending", list(FORMATS))
def test_golden(make_table, ending, frame):
    """TEVIT_UPDATE_GOLDEN=1 writes the files anew; look at them before they are committed."""
    text = str(FORMATS[ending](make_table(frame)))
    path = GOLDEN / f"{make_table.__name__}.{ending}"
    if os.environ.get("TEVIT_UPDATE_GOLDEN") == "1":
        path.write_text(text)
    assert text == path.read_text()


def nasty(frame):
    spec = TableSpec(
        title=NASTY, labels={"messenger": NASTY, "head=stqi": NASTY, "AP": NASTY}, columns=["AP"]
    )
    return build_table(frame(seeds=(0, 1)), spec, {}, name="nasty")


def compile_latex(folder, name):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex (apt-get install texlive-latex-recommended)")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    log = (folder / name).with_suffix(".log").read_text(errors="replace")
    assert done.returncode == 0, log[-3000:]
    return log


def test_latex_compiles_with_booktabs_alone(frame, tmp_path):
    tables = [ablation(frame), across(frame), nasty(frame)]
    for table in tables:
        (tmp_path / f"{table.name}.tex").write_text(to_latex(table))
    inputs = "\n".join(rf"\input{{{table.name}}}" for table in tables)
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    log = compile_latex(tmp_path, "paper.tex")
    assert "Missing character" not in log


def test_the_preview_compiles_and_no_table_is_wider_than_the_line(frame, tmp_path):
    tables = [ablation(frame), comparison(frame)]
    for table in tables:
        (tmp_path / f"{table.name}.tex").write_text(to_latex(table))
    names = [f"{table.name}.tex" for table in tables]
    (tmp_path / "preview.tex").write_text(preview(names))
    log = compile_latex(tmp_path, "preview.tex")
    assert "Overfull \\hbox" not in log


def test_latex_rows_have_as_many_cells_as_the_table_has_columns(frame):
    text = to_latex(comparison(frame))
    columns = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", text)[1]
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    for line in body.splitlines():
        if line.endswith(r"\\"):
            spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert len(re.findall(r"(?<!\\)&", line)) + 1 + sum(spans) == len(columns)


@given(st.text())
def test_latex_escape_leaves_ascii_and_latin_letters_alone(text):
    try:
        escaped = escape_latex(text)
    except TableError as error:
        assert re.search(r"have no .* \(U\+[0-9A-F]{4,6}, .*\)", str(error), re.DOTALL)
        return
    assert all(c.isascii() or "À" <= c <= "ÿ" for c in escaped)
    bare = re.sub(r"\\[a-zA-Z]+|\\.", "", escaped)
    assert not set(bare) & set("&%#_^\\$")
    assert bare.count("{") == bare.count("}")


def test_latex_escape_knows_tilde_from_a_fixed_space():
    assert escape_latex("a~b") == r"a\textasciitilde{}b"
    assert escape_latex("a\u00a0b") == "a~b"


@given(st.text())
def test_markdown_escape_keeps_the_row(text):
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(\\\\)*\|", escaped)


def test_markdown_rows_have_equal_lengths(frame):
    lines = [line for line in to_markdown(ablation(frame)).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_html_escapes_what_users_write(frame):
    text = to_html(nasty(frame))
    assert "<j>" not in text
    assert "&lt;j&gt;" in text


def test_html_sorts_by_full_precision(frame):
    assert re.search(r'data-sort="\d+\.\d{6,}">\d+\.\d<', to_html(comparison(frame)))


def test_csv_has_numbers_at_full_precision_and_bold_in_words(frame):
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison(frame)))))
    assert [row["source"] for row in rows] == ["measured"] * 4 + ["published"] * 2
    assert len(rows[0]["AP"].split(".")[1]) > 6
    assert float(rows[0]["AP std"]) > 0
    assert rows[3]["AP bold"] == "yes"
    assert rows[4]["AP50"] == ""
    assert "published" in rows[4]["notes"]


def test_csv_says_mixed_and_failed(frame):
    rows = list(csv.DictReader(io.StringIO(to_csv(ablation(frame)))))
    assert rows[0]["n"] == "2/3"
    assert "seed 2 failed" in rows[0]["notes"]
    assert rows[3]["AP"].count(" / ") == 2
    assert rows[3]["AP n"] == ""


@pytest.mark.parametrize("width", [80, 200])
def test_terminal_cuts_nothing(frame, width):
    console = Console(width=width, record=True, file=io.StringIO())
    table = ablation(frame)
    console.print(to_terminal(table, width))
    text = console.export_text()
    assert "…" not in text
    for column in table.columns:
        assert column.label in text
    assert max(map(len, text.splitlines())) <= width
