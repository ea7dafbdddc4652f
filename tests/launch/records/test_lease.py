from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import pytest

from core.errors import UserError
from launch.records import lease, process


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.02)


def elsewhere(**facts):
    """A holder on another machine, about whose process nothing is known."""
    return process.myself(**facts) | {"machine": "another boot"}


def set_age(folder, number, seconds):
    os.utime(folder / f"{number}.json", (time.time() - seconds,) * 2)


def test_numbers_rise_and_an_ended_claim_is_followed(tmp_path):
    first = lease.acquire(tmp_path, elsewhere())
    first.end({"outcome": "done"})
    second = lease.acquire(tmp_path, elsewhere())
    assert (first.number, second.number) == (1, 2)
    assert [c.number for c in lease.claims(tmp_path)] == [1, 2]
    assert not first.held()
    assert second.held()


def test_a_live_holder_keeps_its_lease(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    held = lease.acquire(tmp_path, elsewhere(job_id="7"))
    stop = threading.Event()

    def beat():
        while not stop.wait(0.02):
            held.beat()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(lease.LeaseHeldError, match="job 7"):
            lease.acquire(tmp_path, elsewhere())
    finally:
        stop.set()
        thread.join()


def test_without_waiting_a_fresh_claim_is_respected(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 100)
    lease.acquire(tmp_path, elsewhere())
    with pytest.raises(lease.LeaseHeldError):
        lease.acquire(tmp_path, elsewhere(), wait=False)


def test_a_stale_lease_is_taken_over_and_the_former_holder_sees_it(tmp_path):
    former = lease.acquire(tmp_path, elsewhere())
    set_age(tmp_path, 1, 60)
    heir = lease.acquire(tmp_path, elsewhere(), wait=False)
    assert heir.number == 2
    assert not former.beat()
    assert heir.beat()


def test_a_holder_that_died_just_now_is_watched_until_it_is_stale(tmp_path):
    lease.acquire(tmp_path, elsewhere())
    start = time.monotonic()
    assert lease.acquire(tmp_path, elsewhere()).number == 2
    assert time.monotonic() - start >= lease.stale_after() * 0.9


def test_a_dead_process_of_this_machine_is_replaced_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 1000)
    code = (
        "import sys; from pathlib import Path; from launch.records import lease, process;"
        "lease.acquire(Path(sys.argv[1]), process.myself())"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert lease.acquire(tmp_path, process.myself(), wait=False).number == 2


def test_a_reused_process_id_is_not_the_holder():
    mine = process.myself()
    assert not process.is_gone(mine)
    assert process.is_gone(mine | {"started": "1"})
    assert not process.is_gone(mine | {"started": "1", "machine": "another"})
    assert not process.is_gone({"pid": 1})


def test_the_same_job_restarted_takes_over_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 1000)
    lease.acquire(tmp_path, elsewhere(job_id="7", restarts=0))
    with pytest.raises(lease.LeaseHeldError):
        lease.acquire(tmp_path, elsewhere(job_id="7", restarts=0), wait=False)
    with pytest.raises(lease.LeaseHeldError):
        lease.acquire(tmp_path, elsewhere(job_id="8", restarts=1), wait=False)
    assert lease.acquire(tmp_path, elsewhere(job_id="7", restarts=1), wait=False).number == 2


def test_a_removed_folder_loses_the_lease(tmp_path):
    held = lease.acquire(tmp_path / "run", elsewhere())
    held.path.unlink()
    assert not held.beat()


def test_an_end_declared_by_another_loses_the_lease(tmp_path):
    held = lease.acquire(tmp_path, elsewhere())
    lease.Lease(tmp_path, 1).end({"outcome": "failed"})
    assert not held.beat()


def _contend(folder, barrier, results):
    barrier.wait()
    try:
        results.put(lease.acquire(folder, elsewhere(), wait=False).number)
    except lease.LeaseHeldError:
        results.put(None)


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_contenders_one_wins(tmp_path, monkeypatch, stale):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 10)
    if stale:
        lease.acquire(tmp_path, elsewhere())
        set_age(tmp_path, 1, 1000)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(8), context.Queue()
    workers = [
        context.Process(target=_contend, args=(tmp_path, barrier, results)) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    numbers = [results.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()
    assert [n for n in numbers if n] == [2 if stale else 1]


def test_without_hard_links_a_claim_is_still_exclusive(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert lease.link_new(tmp_path / "f", "one")
    assert not lease.link_new(tmp_path / "f", "two")
    assert (tmp_path / "f").read_text() == "one"


def test_a_link_that_the_server_repeated_counts_as_made(tmp_path, monkeypatch):
    link = os.link

    def twice(*args):
        link(*args)
        link(*args)

    monkeypatch.setattr(os, "link", twice)
    assert lease.link_new(tmp_path / "f", "one")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_ages_are_judged_by_the_file_servers_clock(tmp_path, monkeypatch):
    held = lease.acquire(tmp_path, elsewhere())
    monkeypatch.setattr(time, "time", lambda: 4e9)  # this host's clock is far ahead
    with pytest.raises(lease.LeaseHeldError):
        lease.acquire(tmp_path, elsewhere(), wait=False)
    assert held.held()


def test_a_damaged_claim_does_not_break_the_reader(tmp_path):
    (tmp_path / "1.json").write_text("{")
    claim = lease.latest(tmp_path)
    assert claim is not None
    assert claim.holder == {}
    (tmp_path / "1.end.json").write_text("")
    assert lease.latest(tmp_path).end == {}
    assert lease.acquire(tmp_path, elsewhere()).number == 2


def test_other_files_in_the_folder_are_not_claims(tmp_path):
    for name in ("queued.json", ".1.json.x.tmp", "2.txt", "a.end.json"):
        (tmp_path / name).write_text("{}")
    assert lease.latest(tmp_path) is None


def test_a_claim_is_readable_json(tmp_path):
    lease.acquire(tmp_path, process.myself(job_id="1_2"))
    assert json.loads((tmp_path / "1.json").read_text())["job_id"] == "1_2"
    assert lease.claims(tmp_path / "nothing") == []


@pytest.mark.parametrize("text", ["", "abc", "0", "-1", "nan", "inf"])
def test_a_heartbeat_of_no_time_is_refused(text):
    assert lease.seconds_of_a_beat("0.2") == 0.2
    with pytest.raises(UserError, match=f"TEVIT_HEARTBEAT='{text}': expected seconds"):
        lease.seconds_of_a_beat(text)
