import gc

import torch
from PIL import Image

from benchmarks.workloads.tevit import tevit_workload
from benchmarks.workloads.video_files import VideoFiles, frame_image
from benchmarks.workloads.workload import ClipShape
from core import build_model, preset

CPU = torch.device("cpu")
SHAPE = ClipShape(2, 64, 96, video_height=48, video_width=72)


def workload(shape=SHAPE, overrides=None, **options):
    return tevit_workload(preset("tiny", overrides or {}), shape, CPU, name="tiny", **options)


def test_the_three_scopes_see_the_same_frames_and_sizes():
    one = workload()
    assert one.frames.shape == (1, 2, 3, 64, 96)
    (found,) = one.detect()
    assert found.frame_size == (64, 96)
    (instances,) = one.segment()
    assert instances.masks.shape == (10, 2, 48, 72)
    tracks = one.end_to_end()
    assert len(tracks) == 10 and len(tracks[0]["segmentations"]) == one.video_frames == 2
    sizes = {tuple(rle["size"]) for t in tracks for rle in t["segmentations"] if rle}
    assert sizes <= {(48, 72)}


def test_clips_of_a_batch_are_separate():
    assert len(workload(ClipShape(2, 64, 96, batch=3)).detect()) == 3


def test_weights_and_frames_are_reproducible():
    (a,), (b,) = workload().detect(), workload().detect()
    assert torch.equal(a.scores, b.scores) and torch.equal(a.mask_logits, b.mask_logits)


def test_a_checkpoints_weights_are_used_and_named(tmp_path):
    config = preset("tiny")
    torch.manual_seed(99)
    model = build_model(config)
    path = tmp_path / "last.pt"
    torch.save({"model": model.state_dict()}, path)
    one = workload(checkpoint=path)
    assert torch.equal(one.model.neck.state_dict()["lateral_convs.0.conv.weight"],
                       model.neck.state_dict()["lateral_convs.0.conv.weight"])  # fmt: skip
    assert one.facts["weights"] == str(path)


def test_near_online_counts_each_frame_of_the_video_once():
    one = workload(
        overrides={"inference.mode": "near_online", "inference.stride": 1,
                   "inference.clip_length": 9}
    )  # fmt: skip
    # three clips of two frames, one apart, show four frames
    assert one.video_frames == 4
    assert len(one.end_to_end()[0]["segmentations"]) == 4


def test_bf16_runs_in_mixed_precision():
    one = workload(overrides={"inference.precision": "bf16"})
    (found,) = one.detect()
    assert one.facts["precision"] == "bf16"
    assert torch.isfinite(found.scores.float()).all()
    (exact,) = workload().detect()
    assert not torch.equal(exact.scores, found.scores.float())


def test_compiled_all_scopes_run_the_compiled_model(monkeypatch):
    calls = []

    def compile(function):
        return lambda *args: calls.append(1) or function(*args)

    monkeypatch.setattr(torch, "compile", compile)
    one = workload(compiled=True)
    for number, scope in enumerate((one.detect, one.segment, one.end_to_end), start=1):
        scope()
        assert len(calls) == number
    one.traceable(one.frames)  # operators are counted in the model as written
    assert len(calls) == 3 and one.facts["compile"]


def test_image_files_are_jpegs_of_the_videos_size_and_go_away():
    files = VideoFiles(3, (48, 72))
    paths = files.video.files
    assert len(paths) == files.video.length == 3
    with Image.open(paths[0]) as image:
        assert image.format == "JPEG" and image.size == (72, 48)
    assert (files.video.height, files.video.width) == (48, 72)
    del files
    gc.collect()
    assert not paths[0].exists()


def test_frames_differ_but_are_the_same_each_time():
    assert frame_image(0, (48, 72)).tobytes() == frame_image(0, (48, 72)).tobytes()
    assert frame_image(0, (48, 72)).tobytes() != frame_image(1, (48, 72)).tobytes()


def test_files_weigh_about_what_a_datasets_do():
    """A 1280x720 frame of YouTube-VIS is about 100 to 250 kB."""
    files = VideoFiles(1, (720, 1280))
    assert 80_000 < files.video.files[0].stat().st_size < 300_000
