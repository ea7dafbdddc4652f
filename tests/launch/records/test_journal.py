from __future__ import annotations

import pytest

from core.errors import UserError
from launch.records.journal import Batch, Journal, new_batch_id


@pytest.fixture
def journal(store):
    return Journal(store)


def batch(name="b1", executor="slurm"):
    return Batch(name, "g", executor, ("s0", "s1"), ("a", "b"), "m:f", {"time": 5})


def test_a_batch_comes_back_as_it_was(journal):
    journal.begin(batch())
    assert journal.read("b1") == batch().__class__(**vars(journal.read("b1")))
    assert journal.read("b1").signatures == ("s0", "s1")
    assert journal.read("b1").job_name == "tevit-b1"


def test_a_batch_is_unsettled_until_its_end_is_known(journal):
    for name in ("b1", "b2", "b3"):
        journal.begin(batch(name))
    assert [b.id for b in journal.unsettled()] == ["b1", "b2", "b3"]
    journal.submitted("b1", "77")
    journal.void("b2", "refused")
    assert [b.id for b in journal.unsettled()] == ["b3"]
    assert journal.job_id("b1") == "77"
    assert journal.job_id("b3") is None
    assert journal.is_void("b2")
    assert journal.is_settled("b1")
    assert not journal.is_settled("b3")
    assert journal.ids() == {"b1", "b2", "b3"}


def test_without_a_folder_there_are_no_batches(journal):
    assert journal.unsettled() == []
    assert journal.ids() == set()


def test_damaged_and_missing_records_are_named(journal):
    with pytest.raises(UserError, match=r"b9\.json: no such file"):
        journal.read("b9")
    journal.folder.mkdir(parents=True)
    (journal.folder / "b1.json").write_text('{"id": "b1"}')
    with pytest.raises(UserError, match=r"b1\.json: not a batch's record"):
        journal.read("b1")


def test_batch_ids_differ():
    assert len({new_batch_id() for _ in range(100)}) == 100
