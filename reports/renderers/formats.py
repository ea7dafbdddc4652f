"""The formats in which a table is written: one line each, and the file of its markup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ablations.table_spec import TableError
from reports.html import document, tag
from reports.renderers.csv import to_csv
from reports.renderers.html import text_html, to_html
from reports.renderers.latex import to_latex
from reports.renderers.markdown import to_markdown
from reports.tables.model import Table


@dataclass(frozen=True)
class Format:
    """A table format.

    Attributes:
        title: what a link to such a file says.
        ending: of its files.
        render: what writes a table; raises TableError for what the format cannot say.
    """

    title: str
    ending: str
    render: Callable[[Table], str]

    def written(self, table: Table) -> str | None:
        """The table in this format; none where it has a letter that the format lacks."""
        try:
            return self.render(table)
        except TableError:
            return None


def _html_document(table: Table) -> str:
    result = tag("p", text_html(table.result), class_="result") if table.result else None
    return document(table.title, tag("main", result, to_html(table)))


FORMATS = {
    "md": Format("Markdown", ".md", to_markdown),
    "latex": Format("LaTeX", ".tex", to_latex),
    "siunitx": Format("LaTeX with siunitx", "_siunitx.tex", partial(to_latex, siunitx=True)),
    "csv": Format("CSV", ".csv", to_csv),
    "html": Format("HTML", ".html", _html_document),
}
"""Name on the command line to format."""

USUAL = ("md", "latex", "csv", "html")
"""Those written unless others are asked for."""
