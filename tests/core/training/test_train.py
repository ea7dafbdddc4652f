import json
import logging
import signal
import time
from pathlib import Path

import pytest
import torch

from core.config.overrides import override
from core.errors import UserError
from core.inference.predict import load_model
from core.model.tevit import build_model
from core.training.checkpoint import read_file
from core.training.history import append_history
from core.training.progress import training_display
from core.training.setup import check_same_config
from core.training.train import NonFiniteLossError, TrainingRun, train
from core.training.world import World
from tests.conftest import SHARED, need
from tests.core.training.runs import history, losses, small, start

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, own_cache, one_thread):
    """A run without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    result = train(small(), folder, progress=False)
    assert result.finished and result.step == 6
    return folder


def stop_after(steps):
    count = iter(range(1, 1000))
    return lambda: next(count) == steps


# --- what a run leaves ---------------------------------------------------------------------------


def test_history(whole):
    lines = history(whole)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    line = lines[3]
    assert line["steps"] == 6 and line["lr"] > 0 and line["grad_norm"] > 0
    assert line["loss"] == pytest.approx(sum(line["losses"].values()))
    kinds = ("cls", "bbox", "iou", "mask")
    assert set(line["losses"]) == {f"stage{i}_loss_{kind}" for i in range(2) for kind in kinds}
    assert line["frames_per_s"] > 0 and line["seconds_left"] > 0
    assert lines[-1]["seconds_left"] == 0
    assert abs(line["time"] - time.time()) < 600


def test_checkpoint(whole):
    contents = read_file(whole / "checkpoints" / "last.pt")
    assert contents["meta"]["step"] == 6
    assert contents["meta"]["config"] == small().to_dict()
    assert contents["meta"]["category_ids"] == [1, 2, 3] and len(contents["meta"]["classes"]) == 3
    assert read_file(whole / "checkpoints" / "previous.pt")["meta"]["step"] == 4
    model = load_model(small(), whole / "checkpoints" / "last.pt", torch.device("cpu"))
    assert model.state_dict()["neck.fpn_convs.0.conv.weight"].equal(
        contents["state_dict"]["neck.fpn_convs.0.conv.weight"]
    )


def test_split_is_recorded_and_respected(whole):
    split = json.loads((whole / "split.json").read_text())
    assert len(split["train"]) == 5 and len(split["heldout"]) == 1
    run = TrainingRun(small(), whole, World())
    assert {video.id for video in run.dataset.videos} == set(split["train"])


def test_a_finished_run_is_not_trained_again(whole):
    before = history(whole)
    result = train(small(), whole, progress=False)
    assert result.finished and result.step == 6 and history(whole) == before


def test_log_and_checkpoint_intervals(tmp_path):
    config = small(train__log_every=4, train__checkpoint_every=100)
    train(config, tmp_path, progress=False)
    assert [line["step"] for line in history(tmp_path)] == [1, 4, 6]
    assert read_file(tmp_path / "checkpoints" / "last.pt")["meta"]["step"] == 6
    assert not (tmp_path / "checkpoints" / "previous.pt").exists()


# --- resuming ------------------------------------------------------------------------------------


@pytest.mark.versions
def test_a_stopped_and_resumed_run_is_the_same(tmp_path, whole):
    first = train(small(), tmp_path, should_stop=stop_after(3), progress=False)
    assert not first.finished and first.step == 3
    assert read_file(first.checkpoint)["meta"]["step"] == 3
    second = train(small(), tmp_path, progress=False)
    assert second.finished
    assert losses(tmp_path) == losses(whole)
    weights = [read_file(f / "checkpoints" / "last.pt")["state_dict"] for f in (tmp_path, whole)]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[1])


def test_lines_after_the_checkpoint_are_dropped(tmp_path, whole):
    """A killed run wrote history that its checkpoint does not hold, and half a line."""
    train(small(), tmp_path, should_stop=stop_after(2), progress=False)
    for step in (3, 4):
        append_history(tmp_path / "history.jsonl", {"step": step, "loss": -1.0})
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    train(small(), tmp_path, progress=False)
    assert losses(tmp_path) == losses(whole)


def test_a_broken_checkpoint_costs_steps_but_no_bits(tmp_path, whole, caplog):
    train(small(), tmp_path, should_stop=stop_after(5), progress=False)
    last = tmp_path / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    result = train(small(), tmp_path, progress=False)
    assert result.finished and losses(tmp_path) == losses(whole)
    assert "last.pt is broken" in caplog.text


@pytest.mark.slow
def test_killed_and_resumed(tmp_path, whole):
    """kill -9 at whatever it is doing after its third step."""
    process = start(small(), tmp_path)
    path = tmp_path / "history.jsonl"
    while process.poll() is None:
        if path.exists() and len(path.read_text().splitlines()) >= 3:
            process.kill()
        time.sleep(0.002)
    assert process.returncode == -signal.SIGKILL
    assert len(history(tmp_path)) < 6
    assert train(small(), tmp_path, progress=False).finished
    assert losses(tmp_path) == losses(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train.lr": 0.5}, r"train\.lr=0\.5 \(was 0\.001\)"),
        ({"seed": 1}, r"seed=1 \(was 0\)"),
        ({"head.kind": "per_frame"}, r"head\.kind=per_frame \(was stqi\)"),
    ],
)
def test_another_config_is_refused(whole, change, message):
    with pytest.raises(UserError, match=message):
        train(override(small(), change), whole, progress=False)


def test_fields_that_change_nothing_may_change(whole):
    change = {"inference.top_k": 3, "data.workers": 1, "train.log_every": 3}
    assert train(override(small(), change), whole, progress=False).finished


def test_a_run_from_before_a_field_existed_goes_on_with_its_default():
    config = small()
    saved = config.to_dict()
    del saved["data"]["synthetic"]["blinking"]
    check_same_config(config, saved, Path("last.pt"))
    with pytest.raises(UserError, match=r"data.synthetic.blinking=0.5 \(was 0.0\)"):
        check_same_config(small(data__synthetic__blinking=0.5), saved, Path("last.pt"))


def test_a_published_file_is_not_resumed(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    torch.save({"state_dict": {}}, tmp_path / "checkpoints" / "last.pt")
    with pytest.raises(UserError, match=r"not a training checkpoint of ours; set train\.init"):
        train(small(), tmp_path, progress=False)


# --- optimisation --------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_run_and_another_is_not(tmp_path, whole):
    train(small(train__steps=2), tmp_path / "a", progress=False)
    train(small(train__steps=2, seed=1), tmp_path / "b", progress=False)
    a, b = losses(tmp_path / "a"), losses(tmp_path / "b")
    assert a[0][1:3] == losses(whole)[0][1:3]
    assert a[0][1] != b[0][1]


@pytest.mark.slow
def test_overfits_one_clip(tmp_path):
    config = small(
        train__steps=40, train__warmup=5, train__lr=3e-3, data__flip=0.0, backbone__drop_path=0.0,
        data__synthetic__videos=2, train__clips=1, data__clip_length=4,
        data__clip_order="sorted",
    )  # fmt: skip
    train(config, tmp_path, progress=False)
    lines = history(tmp_path)
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]


def test_accumulation_sees_the_clips_of_a_larger_batch(tmp_path):
    seen = []

    def record(config, folder):
        run = TrainingRun(config, folder, World())
        videos = [[t.video_id for _, ts in batches for t in ts] for batches in run.batches()]
        seen.append(videos)

    record(small(train__clips=4), tmp_path / "a")
    record(small(train__clips=4, train__accumulate=2), tmp_path / "b")
    assert seen[0] == seen[1] and all(len(step) == 4 for step in seen[0])


def test_clips_that_do_not_divide_among_the_processes_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"train.clips=4 .* 3 processes .* multiple of 3"):
        TrainingRun(small(train__clips=4), tmp_path, World(size=3))
    with pytest.raises(UserError, match=r"train.clips=3 .* train.accumulate=2"):
        small(train__clips=3, train__accumulate=2)


def gradients(config, folder, forwards):
    run = TrainingRun(config, folder, World())
    batches = next(run.batches())
    assert len(batches) == forwards
    for i, (frames, targets) in enumerate(batches):
        run._forward_backward((frames, targets), last=i == forwards - 1)
    return {n: p.grad for n, p in run.model.named_parameters() if p.grad is not None}


def test_accumulated_gradients_are_means(tmp_path):
    """Two forward passes over the same clip give the gradient of one."""
    config = small(
        train__clips=1, data__synthetic__videos=2, data__flip=0.0, backbone__drop_path=0.0,
        data__clip_length=4, data__clip_order="sorted",
    )  # fmt: skip
    one = gradients(config, tmp_path / "a", 1)
    two = gradients(override(config, {"train.accumulate": 2, "train.clips": 2}), tmp_path / "b", 2)
    assert one.keys() == two.keys()
    for name, gradient in one.items():
        torch.testing.assert_close(
            two[name], gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max())
        )


@pytest.mark.parametrize(
    "switch",
    [
        {},
        {"head.kind": "per_frame"},
        {"head.kind": "stqi_unshared"},
        {"messenger.tokens": 0},
        {"messenger.shift": False},
        {"messenger.stages": [1, 2]},
        {"messenger.stages": [3, 4]},
        {"messenger.stages": [4]},
        {"head.mask_convs": 0},
        {"messenger.tokens": 0, "backbone.name": "resnet50"},
        {"messenger.tokens": 0, "backbone.name": "swin_t", "backbone.width": 24},
        {"messenger.tokens": 0, "backbone.name": "resnet50", "backbone.frozen_stages": 1},
    ],
)
def test_every_trained_parameter_reaches_a_loss(tmp_path, switch):
    """Several processes would fail in their second step if one did not."""
    run = TrainingRun(override(small(), switch), tmp_path, World())
    ((frames, targets),) = next(run.batches())
    run._forward_backward((frames, targets), last=True)
    missing = [n for n, p in run.model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


def test_gradients_are_clipped(tmp_path, monkeypatch):
    """With a tiny norm nothing but decay moves the weights far."""
    run = TrainingRun(small(train__clip_norm=1e-3), tmp_path, World())
    norms = []
    step = run.optimizer.step
    monkeypatch.setattr(
        run.optimizer,
        "step",
        lambda: (
            norms.append(
                torch.stack(
                    [p.grad.norm() for p in run.model.parameters() if p.grad is not None]
                ).norm()
            ),
            step(),
        ),
    )
    _, norm = run.take_step(next(run.batches()))
    assert norm > 1 and float(norms[0]) == pytest.approx(1e-3, rel=1e-3)


def test_bf16_keeps_weights_and_losses_in_fp32(tmp_path):
    run = TrainingRun(small(train__precision="bf16"), tmp_path / "a", World())
    outputs = run._forward_backward(next(run.batches())[0], last=True)
    assert {value.dtype for value in outputs.values()} == {torch.float32}
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
    full = TrainingRun(small(), tmp_path / "b", World())
    exact = full._forward_backward(next(full.batches())[0], last=True)
    total, expected = (float(sum(v.detach() for v in o.values())) for o in (outputs, exact))
    assert total != expected and total == pytest.approx(expected, rel=0.2)


def test_frozen_stages_stay(tmp_path):
    config = small(backbone__frozen_stages=1, train__steps=2)
    run = TrainingRun(config, tmp_path, World())
    before = {n: p.clone() for n, p in run.model.state_dict().items()}
    run.train(lambda: False, progress=False)
    changed = {n for n, p in run.model.state_dict().items() if not p.equal(before[n])}
    assert not any(n.startswith("backbone.layers.0.") for n in changed)
    assert any(n.startswith("backbone.layers.1.") for n in changed)


@pytest.mark.shared
def test_real_video(tmp_path):
    """From the folder to an AP: human masks, other sizes and classes than the generated data."""
    from benchmarks.ap.evaluate import evaluate
    from core.data.split import make_split
    from core.data.youtube_vis import load_dataset
    from core.inference.predict import predict_dataset

    root = need(SHARED / "data" / "davis16_tiny")
    config = small(data__root=str(root), head__classes=7, train__steps=2, data__holdout=0.12)
    result = train(config, tmp_path, progress=False)
    dataset = load_dataset(config.data)
    heldout = dataset.subset(make_split(dataset, config.data).heldout)
    out = predict_dataset(config, result.checkpoint, heldout, tmp_path / "r.json", progress=False)
    scored = evaluate(heldout, out)
    assert scored.videos == 1 and scored.instances == 1 and scored.tracks == 10
    assert 0 <= scored.figures["AP"] <= 1


# --- weights to start from -----------------------------------------------------------------------


def test_initial_weights(tmp_path, whole, caplog):
    path = whole / "checkpoints" / "last.pt"
    config = small(train__init=str(path), head__ffn_channels=16)
    with caplog.at_level(logging.INFO):
        run = TrainingRun(config, tmp_path, World())
    name = "roi_head.bbox_head.0.fc_cls.weight"
    assert run.model.state_dict()[name].equal(read_file(path)["state_dict"][name])
    assert run.step == 0
    assert (
        "of another shape, skipped" in caplog.text and "ffn.layers.0.0.weight (32x16" in caplog.text
    )


def test_pretrained_backbone(tmp_path, whole, caplog):
    path = whole / "checkpoints" / "last.pt"
    with caplog.at_level(logging.INFO):
        run = TrainingRun(small(backbone__pretrained=str(path)), tmp_path, World())
    state, theirs = run.model.state_dict(), read_file(path)["state_dict"]
    for name in state:
        if name.startswith("backbone."):
            assert state[name].equal(theirs[name])
    assert "of the model's tensors loaded" in caplog.text
    fresh = build_model(small()).state_dict()["neck.fpn_convs.0.conv.weight"]
    assert state["neck.fpn_convs.0.conv.weight"].shape == fresh.shape


def test_too_few_classes(tmp_path):
    with pytest.raises(
        UserError, match=r"head\.classes=2, but .* has 3 classes: set head\.classes=3"
    ):
        train(small(head__classes=2), tmp_path, progress=False)


def test_more_classes_than_the_data_have(tmp_path, caplog):
    TrainingRun(small(head__classes=5), tmp_path, World())
    assert "head.classes=5, but the data have 3" in caplog.text


# --- losses that are no numbers ------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
    run = TrainingRun(small(), tmp_path, World())
    batches = run.batches

    def poisoned():
        for k, step in enumerate(batches()):
            if k == 3:
                before.update({n: p.clone() for n, p in run.model.state_dict().items()})
                head = run.model.config.head.model_copy(update={"l1_weight": float("inf")})
                run.model.config = run.model.config.model_copy(update={"head": head})
                videos.extend(t.video_id for _, targets in step for t in targets)
            yield step

    before, videos = {}, []
    monkeypatch.setattr(run, "batches", poisoned)
    with pytest.raises(NonFiniteLossError) as caught:
        run.train(lambda: False, progress=False)
    message = str(caught.value)
    assert "step 4: stage0_loss_bbox, stage1_loss_bbox is not finite" in message
    assert f"videos {', '.join(map(str, sorted(set(videos))))};" in message
    assert f"last good checkpoint: {tmp_path / 'checkpoints' / 'last.pt'}" in message
    assert [line["step"] for line in history(tmp_path)] == [1, 2, 3]
    weights = dict(run.model.named_parameters())
    assert all(p.equal(before[n]) for n, p in weights.items())
    assert all(p.isfinite().all() for p in weights.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_frames_that_are_no_numbers_stop_the_run(tmp_path, value):
    run = TrainingRun(small(), tmp_path, World())
    ((frames, targets),) = next(run.batches())
    frames[0, 0, 0, 0, 0] = value
    with pytest.raises(NonFiniteLossError, match=r"step 1: .*none, the run had not saved one"):
        run.take_step([(frames, targets)])


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path):
    run = TrainingRun(small(), tmp_path, World())
    batches = next(run.batches())
    run.model.neck.fpn_convs[0].conv.bias.register_hook(lambda g: g * float("nan"))
    with pytest.raises(NonFiniteLossError, match="step 1: the gradient is not finite"):
        run.take_step(batches)


# --- what people see -----------------------------------------------------------------------------


def line(step, steps=100):
    losses = {"stage0_loss_cls": 1.0, "stage1_loss_cls": 0.5, "stage0_loss_mask": 3.0}
    return {
        "step": step, "steps": steps, "loss": 4.5, "losses": losses,
        "frames_per_s": 12.34, "seconds_left": 3723.4,
    }  # fmt: skip


def test_lines_in_a_log_come_at_a_modest_rate(caplog):
    with caplog.at_level(logging.INFO), training_display(True, 0, 100) as display:
        for step in range(1, 101):
            display.show(line(step))
    assert [r.getMessage().split("  ")[0] for r in caplog.records] == ["step 1/100", "step 100/100"]
    text = caplog.records[0].getMessage()
    assert "loss 4.50 (cls 1.50  mask 3.00)  12.3 frames/s  1:02:03 left" in text


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    with training_display(True, 10, 100) as display:
        display.show(line(50))
    text = capsys.readouterr().err
    assert "50/100" in text and "12.3 frames/s" in text and "1:02:03 left" in text


def test_silence(caplog, capsys):
    with caplog.at_level(logging.INFO), training_display(False, 0, 100) as display:
        display.show(line(1))
    assert not caplog.records and capsys.readouterr().err == ""
