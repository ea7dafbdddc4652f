"""A cell that starts from another run: whose weights it begins with, tests, or waits for."""

import pytest
import torch

from core.errors import UserError
from core.files import read_json
from launch.node.job import run_cell
from launch.records.store import Store
from launch.reproduce import grid_of_run
from tests.core.training.runs import small


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEVIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def make(store, signature, measure=("ap",), **record):
    config = record.pop("config", small(train__steps=1))
    run = store.run(signature * 16)
    run.create(schema=1, name=signature, config=config, measure=measure, **record)
    return run


def finish(run):
    return run_cell(run, attempt=1, should_stop=lambda: False)


def weights(run):
    return torch.load(run.checkpoint, weights_only=True)["state_dict"]


def test_a_start_run_is_trained_though_nothing_of_it_is_measured(store):
    start = make(store, "a", ["train"])
    assert finish(start)
    assert start.trained() and start.is_done(["train"]) is False, "done.json is the task's to write"
    assert read_json(start.result("train")) == {"kind": "train", "steps": 1}
    assert not start.predictions.exists()


def test_a_follower_begins_with_the_start_runs_weights_as_far_as_they_fit(store, caplog):
    caplog.set_level("INFO")
    start = make(store, "a", ["train"], config=small(messenger__tokens=0, train__steps=2))
    finish(start)
    follower = make(
        store, "b", ["train"], config=small(train__lr=1e-12, train__steps=1), start="a" * 16
    )
    assert finish(follower)
    begun, ours = weights(start), weights(follower)
    learned = {n: v for n, v in begun.items() if "running_" not in n and v.is_floating_point()}
    assert all(torch.allclose(ours[name], value, atol=1e-6) for name, value in learned.items())
    assert {name for name in ours if name not in begun} == {
        name for name in ours if "msg_tokens" in name
    }
    assert "msg_tokens" in caplog.text, "what begins anew is told"


def test_a_follower_of_a_run_that_is_not_trained_says_so(store):
    make(store, "a", ["train"])
    follower = make(store, "b", start="a" * 16)
    with pytest.raises(UserError, match=r"a{16}: the run that this cell starts from has not been"):
        finish(follower)


def test_a_cell_that_only_tests_takes_the_others_weights(store):
    trainer = make(store, "a")
    finish(trainer)
    tester = make(store, "b", start="a" * 16, trains=False)
    assert finish(tester)
    assert tester.result("ap").exists() and not tester.checkpoint.exists()
    figures = [read_json(run.result("ap"))["figures"] for run in (trainer, tester)]
    assert figures[0] == figures[1]


def test_a_cell_that_only_tests_trains_itself_where_nobody_has(store):
    make(store, "a")
    tester = make(store, "b", start="a" * 16, trains=False)
    assert finish(tester)
    assert tester.checkpoint.exists() and tester.result("ap").exists()


def test_trained_in_anothers_place_it_begins_as_that_run_does(store):
    make(store, "s", ["train"])
    make(store, "a", start="s" * 16)
    tester = make(store, "b", start="a" * 16, trains=False)
    with pytest.raises(UserError, match=r"s{16}: the run that this cell starts from"):
        finish(tester)


def test_a_run_without_a_start_run_is_recorded_as_before(store):
    run = make(store, "a")
    assert set(read_json(run.config_path)) == {"schema", "signature", "name", "config", "measure"}
    assert run.start() is None and run.trains()


def test_a_run_that_was_to_test_anothers_weights_trains_where_a_grid_has_it_alone(store):
    tester = make(store, "b", start="a" * 16, trains=False)
    with pytest.raises(UserError, match=r"a{16}.config\.json"):
        finish(tester)
    make(store, "b", ["ap"])
    assert tester.start() is None and tester.trains()
    assert finish(tester) and tester.checkpoint.exists()


def test_repeated_it_comes_with_the_run_that_its_training_begins_with(store):
    make(store, "c", ["train"])
    make(store, "a", start="c" * 16)
    tester = make(store, "b", start="a" * 16, trains=False)
    (cell,) = grid_of_run(tester).cells
    assert cell.start is not None and cell.start.name == "start-" + "c" * 16
    assert cell.trains and cell.start.start is None
