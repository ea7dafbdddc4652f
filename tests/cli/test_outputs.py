"""Places that cannot be written are refused before the work whose results are to go there."""

from __future__ import annotations

import errno
import os

import pytest
import typer

from cli import app, main
from cli.options import a_file, a_folder

OUTPUTS = ("out", "json_file", "csv_file", "draw", "paper", "sound_part")


def parameters(command, path=()):
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from parameters(inner, (*path, name))
    else:
        for parameter in command.params:
            yield " ".join(path), parameter


def test_every_option_that_names_an_output_is_looked_at_first():
    found = list(parameters(typer.main.get_command(app)))
    outputs = {(c, p.name) for c, p in found if p.name in OUTPUTS}
    # these begin with what none stands for, and look at that themselves
    checked = {(c, p.name) for c, p in found if p.callback is not None}
    assert outputs - checked == {("train", "out")}
    assert len(outputs) >= 18


COMMANDS = [
    ["ap", "no.json", "no.json", "--json"],
    ["flops", "tiny", "--json"],
    ["fps", "tiny", "--json"],
    ["fps", "tiny", "--curve", "clip_length=1,2", "--csv"],
    ["bench", "train", "tiny", "--json"],
    ["diagnose", "no.json", "no.json", "--json"],
    ["compare", "a", "b", "--out"],
    ["report", "components", "--out"],
    ["report", "components", "--paper"],
    ["plot", "no.json", "--out"],
    ["train", "tiny", "--out"],
    ["predict", "tiny", "no.pt", "frames", "--out"],
    ["predict", "tiny", "no.pt", "frames", "--draw"],
    ["eval", "tiny", "no.pt", "--out"],
    ["export", "tensorboard", "components", "--out"],
    ["data", "check", "nowhere", "--sound-part"],
    ["data", "split", "nowhere", "--out"],
    ["data", "show", "--out"],
    ["data", "make", "synthetic"],
    ["data", "convert", "davis", "nowhere"],
    ["data", "export", "no.json", "no.json"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("place", ["/proc/none/x.png", "file/x.png"])
def test_an_output_that_cannot_be_written_is_one_line(words, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.argv", ["tevit", *words, place])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    if "proc" in place:
        assert said == f"tevit: {place}: no folder can be made there; choose another place\n"
    else:  # of a file's folder the file is in the way, of a folder it is above
        assert said in (
            "tevit: file: File exists; something else has that name: choose another\n",
            f"tevit: {place}: Not a directory; one of its folders is a file\n",
        )
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_look_leaves_nothing_behind_and_new_folders_are_no_fault(tmp_path):
    a_file(tmp_path / "a" / "b" / "c.json")
    a_folder(tmp_path / "d" / "e")
    a_folder(None)
    assert not [*tmp_path.iterdir()]
    a_folder(tmp_path)
    (tmp_path / "kept").write_text("as it was")
    a_file(tmp_path / "kept")
    assert (tmp_path / "kept").read_text() == "as it was"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_no_room_and_no_right_are_seen(tmp_path, monkeypatch, number):
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=f"{os.strerror(number)}: '.*new/x.json'"):
        a_file(tmp_path / "new" / "x.json")
    assert not [*tmp_path.iterdir()]


def test_a_folder_where_a_file_is_wanted(tmp_path):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        a_file(tmp_path)
