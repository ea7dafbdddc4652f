"""AP of the held-out videos between steps: what the history gets, and what does not change."""

from __future__ import annotations

import pytest

from benchmarks.ap.evaluate import evaluate
from benchmarks.ap.score import heldout_videos, score_while_training
from core.inference.predict import predict_dataset
from core.training.progress import describe
from core.training.train import train
from tests.core.data.image_folders import coco_file, write_coco
from tests.core.training.runs import history, losses, small

NAMES = {"AP", "AP50", "AP75"}

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


def run(folder, *, stop=0, **overrides):
    """A run whose drop path and clips draw random numbers between scores."""
    config = small(train__ema=0.5, data__flip=0.5, **overrides)
    polls = iter(range(1, 100))
    result = train(
        config,
        folder,
        evaluate=score_while_training(config),
        should_stop=lambda: next(polls) == stop,
        progress=False,
    )
    return config, result


@pytest.fixture(scope="module")
def scored(tmp_path_factory, one_thread, own_cache):
    folder = tmp_path_factory.mktemp("scored")
    return folder, *run(folder, train__eval_every=2)


def test_losses_are_the_same_with_and_without(tmp_path, scored):
    run(tmp_path)
    assert losses(tmp_path) == losses(scored[0])
    assert not any("heldout" in line for line in history(tmp_path))


def test_the_history_has_the_figures_of_the_weights_and_of_their_average(scored, tmp_path):
    folder, config, result = scored
    lines = {line["step"]: line for line in history(folder)}
    assert {step for step, line in lines.items() if "heldout" in line} == {2, 4, 6}
    assert set(lines[2]["heldout"]) == set(lines[2]["heldout_ema"]) == NAMES
    heldout = heldout_videos(config)
    for key, weights in (("heldout", "raw"), ("heldout_ema", "ema")):
        tested = small(train__ema=0.5, inference__weights=weights)
        path = predict_dataset(tested, result.checkpoint, heldout, tmp_path / weights)
        figures = evaluate(heldout, path).figures
        assert lines[6][key] == {name: figures[name] for name in NAMES}


def test_a_resumed_run_scores_as_one_that_was_not_interrupted(tmp_path, scored):
    _, first = run(tmp_path, stop=5, train__eval_every=2)  # polled by steps and videos
    assert not first.finished and first.step == 3
    run(tmp_path, train__eval_every=2)
    assert losses(tmp_path) == losses(scored[0])
    scores = [
        [(line["step"], line.get("heldout"), line.get("heldout_ema")) for line in history(f)]
        for f in (tmp_path, scored[0])
    ]
    assert scores[0] == scores[1]


def test_who_is_asked_to_stop_does_not_score_to_the_end(tmp_path):
    """The second poll comes from the first video scored after step 1."""
    _, result = run(tmp_path, stop=2, train__eval_every=1)
    assert result.finished  # as often as it is asked again, it need not stop
    assert [line["step"] for line in history(tmp_path) if "heldout" in line] == [2, 3, 4, 5, 6]
    assert "heldout_ema" in history(tmp_path)[0]


def test_scored_steps_are_logged_though_others_are_not(tmp_path):
    run(tmp_path, train__eval_every=4, train__log_every=5)
    assert [line["step"] for line in history(tmp_path)] == [1, 4, 5, 6]
    assert [line["step"] for line in history(tmp_path) if "heldout" in line] == [4, 6]


def test_images_are_scored_as_images(tmp_path):
    root = write_coco(tmp_path / "coco", coco_file(images=6))
    config, result = run(
        tmp_path, train__eval_every=2, train__steps=2, data__root=str(root), data__clip_length=1
    )
    heldout = heldout_videos(config)
    assert heldout.of_images
    found = evaluate(heldout, predict_dataset(config, result.checkpoint, heldout, tmp_path / "p"))
    assert history(tmp_path)[-1]["heldout"] == {name: found.figures[name] for name in NAMES}


def test_progress_tells_the_ap():
    line = {"losses": {}, "loss": 1.0, "frames_per_s": 2.0, "seconds_left": 3.0}
    line |= {"heldout": {"AP": 0.125}, "heldout_ema": {"AP": None}}
    assert "AP 12.5" in describe(line) and "average" not in describe(line)


def test_nobody_scores_who_is_not_asked():
    assert score_while_training(small()) is None
