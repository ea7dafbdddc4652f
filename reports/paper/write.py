"""Tables, figures, the protocol, the reproducibility statement and references in one folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from core.files import write_atomic
from reports.made import Made
from reports.paper.statement import cited, statement
from reports.plots.style import WIDTHS, Plot
from reports.renderers.latex import text_latex, to_latex
from reports.renderers.latex_letters import escape_latex

_REFERENCES = Path(__file__).with_name("references.bib")
_HEAD = r"""\documentclass{article}
\usepackage[margin=1in]{geometry}
\usepackage{booktabs,graphicx,amssymb,float}
\newcommand{\tevitfigure}[1]{\sbox0{#1}\ifdim\ht0>0.85\textheight
  \resizebox{!}{0.85\textheight}{\usebox0}\else\usebox0\fi}
"""


def write_paper(
    folder: Path, made: Made, plots: Sequence[Plot], *, drawn: Path, siunitx: bool = False
) -> list[Path]:
    """Write ``main.tex``, which shows them all, and what it inputs.

    Args:
        made: whose tables of the appendix come after the statement.
        plots: without those that answer no question of the grid.
        drawn: folder of their files.
        siunitx: whether the tables are set with it.

    Raises:
        TableError: a table has a letter that LaTeX's standard fonts do not have.
    """
    texts = {
        f"tables/{table.name}.tex": to_latex(table, siunitx, "H" if table.appendix else "!htbp")
        for table in made.tables
    }
    said = statement(made)
    texts["reproducibility.tex"] = f"{said}\n"
    texts["references.bib"] = references(cited(said))
    texts["main.tex"] = _main(made, plots, siunitx)
    written = []
    for name, text in texts.items():
        written.append(folder / name)
        write_atomic(written[-1], text)
    for plot in plots:
        for width in WIDTHS:
            file = f"{plot.name}_{width}.pdf"
            written.append(folder / "figures" / file)
            write_atomic(written[-1], (drawn / file).read_bytes())
    return written


def references(keys: Sequence[str]) -> str:
    """The BibTeX entries of ``keys``, in their order."""
    entries = re.findall(r"@\w+\{(\w+),.*?\n\}\n", _REFERENCES.read_text("utf-8"), re.DOTALL)
    texts = re.split(r"\n(?=@)", _REFERENCES.read_text("utf-8").strip())
    known = dict(zip(entries, texts, strict=True))
    return "\n\n".join(known[key].strip() for key in keys) + "\n"


def _main(made: Made, plots: Sequence[Plot], siunitx: bool) -> str:
    tables = made.tables
    results = [rf"\input{{tables/{table.name}}}" for table in tables if not table.appendix]
    figures = [_figure(plot) for plot in plots]
    further = [rf"\input{{tables/{table.name}}}" for table in tables if table.appendix]
    result = next((text_latex(table.result) for table in tables if table.result), "")
    parts = [
        _HEAD + (r"\usepackage{siunitx}" if siunitx else ""),
        rf"\begin{{document}}\raggedbottom\section*{{{escape_latex(made.grid.name)}}}",
        result,
        *results,
        *figures,
        # all floats before it are out, and those behind it stand where they are called
        r"\clearpage\onecolumn\appendix\section*{Reproducibility}\input{reproducibility}",
        r"\section*{Protocol and further figures}",
        *further,
        r"\bibliographystyle{plain}\bibliography{references}",
        r"\end{document}",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _figure(plot: Plot) -> str:
    notes = text_latex(" ".join((f"{plot.title}.", *plot.notes)))
    return "\n".join(
        [
            r"\begin{figure}[!htbp]\centering",
            r"\tevitfigure{%",
            rf"\includegraphics{{figures/{plot.name}_{next(iter(WIDTHS))}.pdf}}}}",
            rf"\caption{{{notes}}}\label{{fig:{plot.name}}}",
            r"\end{figure}",
        ]
    )
