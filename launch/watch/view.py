"""The full-screen view of a grid: what it shows, and what each key does; it knows no terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from launch.watch.display import HEADINGS, NUMBERS, as_they_stand, row_cells
from launch.watch.status import StatusRow, counts

KEYS = "↑↓ choose   enter log   / filter   c cancel   q quit"


@dataclass
class StatusView:
    """What is on the screen, and what was typed.

    Attributes:
        title: the grid's name.
        log: the end of a cell's log, by the cell's name.
        cancel: takes a cell back, by its name; says what came of it.
        rows: the cells, as they were last looked at.
        problems: what could not be found out.
        chosen: name of the cell that the keys are for.
        words: only rows that hold all of them are shown.
        asks: what the next keys answer, if anything.
        message: of what was done last.
    """

    title: str
    log: Callable[[str], str]
    cancel: Callable[[str], str]
    rows: Sequence[StatusRow] = ()
    problems: Sequence[str] = ()
    chosen: str = ""
    words: str = ""
    asks: Literal["", "filter", "cancel"] = ""
    log_open: bool = False
    message: str = ""
    page: int = field(default=10, init=False)

    def shown(self) -> list[StatusRow]:
        """The rows that the filter leaves."""
        wanted = self.words.lower().split()
        return [row for row in self.rows if all(word in _words(row) for word in wanted)]

    def press(self, key: str) -> bool:
        """Do what a key is for; False: leave."""
        if self.asks == "filter":
            self._type(key)
        elif self.asks == "cancel":
            self.asks = ""
            self.message = self.cancel(self.chosen) if key == "y" else ""
        elif key in ("q", "ctrl-c"):
            return False
        else:
            self._command(key)
        return True

    def _type(self, key: str) -> None:
        if key in ("enter", "escape"):
            self.asks = ""
            self.words = self.words if key == "enter" else ""
        elif key == "backspace":
            self.words = self.words[:-1]
        elif len(key) == 1:
            self.words += key

    def _command(self, key: str) -> None:
        self.message = ""
        shown = self.shown()
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -self.page}
        steps |= {"page down": self.page, "home": -len(shown), "end": len(shown)}
        if key in steps and shown:
            at = self._place(shown) + steps[key]
            self.chosen = shown[min(max(at, 0), len(shown) - 1)].name
        elif key in ("enter", "l"):
            self.log_open = not self.log_open
        elif key == "/":
            self.asks = "filter"
        elif key == "escape":
            self.log_open, self.words = False, ""
        elif key == "c" and shown:
            row = shown[self._place(shown)]
            self.chosen = row.name
            if row.state in ("queued", "running"):
                self.asks = "cancel"
            else:
                self.message = f"{row.name} is {row.state}: there is nothing to cancel"

    def _place(self, shown: Sequence[StatusRow]) -> int:
        return next((k for k, row in enumerate(shown) if row.name == self.chosen), 0)

    def render(self, height: int) -> RenderableType:
        """The whole screen, ``height`` lines high."""
        shown = self.shown()
        at = self._place(shown)
        problems = [Text(f"! {problem}", "yellow", no_wrap=True) for problem in self.problems[:3]]
        room = height - 4 - len(problems)
        lines = max(room // 2, 3) if self.log_open else 0
        self.page = max(room - lines - bool(lines), 1)
        first = max(0, min(at - self.page // 2, len(shown) - self.page))
        parts: list[RenderableType] = [self._head(shown), *problems]
        parts.append(_table(self.rows, shown[first : first + self.page], at - first))
        used = 2 + len(problems) + 1 + min(len(shown), self.page)
        if lines and shown:
            name = shown[at].name
            parts.append(Rule(Text(f"log of {name}"), align="left"))
            text = self.log(name).rstrip().splitlines()[-lines:]
            parts += [Text(line, no_wrap=True, overflow="ellipsis") for line in text]
            used += 1 + len(text)
        parts += [Text("")] * (height - used)
        return Group(*parts, self._foot())

    def _head(self, shown: Sequence[StatusRow]) -> Text:
        said = ", ".join(f"{n} {state}" for state, n in counts(self.rows).items())
        head = Text(f"{self.title}  ", "bold", no_wrap=True).append(said or "looking ...", "dim")
        if self.words:
            head.append(f"  {len(shown)} of {len(self.rows)} with: {self.words}", "cyan")
        return head

    def _foot(self) -> Text:
        if self.asks == "filter":
            return Text(f"filter: {self.words}█   (enter: keep, escape: all)", "cyan", no_wrap=True)
        if self.asks == "cancel":
            return Text(f"cancel {self.chosen}? y, or any other key", "bold yellow", no_wrap=True)
        return Text(self.message or KEYS, "bold" if self.message else "dim", no_wrap=True)


def _words(row: StatusRow) -> str:
    return " ".join((row.name, row.state, row.cause, row.host, row.job_id)).lower()


def _table(known: Sequence[StatusRow], rows: Sequence[StatusRow], chosen: int) -> Table:
    """``rows`` without the columns that are empty for all that are known."""
    columns = list(zip(*map(row_cells, known), strict=True)) or [("",)] * len(HEADINGS)
    kept = [k for k, cells in enumerate(columns) if k < 2 or any(map(str, cells))]
    table = Table(box=None, expand=True, pad_edge=False, header_style="bold")
    for heading in (HEADINGS[k] for k in kept):
        table.add_column(
            heading,
            justify="right" if heading in NUMBERS else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio={"cell": 3, "why": 2}.get(heading),
            min_width=16 if heading == "cell" else None,
        )
    for at, row in enumerate(rows):
        cells = row_cells(row)
        texts = as_they_stand(cells[k] for k in kept)
        table.add_row(*texts, style="reverse" if at == chosen else "")
    return table
