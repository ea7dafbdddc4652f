"""What README and docs tell users to type is what the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

import cli
from tests.switches import SWITCHES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```|((?:^ {4,}\S.*\n)+)", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The words of every ``tevit`` command in the page's blocks, without what a shell adds."""
    blocks = ("".join(match.groups("")) for match in BLOCK.finditer(page.read_text()))
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        call = re.search(r"(?:^|\s|/|until )(?:tevit|-m cli) (?!: )(.*)", line)
        if call and not line.strip().startswith("tevit:"):
            bare = re.split(r"\s(?:[;&|>]|&&)|;\s", call[1])[0]
            found.append(shlex.split(bare.replace("[", "").replace("]", ""), comments=True))
    return found


def parse(words: list[str]) -> None:
    """Let the command that they call read the words; nothing runs.

    Raises:
        click's UsageError: it does not know an option, or lacks an argument.
    """
    command = typer.main.get_command(cli.app)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"no command {name!r}"
        command = command.commands[name]
    command.make_context("tevit", list(words))


EVERY = [(page.name, words) for page in PAGES for words in commands(page)]


def test_commands_are_found():
    assert len(EVERY) > 60
    assert {"README.md", "launching.md", "data.md"} <= {page for page, _ in EVERY}


@pytest.mark.parametrize(("page", "words"), EVERY, ids=str)
def test_a_documented_command_is_one(page, words):
    parse(words)
    for word in words:
        if (field := re.match(r"(?:start\.)?([a-z_]+\.[a-z_.]+)=", word)) is not None:
            assert field[1] in SWITCHES, field[1]
