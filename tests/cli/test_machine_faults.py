"""What the file system refuses is one message, not a traceback."""

import errno
import os
import sys

import pytest

import cli


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
