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
from reports.renderers.latex import preview, to_latex
from reports.renderers.latex_letters import escape_latex
from reports.renderers.markdown import escape_markdown, to_markdown
from reports.renderers.terminal import to_terminal
from reports.tables.build import build_tables
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
    return build_tables(rows, parse_specs(spec, "g")[0], load_published(), name="components")[0]


def comparison(frame):
    """The main comparison with three sound seeds, so that there are bold figures."""
    spec = {
        "shape": "main",
        "title": "Comparison of methods.",
        "published": ["vistr_r50", "tevit_msgshift_released"],
        "group": "messenger",
    }
    return build_tables(frame(), parse_specs(spec, "g")[0], load_published(), name="main")[0]


def across(frame):
    """One seed a cell, an axis across."""
    spec = {"across": "head", "columns": ["AP", "macs"], "title": "One seed."}
    return build_tables(frame(seeds=(0,)), parse_specs(spec, "g")[0], {}, name="across")[0]


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
    return build_tables(frame(seeds=(0, 1)), spec, {}, name="nasty")[0]


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


ARTICLE = r"\documentclass{article}"
# stand-ins, since the conferences' own style files are not ours to ship: their measures, fonts and
# what they do to captions and floats, and nothing that hides a line that is too long
NEURIPS = (
    ARTICLE + r"\renewcommand{\rmdefault}{ptm}\usepackage{natbib}"
    r"\usepackage[letterpaper,textwidth=5.5in,textheight=9in]{geometry}\makeatletter"
    r"\renewenvironment{table}{\setlength{\abovecaptionskip}{0pt}\setlength{\belowcaptionskip}{7pt}"
    r"\@float{table}}{\end@float}\makeatother\setlength{\parindent}{0pt}"
)
CVPR = (
    r"\documentclass[10pt,twocolumn,letterpaper]{article}\usepackage{times}"
    r"\usepackage[textwidth=6.875in,textheight=8.875in,columnsep=0.3125in]{geometry}"
    r"\usepackage[numbers]{natbib}\usepackage[font=small,labelsep=period]{caption}"
)


@pytest.mark.parametrize("head", [ARTICLE, NEURIPS, CVPR], ids=["article", "neurips", "cvpr"])
@pytest.mark.parametrize("siunitx", [False, True], ids=["plain", "siunitx"])
@pytest.mark.parametrize("width", ["narrow", "wide", "long", "words"])
def test_a_table_compiles_alone_and_fits_into_its_column(frame, tmp_path, head, siunitx, width):
    head += r"\usepackage{booktabs}"
    if siunitx:
        if not found_by_latex("siunitx.sty"):
            pytest.skip("needs siunitx (apt-get install texlive-science)")
        head += r"\usepackage{siunitx}"
    made = {"narrow": across, "wide": ablation, "long": long_table, "words": protocol}[width](frame)
    text = to_latex(made, siunitx)
    (tmp_path / "paper.tex").write_text(
        rf"{head}\usepackage{{graphicx}}\begin{{document}}{text}\end{{document}}"
    )
    log = compile_latex(tmp_path, "paper.tex")
    assert "Overfull" not in log
    assert "too large" not in log
    assert "Missing character" not in log


def found_by_latex(name):
    return subprocess.run(["kpsewhich", name], capture_output=True, check=False).returncode == 0


def long_table(frame):
    axes = {
        "messenger.tokens": {str(n): {"messenger.tokens": n} for n in (0, 2, 4, 8, 16)},
        "head.queries": {str(n): {"head.queries": n} for n in range(5, 17)},
    }
    spec = TableSpec(labels={"head.queries": "$N_q$"}, title="Long.")
    return build_tables(frame(axes=axes, seeds=(0,)), spec, {}, name="long")[0]


def protocol(frame):
    return build_tables(frame(), TableSpec(), {}, name="x")[-1]


def test_a_long_table_goes_on_under_its_number(frame):
    text = to_latex(long_table(frame))
    assert text.count(r"\begin{table}") == 2
    assert text.count(r"\label{tab:long}") == text.count(r"\addtocounter{table}{-1}") == 1
    assert r"\caption{Long (continued).}" in text
    assert sum(" & " in line for line in text.splitlines()) == 60 + 2  # rows and heads


def test_points_and_signs_of_a_column_stand_below_each_other(frame):
    def ap(axes, seed):
        return 0.2 + 0.3 * (axes["head"] == "stqi") + (0.1, 0.005)[axes["head"] == "stqi"] * seed

    (spec,) = parse_specs({"shape": "components"}, "g")
    made = build_tables(frame(ap=ap), spec, {}, name="x")[0]
    plain, siunitx = to_latex(made), to_latex(made, siunitx=True)
    assert r"\ensuremath{\pm}10.0" in plain
    assert r"\ensuremath{\pm}\phantom{0}0.5" in plain
    assert r"\multicolumn{2}{c}{AP} & \multicolumn{2}{c}{\ensuremath{\Delta} AP}" in plain
    assert "S[table-format=2.1]@{}lS[table-format=+2.1]@{}ll" in siunitx
    assert r"\bfseries 50.5 & \," in siunitx
    assert r"\usepackage{siunitx}" not in preview(["x.tex"])
    assert r"\usepackage{siunitx}" in preview(["x_siunitx.tex"])


def test_a_symbol_is_a_symbol_in_every_format_and_any_other_dollar_is_a_dollar(frame):
    labels = {"head": "$N_q$", "messenger": "5$ or $6", "AP": r"AP at $\lambda$"}
    made = build_tables(frame(), TableSpec(labels=labels, columns=["AP"]), {}, name="x")[0]
    latex, page, markdown = to_latex(made), str(to_html(made)), to_markdown(made)
    assert r"5\$ or \$6 & \ensuremath{N_q} & " in latex
    assert r"AP at \ensuremath{\lambda}" in latex
    assert "<i>N</i><sub>q</sub>" in page
    assert "5$ or $6" in page
    assert "*N*<sub>q</sub>" in markdown
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(to_terminal(made, 100))
    assert "5$ or $6" in (text := console.export_text())
    assert "N_q" in text
    assert "AP at λ" in text


def test_what_holds_for_all_rows_is_in_the_caption_and_no_column(frame):
    (spec,) = parse_specs({"shape": "components", "title": "X."}, "g")
    text = to_latex(build_tables(frame(), spec, {}, name="x")[0])
    assert r"\caption{X: synthetic, held-out, 32 videos; PVTv2-B0; speed on CPU" in text
    assert "3 seeds.}" in text
    assert "& n &" not in text
    body = text[text.index(r"\begin{minipage}") :]
    assert len(re.sub(r"\\[a-z]+", "", body)) < 330  # two lines of a page


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
    columns = re.search(r"\\begin\{tabular\}\{([lr@{}]+)\}", text)[1].replace("@{}", "")
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
    assert rows[4]["MAdds (G)"] == ""
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
