from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.executors import slurm_queries as slurm
from launch.executors.slurm_queries import SlurmError, expand_id


def facts(job):
    return job.id, job.name, job.index, job.state, job.node, job.reason, job.comment


@pytest.fixture
def command(tmp_path, monkeypatch):
    """``command("squeue", "echo x")``: a SLURM command that is this shell script."""
    monkeypatch.setenv("PATH", str(tmp_path))  # no other SLURM
    for tool in ("cat", "sleep"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    slurm.settings.cache_clear()
    slurm.cluster_name.cache_clear()

    def make(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    yield make
    slurm.settings.cache_clear()
    slurm.cluster_name.cache_clear()


def test_the_queue_is_parsed(command):
    command(
        "squeue",
        "cat <<'E'\n"
        "12|0|RUNNING|n1|None|tevit-b1|tevit:/a|b\n"
        "12|1|PENDING||Resources|tevit-b1|tevit:/a|b\n"
        "13|N/A|COMPLETED|n2|None|tevit-b2|\n"
        "14|N/A|RUNNING|n2|None|somebody else's|\n"
        "nonsense\n"
        "E",
    )
    assert [facts(job) for job in slurm.queue()] == [
        ("12_0", "tevit-b1", 0, "RUNNING", "n1", "None", "tevit:/a|b"),
        ("12_1", "tevit-b1", 1, "PENDING", "", "Resources", "tevit:/a|b"),
        ("13", "tevit-b2", 0, "COMPLETED", "n2", "None", ""),
    ]
    assert [job.live for job in slurm.queue()] == [True, True, False]
    assert slurm.queue()[0].batch == "b1"
    assert slurm.queue()[0].array == "12"


def test_users_and_environment_of_the_question(command, monkeypatch):
    monkeypatch.setenv("SQUEUE_FORMAT", "%i")
    command("squeue", 'echo "1|N/A|RUNNING|$SQUEUE_FORMAT|$SLURM_BITSTR_LEN|tevit-x|$*"')
    (job,) = slurm.queue({7, 5})
    assert (job.node, job.reason) == ("", "0")
    assert f"-u {os.getuid()},5,7" in job.comment or "-u 5,7," in job.comment


def test_accounting_is_parsed(command):
    command(
        "sacct",
        "cat <<'E'\n"
        "12_0|COMPLETED|0:0|n1|tevit-b1\n"
        "12_1|CANCELLED by 0|0:0|None assigned|tevit-b1\n"
        "12_[2-3,5%2]|PENDING|0:0|None assigned|tevit-b1\n"
        "13|OUT_OF_MEMORY|0:125|n2|tevit-b2\n"
        "14|FAILED|1:0|n2|other\n"
        "E",
    )
    jobs = slurm.accounting(["12", "13", "14"])
    assert [(j.id, j.state) for j in jobs[:2]] == [("12_0", "COMPLETED"), ("12_1", "CANCELLED")]
    assert [j.index for j in jobs[2:5]] == [2, 3, 5]
    assert facts(jobs[5]) == ("13", "tevit-b2", 0, "OUT_OF_MEMORY", "n2", "0:125", "")
    assert len(jobs) == 6


def test_nothing_is_asked_about_no_jobs():
    assert slurm.accounting([]) == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'Unable to contact' >&2; exit 1", "squeue: Unable to contact"),
        ("exit 3", "squeue: exit status 3"),
        (None, "squeue: not found"),
    ],
)
def test_a_command_that_fails_is_one_error(command, script, message):
    if script:
        command("squeue", script)
    with pytest.raises(SlurmError, match=message):
        slurm.queue()


def test_a_command_that_hangs_is_given_up(command, monkeypatch):
    monkeypatch.setattr(slurm, "TIMEOUT_SECONDS", 0.2)
    command("squeue", "exec sleep 60")
    with pytest.raises(SlurmError, match="no answer within"):
        slurm.run_slurm(["squeue"])


def test_the_sites_settings(command):
    command("scontrol", "printf 'ClusterName = gpu1\\nMaxArraySize            = 4001\\n'")
    assert slurm.largest_array() == 4000
    assert slurm.cluster_name() == "gpu1"


def test_a_site_that_does_not_answer_has_no_name(command):
    assert slurm.cluster_name() is None


def test_cancelling_many_takes_few_commands(command, tmp_path):
    command("scancel", f"echo $# >> {tmp_path}/counts")
    slurm.scancel([str(k) for k in range(1200)])
    assert (tmp_path / "counts").read_text().split() == ["500", "500", "200"]


@given(st.integers(1, 10**6), st.sets(st.integers(0, 300), min_size=1))
def test_ranges_of_tasks_are_expanded(array, indices):
    parts, ordered = [], sorted(indices)
    while ordered:
        first = last = ordered.pop(0)
        while ordered and ordered[0] == last + 1:
            last = ordered.pop(0)
        parts.append(f"{first}-{last}" if last > first else str(first))
    text = f"{array}_[{','.join(parts)}%7]"
    assert expand_id(text) == [(str(array), k) for k in sorted(indices)]


def test_other_ids():
    assert expand_id("5") == [("5", None)]
    assert expand_id("5_3") == [("5", 3)]
    assert expand_id("5.batch") == []
    assert expand_id("") == []


def test_every_final_state_has_a_known_cause():
    from launch.records.failures import CAUSES

    assert set(slurm.ENDED.values()) <= set(CAUSES)
    assert not set(slurm.ENDED) & set(slurm.QUEUED)
