"""The list of switches is made from the config, and the document from the list."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from core.config.overrides import ConfigError, field_names, override, parse_assignments
from core.config.schema import Config
from core.config.switches import switches, switches_markdown

DOCUMENT = Path(__file__).parents[3] / "docs" / "switches.md"


def test_the_document_is_current() -> None:
    message = "docs/switches.md is old; write it anew: tevit switches --markdown > docs/switches.md"
    assert DOCUMENT.read_text() == switches_markdown(), message


def test_every_switch_once_with_what_it_does() -> None:
    found = switches()
    assert [switch.name for switch in found] == field_names()
    assert all(switch.description and switch.takes for switch in found)


def test_defaults_can_be_typed() -> None:
    typed = [f"{switch.name}={switch.default}" for switch in switches()]
    assert override(Config(), parse_assignments(typed)) == Config()


@pytest.mark.parametrize(
    ("name", "takes", "default"),
    [
        ("messenger.tokens", "integer ≥ 0", "32"),
        ("backbone.width", "integer ≥ 8, multiple of 8, or null", "null"),
        ("backbone.frozen_stages", "integer ≥ -1, ≤ 4", "-1"),
        ("messenger.shift", "true, false", "true"),
        ("messenger.shift_steps", "list: integer, or list: list: integer", "[1, -1, 2, -2]"),
        ("data.root", "text", "synthetic"),
        ("data.clip_order", "random, sorted", "random"),
        ("data.holdout", "number > 0, < 1", "0.2"),
        ("data.train_sizes", "list: list of 2: integer ≥ 1", "[[640, 360], [960, 480]]"),
        ("train.init", "path, or null", "null"),
        ("train.lr", "number > 0", "0.00025"),
    ],
)
def test_what_a_switch_takes(name: str, takes: str, default: str) -> None:
    switch = next(switch for switch in switches(name) if switch.name == name)
    assert (switch.takes, switch.default) == (takes, default)


def test_sections_have_their_heading_and_what_they_are() -> None:
    text = switches_markdown()
    assert "\n## data.synthetic\n\nThe generated dataset" in text
    assert "\n## seed\n\n| switch" in text


def test_part_of_a_name() -> None:
    assert {switch.section for switch in switches("messenger")} == {"messenger"}
    with pytest.raises(ConfigError, match=r"unknown switch head.knd \(did you mean head.kind\?\)"):
        switches("head.knd")


def test_command() -> None:
    run = CliRunner().invoke(app, ["switches", "messenger.tokens"])
    assert run.exit_code == 0
    assert run.output.startswith("messenger.tokens=32  (integer ≥ 0)\n    messenger tokens a frame")
    assert CliRunner().invoke(app, ["switches", "--markdown"]).output == switches_markdown()
