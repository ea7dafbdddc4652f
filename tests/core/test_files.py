import json
import multiprocessing
import os
import signal
import stat
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import files
from core.errors import UserError
from core.files import append_line, read_json, read_json_lines, write_atomic, write_json


def test_write_atomic_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_write_atomic_obeys_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomic(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(value=json_values)
def test_json_round_trip(value, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_what_is_no_character_is_a_question_mark(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")  # as the file system has it
    write_atomic(tmp_path / "a.txt", f"{name}: é\n")
    assert (tmp_path / "a.txt").read_text() == "caf?.png: é\n"


def test_nan_is_refused_before_the_file_is_touched(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"AP": None})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"AP": float("nan")})
    assert read_json(path) == {"AP": None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b": }', "not valid JSON at line 2, column 7"),
        (b"", "not valid JSON at line 1"),
        (b"\xff\xfe\x00", "not a text file|not valid JSON"),
    ],
)
def test_read_json_names_the_broken_file(tmp_path, content, message):
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        read_json(path)
    assert str(path) in str(raised.value)


def test_read_json_missing_or_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_json(tmp_path)


def test_append_line_after_a_killed_writer(tmp_path):
    path = tmp_path / "history.jsonl"
    append_line(path, '{"step": 1}')
    with path.open("a") as f:
        f.write('{"step": 2, "lo')  # killed here
    append_line(path, '{"step": 3}')
    assert [line["step"] for line in read_json_lines(path)] == [1, 3]


def test_append_line_refuses_a_line_break(tmp_path):
    with pytest.raises(ValueError, match="one line at a time"):
        append_line(tmp_path / "a", "x\ny")
    assert not (tmp_path / "a").exists()


def test_read_json_lines_of_a_missing_file_is_empty(tmp_path):
    assert list(read_json_lines(tmp_path / "none.jsonl")) == []


def _append_many(path, writer, count):
    for k in range(count):
        append_line(path, json.dumps({"writer": writer, "k": k, "pad": "x" * 5000}))


def test_concurrent_writers_keep_every_line_whole(tmp_path):
    path = tmp_path / "log.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_many, args=(path, w, 40)) for w in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for w in range(3):
        assert [line["k"] for line in lines if line["writer"] == w] == list(range(40))


def _write_forever(path):
    while True:
        for fill in "ab":
            write_atomic(path, fill * 200_000)


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    path = tmp_path / "checkpoint"
    write_atomic(path, "a" * 200_000)
    writer = multiprocessing.get_context("fork").Process(target=_write_forever, args=(path,))
    writer.start()
    for _ in range(100):
        text = path.read_text()
        assert len(text) == 200_000
        assert len(set(text)) == 1
        time.sleep(0.001)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert len(set(path.read_text())) == 1
