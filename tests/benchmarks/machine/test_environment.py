import json
import subprocess

import pytest
import torch

from benchmarks.machine import code
from benchmarks.machine import environment as env
from core.errors import UserError


def git(folder, *args):
    subprocess.run(
        ["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.org", *args],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-b", "trunk")
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "b.py").write_text("y = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_environment_is_json_and_names_what_counts():
    facts = env.environment()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["packages"]["torch"] == torch.__version__.split("+")[0]
    assert facts["threads"]["intra_op"] == torch.get_num_threads()
    assert facts["cpu"]["model"] and facts["cpu"]["cores"] >= 1
    assert len(facts["gpus"]) == (torch.cuda.device_count() if torch.cuda.is_available() else 0)


def test_packages_that_are_absent_are_left_out(monkeypatch):
    monkeypatch.setattr(env, "_PACKAGES", ("torch", "no-such-package"))
    assert list(env.package_versions()) == ["torch"]


def test_cpu_model_is_read_from_cpuinfo(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n")
    assert env.cpu_model(path) == "Some CPU @ 2 GHz"
    assert env.cpu_model(tmp_path / "absent")


def test_device_name_says_cpu_and_threads():
    name = env.device_name(torch.device("cpu"))
    assert name.startswith("CPU (") and f"{torch.get_num_threads()} threads" in name


def test_clean_checkout(checkout):
    facts = code.git_provenance(checkout)
    assert len(facts["commit"]) == 40
    assert (facts["branch"], facts["dirty"], facts["diff"]) == ("trunk", False, "")
    assert facts["diff_sha256"] is None and facts["untracked"] == []


def test_uncommitted_changes_of_the_whole_checkout_are_kept(checkout):
    (checkout / "a.py").write_text("x = 2\n")
    (checkout / "room" / "b.py").write_text("y = 2\n")
    git(checkout, "add", "room/b.py")  # staged changes are uncommitted, too
    (checkout / "new.py").write_text("")
    facts = code.git_provenance(checkout / "room")
    assert facts["dirty"] and "+x = 2" in facts["diff"] and "+y = 2" in facts["diff"]
    assert facts["untracked"] == ["new.py"]


def test_the_diff_can_be_applied_to_the_commit(checkout, tmp_path_factory):
    (checkout / "a.py").write_text("x = 3\n")
    diff = code.git_provenance(checkout)["diff"]
    clone = tmp_path_factory.mktemp("clone") / "c"
    subprocess.run(["git", "clone", "-q", checkout, clone], check=True)
    subprocess.run(["git", "-C", clone, "apply", "-"], input=diff.encode(), check=True)
    assert (clone / "a.py").read_text() == "x = 3\n"


def test_a_large_diff_is_cut_but_its_hash_is_whole(checkout, monkeypatch):
    (checkout / "a.py").write_text("x = 4\n" * 100)
    whole = code.git_provenance(checkout)
    monkeypatch.setattr(code, "LARGEST_DIFF", 50)
    cut = code.git_provenance(checkout)
    assert len(cut["diff"]) == 50
    assert cut["diff_sha256"] == whole["diff_sha256"]


def test_records_keep_the_hash_and_not_the_text_of_a_diff():
    whole, short = env.environment()["git"], env.environment(with_diff=False)["git"]
    assert set(whole) - set(short) == {"diff", "untracked"}


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code.git_provenance(tmp_path)["commit"] is None


@pytest.mark.parametrize("command", [["no-such-program"], ["false"], ["sleep", "5"]])
def test_run_text_gives_none_where_there_is_no_answer(command):
    assert code.run_text(command, timeout=0.2) is None


def test_command_line_has_no_folder(monkeypatch):
    monkeypatch.setattr(env.sys, "argv", ["/some/where/tevit", "flops", "tiny"])
    assert env.command_line() == "tevit flops tiny"


@pytest.mark.parametrize("option", ["ls-files", "--others"])
def test_git_that_does_not_answer_is_not_taken_for_no_files(checkout, monkeypatch, option):
    real = code.run_text

    def silent(command, **options):
        return None if option in command and "-z" in command else real(command, **options)

    monkeypatch.setattr(code, "run_text", silent)
    (checkout / "core").mkdir()
    (checkout / "core" / "__init__.py").write_text("")
    git(checkout, "add", "core")
    with pytest.raises(UserError, match="git does not say which files are the code"):
        list(code.code_files(checkout))


def test_which_files_are_untracked_may_not_be_known(checkout, monkeypatch):
    real = code.run_text
    monkeypatch.setattr(
        code, "run_text", lambda command: None if "--others" in command else real(command)
    )
    facts = code.git_provenance(checkout)
    assert facts["commit"] and facts["untracked"] is None
