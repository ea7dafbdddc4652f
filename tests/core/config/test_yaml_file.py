"""YAML as people mean it, and errors that say where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config.yaml_file import YamlError, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("1e-3", 0.001),
        ("-1E5", -100000.0),
        ("2.5e-4", 0.00025),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", float("-inf")),
        ("12", 12),
        ("-1", -1),
        ("0", 0),
        ("1_000", 1000),
        ("0x10", 16),
        ("010", "010"),
        ("3:40", "3:40"),
        ("2026-01-01", "2026-01-01"),
        ("-", [None]),
        ("'1'", "1"),
    ],
)
def test_values(text: str, value: object) -> None:
    found = parse_yaml(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number() -> None:
    assert parse_yaml(".nan") != parse_yaml(".nan")


def test_merged_mappings_may_repeat_a_key() -> None:
    assert parse_yaml("a: &x {b: 1, c: 1}\nd: {<<: *x, c: 2}")["d"] == {"b": 1, "c": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "grid.yaml: line 2, column 1: the key 'a' is given twice"),
        ("a: {b: 1, b: 2}", "line 1, column 11: the key 'b'"),
        ("a: [1", "line 1, column 6"),
        ("a: b: c", "line 1, column 5"),
        ("{[1]: 2}", "unhashable"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: \x00", "is not YAML"),
    ],
)
def test_faults_name_the_place(text: str, message: str) -> None:
    with pytest.raises(YamlError) as error:
        parse_yaml(text, "grid.yaml")
    assert message in str(error.value)
    assert str(error.value).startswith("grid.yaml: ")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("label: off  # Gerät\n", encoding="utf-8")
    assert read_yaml(path) == {"label": "off"}
    with pytest.raises(YamlError, match=r"b.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "b.yaml")
    with pytest.raises(YamlError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)
    path.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(YamlError, match="is not a UTF-8 text file"):
        read_yaml(path)


text = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=8,
)


@settings(max_examples=200)
@given(values)
def test_json_is_yaml(value: object) -> None:
    assert parse_yaml(json.dumps(value, ensure_ascii=False)) == value
