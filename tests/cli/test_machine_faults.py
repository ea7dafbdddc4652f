"""What the file system refuses is one message, not a traceback."""

import errno
import os
import sys

import pytest

import cli
from launch import costs


def command(monkeypatch, capsys, *arguments):
    """Exit status and standard error of ``tevit ARGUMENTS``."""
    monkeypatch.setattr(sys, "argv", ["tevit", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code, capsys.readouterr().err


def test_a_folder_below_a_file_is_named(monkeypatch, capsys, tmp_path):
    (tmp_path / "taken").write_text("")
    out = tmp_path / "taken" / "out"
    code, said = command(monkeypatch, capsys, "data", "make", "synthetic", out, "videos=2")
    assert code == 2
    assert said.strip().count("\n") == 0
    assert str(tmp_path / "taken") in said and "one of its folders is a file" in said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_what_a_disk_refuses_is_one_line(monkeypatch, capsys, tmp_path, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("core.data.synthetic.dataset.write_json", refuse)
    out = tmp_path / "out"
    code, said = command(monkeypatch, capsys, "data", "make", "synthetic", out, "videos=2")
    assert code == 2
    assert said.strip().count("\n") == 0
    assert os.strerror(number) in said
    assert not out.exists(), "nothing half-written under its name"


def test_a_fault_of_the_tool_stays_a_traceback(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise OSError(errno.EBADF, "ours")

    monkeypatch.setattr("core.data.synthetic.dataset.write_json", fail)
    monkeypatch.setattr(
        sys, "argv", ["tevit", "data", "make", "synthetic", str(tmp_path / "o"), "videos=2"]
    )
    with pytest.raises(OSError, match="ours"):
        cli.main()


def test_a_current_folder_that_is_gone_is_said(monkeypatch, capsys, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, said = command(monkeypatch, capsys, "status", "components")
    assert (code, said) == (2, "tevit: the current folder is no longer there: cd to one that is\n")


@pytest.mark.parametrize("arguments", [("train", "tiny"), ("plan", "~/grid.yaml")])
def test_without_a_home_what_to_set_is_said(monkeypatch, capsys, tmp_path, arguments):
    """As in a container whose user number has neither name nor home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEVIT_CACHE", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    code, said = command(monkeypatch, capsys, *arguments)
    assert code == 2 and said.strip().count("\n") == 0
    assert "no home folder is known here: set HOME" in said


def test_a_plan_needs_no_cache(monkeypatch, caplog):
    monkeypatch.delenv("TEVIT_CACHE", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert costs._cached("0" * 16) is None
    costs._keep("0" * 16, costs.Costs(1, 2))
    assert "set HOME or TEVIT_CACHE" in caplog.text
