"""A config by preset, by file, by run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.config.load import load_config
from core.config.overrides import ConfigError
from core.config.presets import PRESETS, preset
from core.config.schema import Config
from core.errors import UserError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder as the launcher writes it."""
    folder = tmp_path / "0123456789abcdef"
    folder.mkdir()
    config = preset("tiny", {"head.queries": 7, "seed": 3}).to_dict()
    record = {"schema": 1, "signature": folder.name, "name": "a", "config": config}
    write(folder / "config.json", json.dumps(record))
    return folder


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str) -> None:
    assert load_config(name) == preset(name)


def test_overrides_as_items_and_as_mapping() -> None:
    expected = preset("tiny", {"head.queries": 5, "messenger.shift": False})
    assert load_config("tiny", ["head.queries=5", "messenger.shift=false"]) == expected
    assert load_config("tiny", {"head.queries": 5, "messenger.shift": False}) == expected


def test_a_file_nested_and_dotted(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.yaml",
        "preset: tiny\nhead: {queries: 5, kind: per_frame}\ntrain.lr: 1e-3\nmessenger.shift: off\n",
    )
    expected = preset(
        "tiny",
        {"head.queries": 5, "head.kind": "per_frame", "train.lr": 1e-3, "messenger.shift": False},
    )
    assert load_config(path) == expected
    assert load_config(str(path), ["head.queries=6"]).head.queries == 6


def test_a_file_without_preset_starts_from_the_published_model(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", "head.queries: 5\n")
    assert load_config(path) == preset("tevit_msgshift", {"head.queries": 5})
    assert load_config(write(tmp_path / "all.yaml", "{}")) == Config()


def test_a_relative_file_is_looked_for_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mine.yaml", "preset: tiny\n")
    assert load_config("mine.yaml", folder=tmp_path) == preset("tiny")
    monkeypatch.chdir(tmp_path)
    assert load_config("mine.yaml", folder=tmp_path / "elsewhere") == preset("tiny")


def test_a_run_folder_and_its_record(run: Path) -> None:
    expected = preset("tiny", {"head.queries": 7, "seed": 3})
    assert load_config(run) == expected
    assert load_config(run / "config.json") == expected
    assert load_config(run, ["seed=4"]) == preset("tiny", {"head.queries": 7, "seed": 4})


def test_a_config_of_plain_values_as_json(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.json", json.dumps(preset("tiny").to_dict()))
    assert load_config(path) == preset("tiny")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny", r"unknown preset tinny \(did you mean tiny\?\).*or give a file or a run folder"),
        ("nope.yaml", "nope.yaml: no such file"),
        ("runs/abc", "runs/abc: no such file"),
        ("head.kind=stqi", "head.kind=stqi: a preset, a file or a run folder comes before"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(name)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a folder without config.json is not a run"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset: tinny\n", r"unknown preset tinny \(did you mean tiny\?\); valid presets"),
        ("head: {knd: stqi}\n", r"unknown field head.knd \(did you mean head.kind"),
        ("head: {kind: x}\nhead.kind: stqi\n", "head.kind is given twice"),
        ("head.queries: 0\n", "head.queries=0: Input should be greater"),
        ("head: 3\n", "unknown field head "),
        ("- 1\n", "expected fields and values, not"),
        ("", "expected fields and values, not None"),
    ],
)
def test_faults_name_the_file_and_the_field(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "mine.yaml", text)
    with pytest.raises(ConfigError, match=message) as error:
        load_config(path)
    assert all(line.startswith(f"{path}: ") for line in str(error.value).split("\n"))


def test_each_fault_of_a_file_has_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", "head.queries: 0\ntrain.lr: -1\n")
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value).count(str(path)) == 2


def test_faults_of_overrides_name_the_field(run: Path) -> None:
    for name in ("tiny", run):
        with pytest.raises(ConfigError, match=r"unknown field head.knd"):
            load_config(name, ["head.knd=x"])


def test_a_broken_record(run: Path) -> None:
    write(run / "config.json", json.dumps({"config": {"head": {"knd": 1}}}))
    with pytest.raises(ConfigError, match=r"config.json: unknown field head.knd"):
        load_config(run)
    write(run / "config.json", json.dumps({"config": 3}))
    with pytest.raises(ConfigError, match=r"config=3: expected fields and values"):
        load_config(run)
    write(run / "config.json", '{"config": ')
    with pytest.raises(UserError, match=r"config.json: not valid JSON at line 1"):
        load_config(run)
