import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from cli import app
from core.config.schema import DataConfig, SyntheticConfig
from core.data.check import examine
from core.data.clips import ClipDataset
from core.data.rle import decode
from core.data.split import make_split
from core.data.synthetic import dataset as synthetic
from core.data.synthetic.dataset import generate, synthetic_folder
from core.data.synthetic.paint import Painter
from core.data.synthetic.scene import class_names, draw_scene, hidden_frames
from core.data.youtube_vis import load_dataset
from core.errors import UserError
from tests.core.data.oracles import (
    best_ap,
    centres,
    colour_tracks,
    per_frame_identity,
    read_tracks,
    recalled,
    temporal_identity,
)


def made(folder, **dials):
    generate(SyntheticConfig(**dials), folder)
    return json.loads((folder / "instances.json").read_text())


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Forty videos with all dials at zero."""
    folder = tmp_path_factory.mktemp("synthetic") / "plain"
    made(folder, videos=40)
    return folder


@pytest.fixture(scope="module")
def hidden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "hidden"
    made(folder, videos=40, hidden=0.75, travel=1.5)
    return folder


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "alike"
    made(folder, videos=40, lookalikes=1, travel=1.5)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEVIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# --- what is in it ---


def test_it_is_a_sound_dataset_of_some_kilobytes_a_video(plain):
    assert examine(plain).faults == []
    sizes = [len(content) for content in files(plain).values()]
    assert sum(sizes) / 40 < 100_000


def test_two_to_six_instances_of_three_classes(plain):
    raw = json.loads((plain / "instances.json").read_text())
    assert [c["name"] for c in raw["categories"]] == ["striped", "spotted", "ringed"]
    tracks = raw["annotations"]
    counts = np.bincount([track["video_id"] for track in tracks], minlength=41)[1:]
    assert (counts.min(), counts.max()) == (2, 6)
    shares = np.bincount([track["category_id"] for track in tracks])[1:] / len(tracks)
    assert shares.min() > 0.2


def test_instances_move_turn_scale_leave_and_cover_each_other(plain):
    raw = json.loads((plain / "instances.json").read_text())
    absent = [None in track["segmentations"] for track in raw["annotations"]]
    assert 0.05 < np.mean(absent) < 0.3
    areas = [[a for a in track["areas"] if a] for track in raw["annotations"]]
    assert np.median([max(a) / min(a) for a in areas]) > 1.3
    assert np.median(np.concatenate(areas)) > 150  # of 64 x 96: not minuscule
    scenes = [draw_scene(SyntheticConfig(), video) for video in range(1, 41)]
    actors = [actor for scene in scenes for actor in scene.actors]
    moved = [np.ptp(actor.centre, axis=0).max() for actor in actors]
    assert np.quantile(moved, 0.1) > 64 / 10  # pixels: nearly all by a tenth of the height
    assert np.mean([np.ptp(actor.angle) for actor in actors]) > 0.3
    touching = [_touch(scene) for scene in scenes]
    assert 0.15 < np.mean(touching) < 0.7


def _touch(scene):
    """Whether some actor hides a tenth of another at some time."""
    painter = Painter(scene)
    full = np.array([[(d.coverage >= 0.5).sum() for d in frame] for frame in painter.drawn]).T
    shown = painter.masks().sum((2, 3))
    return bool(((shown > 0) & (shown < 0.9 * full)).any())


def test_masks_are_where_the_colours_are(plain):
    """Instances are more colourful or lighter than any background."""
    raw = json.loads((plain / "instances.json").read_text())
    for video in raw["videos"][:5]:
        tracks = [a for a in raw["annotations"] if a["video_id"] == video["id"]]
        for t, name in enumerate(video["file_names"]):
            image = np.asarray(Image.open(plain / "JPEGImages" / name)).astype(float)
            vivid = np.ptp(image, axis=2)
            union = np.zeros(vivid.shape, bool)
            for track in tracks:
                if track["segmentations"][t] is not None:
                    union |= decode(track["segmentations"][t])
            assert vivid[union].mean() > 2 * vivid[~union].mean()


def test_every_instance_shows_in_two_frames(plain, alike):
    for folder in (plain, alike):
        for track in json.loads((folder / "instances.json").read_text())["annotations"]:
            assert sum(s is not None for s in track["segmentations"]) >= 2


def test_it_loads_splits_and_gives_clips(plain):
    data = DataConfig(root=str(plain), train_sizes=((96, 64),), clip_length=3, workers=0)
    dataset = load_dataset(data)
    split = make_split(dataset, data)
    assert len(split.heldout) == 8
    for side in (split.train, split.heldout):
        assert {t.category_id for t in dataset.subset(side).tracks} == {1, 2, 3}
    frames, targets = ClipDataset(dataset, data, seed=0)[0]
    assert frames.shape == (3, 3, 64, 96)
    assert targets.masks.any()


@settings(max_examples=12)
@given(
    frames=st.sampled_from([1, 2, 5, 20]),
    size=st.sampled_from([(64, 96), (32, 32), (96, 64), (100, 170)]),
    dials=st.fixed_dictionaries(
        {"hidden": st.floats(0, 1), "lookalikes": st.floats(0, 1), "motion_classes": st.booleans()}
    ),
)
def test_any_size_and_length(frames, size, dials, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any") / "set"
    raw = made(folder, videos=2, frames=frames, size=size, **dials)
    assert examine(folder).faults == []
    assert all(len(video["file_names"]) == frames for video in raw["videos"])


# --- determinism ---


def test_the_same_config_gives_the_same_files(tmp_path):
    made(tmp_path / "a", videos=3, hidden=0.5)
    made(tmp_path / "b", videos=3, hidden=0.5)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_more_videos_leave_the_first_ones_as_they_are(tmp_path):
    few, many = made(tmp_path / "few", videos=2), made(tmp_path / "many", videos=4)
    assert many["videos"][:2] == few["videos"]
    assert many["annotations"][: len(few["annotations"])] == few["annotations"]


def test_another_seed_gives_other_videos(tmp_path):
    first, second = made(tmp_path / "a", videos=2), made(tmp_path / "b", videos=2, seed=1)
    assert first["annotations"] != second["annotations"]


# --- the dials ---


def masks_of(folder):
    raw = json.loads((folder / "instances.json").read_text())
    return [(t["id"], t["category_id"], t["segmentations"]) for t in raw["annotations"]]


def test_hiding_changes_pixels_but_no_mask_and_no_class(tmp_path, hidden):
    made(tmp_path / "shown", videos=10, travel=1.5)
    masks = masks_of(tmp_path / "shown")
    assert masks == masks_of(hidden)[: len(masks)]
    images, others = files(tmp_path / "shown"), files(hidden)
    images = {name: image for name, image in images.items() if name.suffix == ".jpg"}
    assert len(images) == 80
    assert any(image != others[name] for name, image in images.items())


def test_travel_changes_where_instances_go_and_not_how_they_look():
    near, far = (draw_scene(SyntheticConfig(travel=share), 3) for share in (0.2, 1.5))
    assert [a.look for a in near.actors] == [a.look for a in far.actors]
    turned = [np.ptp(np.stack([a.centre for a in s.actors]), axis=1).mean() for s in (near, far)]
    assert turned[0] < turned[1]


def test_the_asked_share_is_hidden_and_one_frame_always_shows(hidden):
    raw = json.loads((hidden / "instances.json").read_text())
    evident = [[e for e in track["evident"] if e is not None] for track in raw["annotations"]]
    assert all(any(frames) for frames in evident)
    assert 1 - np.mean(np.concatenate(evident)) == pytest.approx(0.75, abs=0.03)
    for track in raw["annotations"]:
        absent = [s is None for s in track["segmentations"]]
        assert absent == [e is None for e in track["evident"]]


@given(
    visible=st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_a_higher_share_hides_more_frames_and_never_others(visible, shares):
    scene = draw_scene(SyntheticConfig(), 1)
    few, many = (hidden_frames(scene, np.array([visible]), share)[0] for share in shares)
    assert set(few) <= set(many)
    shown = [t for t, pixels in enumerate(visible) if pixels]
    assert set(many) < set(shown)
    clearest = max(visible)
    assert any(visible[t] == clearest for t in set(shown) - set(many))
    assert len(many) == min(round(shares[1] * len(shown)), len(shown) - 1)


def test_a_hidden_instance_is_grey_and_tells_nothing():
    """Painted hidden, two actors of other hue and pattern cannot be told apart."""
    scene = draw_scene(SyntheticConfig(), 2)
    painter = Painter(scene)
    everyone = range(len(scene.actors))
    image = painter.paint(0, list(everyone)).astype(float)
    union = painter.masks()[:, 0].any(0)
    assert np.ptp(image, axis=2)[union].mean() < 20
    drawn = painter.drawn[0][0]
    neutral = drawn.colours(None)
    assert np.allclose(neutral[..., 0], neutral[..., 2])


def test_look_alikes_share_look_and_class(alike):
    raw = json.loads((alike / "instances.json").read_text())
    assert all(video["lookalikes"] for video in raw["videos"])
    for video in range(1, 41):
        scene = draw_scene(SyntheticConfig(lookalikes=1), video)
        assert len({actor.look for actor in scene.actors}) == 1
        classes = {t["category_id"] for t in raw["annotations"] if t["video_id"] == video}
        assert len(classes) == 1


def test_the_share_of_look_alike_videos_only_adds():
    def chosen(share):
        config = SyntheticConfig(lookalikes=share)
        return {v for v in range(1, 201) if draw_scene(config, v).lookalikes}

    assert chosen(0.0) == set()
    assert chosen(0.3) < chosen(0.6) < chosen(1.0) == set(range(1, 201))
    assert len(chosen(0.3)) == pytest.approx(60, abs=20)


def test_without_look_alikes_hues_differ():
    for video in range(1, 41):
        hues = sorted(actor.look.hue for actor in draw_scene(SyntheticConfig(), video).actors)
        gaps = np.diff([*hues, hues[0] + 1])
        assert gaps.min() > 0.08


def test_motion_classes_differ_by_motion_alone(tmp_path):
    raw = made(tmp_path / "set", videos=30, motion_classes=True)
    assert [c["name"] for c in raw["categories"]] == ["still", "moving", "pulsating"]
    config = SyntheticConfig(motion_classes=True)
    actors = [a for v in range(1, 201) for a in draw_scene(config, v).actors]
    by_class = [[a for a in actors if a.label == label] for label in range(3)]
    moved = [np.array([np.ptp(a.centre, axis=0).max() for a in group]) for group in by_class]
    scaled = [np.array([np.ptp(a.scale) for a in group]) for group in by_class]
    assert moved[0].max() == moved[2].max() == 0
    assert scaled[0].max() == scaled[1].max() == 0
    assert np.quantile(moved[1], 0.05) > 5
    assert np.quantile(scaled[2], 0.05) > 0.3
    # no look tells a class: patterns are as frequent in each of them
    table = np.zeros((3, 3))
    for actor in actors:
        table[actor.label, actor.look.pattern] += 1
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    assert ((table - expected) ** 2 / expected).sum() < 18.5  # chi-square of 4, p = 0.001


@pytest.fixture(scope="module")
def blinking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "blinking"
    made(folder, videos=80, blinking=1)
    return folder


@pytest.fixture(scope="module")
def lit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "lit"
    made(folder, videos=160, size=(32, 48), light=1)
    return folder


def pixels_of(folder):
    """Per track: its annotation, and the mean colour inside its mask, and of the whole frame."""
    raw = json.loads((folder / "instances.json").read_text())
    for video in raw["videos"][:12]:
        files = [folder / "JPEGImages" / name for name in video["file_names"]]
        images = [np.asarray(Image.open(file)).astype(float) for file in files]
        for track in (a for a in raw["annotations"] if a["video_id"] == video["id"]):
            for image, rle, colour in zip(
                images, track["segmentations"], track["colours"], strict=True
            ):
                if rle is not None:
                    yield colour, image[decode(rle)].mean(0), image.mean((0, 1))


def test_blinking_leaves_masks_and_shows_red_or_blue(plain, blinking):
    masks = [m[2] for m in masks_of(plain)]
    assert masks == [m[2] for m in masks_of(blinking)][: len(masks)]
    for blue, (red_channel, _, blue_channel), _ in pixels_of(blinking):
        assert (blue_channel > red_channel) == bool(blue)


def test_the_light_tints_the_whole_frame(lit):
    for green, _, (red_channel, green_channel, _) in pixels_of(lit):
        assert (green_channel > red_channel) == bool(green)


@pytest.mark.parametrize("dial", ["blinking", "light"])
def test_alternating_colours_have_half_of_the_frames_each(dial, blinking, lit):
    tracks = list(colour_tracks(blinking if dial == "blinking" else lit))
    names = class_names(SyntheticConfig(**{dial: 1}))
    steady = [{0}, {1}]
    for label, _, shown in tracks:
        if label != names[2]:
            assert set(shown) == steady[names.index(label)]
        elif dial == "blinking":  # of the frames that show the instance
            assert abs(2 * sum(shown) - len(shown)) <= 1
        elif len(shown) == 8:
            assert sum(shown) == 4
    assert min(sum(label == name for label, _, _ in tracks) for name in names) > 50


def test_the_light_is_the_class_of_every_instance(lit):
    raw = json.loads((lit / "instances.json").read_text())
    by_video = {}
    for track in raw["annotations"]:
        by_video.setdefault(track["video_id"], set()).add(track["category_id"])
    assert all(len(classes) == 1 for classes in by_video.values())


def test_a_share_of_the_videos_adds_three_classes(tmp_path):
    raw = made(tmp_path / "mixed", videos=30, size=(32, 48), blinking=0.3, light=0.3)
    names = [c["name"] for c in raw["categories"]]
    assert names == [
        *("striped", "spotted", "ringed"),
        *("steady red", "steady blue", "blinking"),
        *("amber light", "green light", "alternating light"),
    ]
    assert {t["category_id"] for t in raw["annotations"]} == set(range(1, 10))
    plain = made(tmp_path / "plain", videos=30, size=(32, 48))
    kept = [t for t in raw["annotations"] if t["category_id"] <= 3]
    assert all(t in plain["annotations"] for t in kept)
    assert class_names(SyntheticConfig(blinking=0.4, light=0.6)) == tuple(names[3:])


@pytest.mark.parametrize("dial", ["blinking", "light"])
def test_a_higher_dial_only_adds_videos(dial):
    def chosen(share):
        config = SyntheticConfig(size=(32, 48), **{dial: share})
        return {v for v in range(1, 101) if draw_scene(config, v).kind == dial}

    assert chosen(0.0) == set()
    assert chosen(0.3) < chosen(0.6) < chosen(1.0) == set(range(1, 101))


def test_look_alikes_blink_alike():
    config = SyntheticConfig(blinking=1, lookalikes=1)
    labels = [{a.label for a in draw_scene(config, v).actors} for v in range(1, 21)]
    assert set(map(len, labels)) == {1}
    assert set.union(*labels) == {0, 1, 2}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"blinking": 0.7, "light": 0.7}, "together they are at most 1"),
        ({"blinking": 1, "motion_classes": True}, "both say what the classes are"),
        ({"light": 0.5, "motion_classes": True}, "data.synthetic.light=0.5"),
        ({"light": 0.5, "frames": 1}, "needs videos of two frames or more"),
        ({"blinking": 0.5, "hidden": 0.5}, "paints over the colours"),
        ({"blinking": 1.5}, "less than or equal to 1"),
    ],
)
def test_dials_that_contradict_each_other_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SyntheticConfig(**fields)


def test_what_was_made_before_these_dials_keeps_its_name_and_record(tmp_path):
    record = made(tmp_path / "set", videos=2)["info"]
    assert record["generator"] == 6
    assert list(record["config"]) == [
        *("videos", "frames", "size", "seed", "travel", "hidden", "lookalikes", "motion_classes")
    ]
    assert synthetic.generated_from(SyntheticConfig(light=1))["light"] == 1


# --- what the dials do to a head that sees single frames, by construction ---


def test_single_frames_do_not_tell_blinking(blinking):
    single, all_frames = best_ap(blinking, 1), best_ap(blinking, None)
    assert single["steady red"] == single["steady blue"] == 1
    # an average over frames lies between those of the two steady classes: one always ranks higher
    assert single["blinking"] < 0.6
    assert set(all_frames.values()) == {1.0}


def test_single_frames_do_not_tell_an_alternating_light(lit):
    single, all_frames = best_ap(lit, 1), best_ap(lit, None)
    assert single["alternating light"] < 0.65
    # instances that leave may be seen in one of the two lights alone
    assert min(all_frames.values()) > 0.95


def test_with_the_dials_at_zero_single_frames_suffice(plain):
    assert recalled(plain, per_frame_identity) == 1
    assert recalled(plain, temporal_identity) == 1


def test_hidden_looks_cost_a_per_frame_head_its_tracks(hidden):
    assert recalled(hidden, per_frame_identity) < 0.55
    assert recalled(hidden, temporal_identity) > 0.9


def test_look_alikes_cost_a_per_frame_head_its_tracks(alike):
    assert recalled(alike, per_frame_identity) < 0.2
    assert recalled(alike, temporal_identity) > 0.9


def test_the_cost_rises_with_the_dial(plain, hidden, tmp_path):
    recall = [recalled(plain, per_frame_identity)]
    for share in (0.5, 0.9):
        made(tmp_path / str(share), videos=20, hidden=share, travel=1.5)
        recall.append(recalled(tmp_path / str(share), per_frame_identity))
    recall.insert(2, recalled(hidden, per_frame_identity))
    assert recall == sorted(recall, reverse=True)
    assert recall[-1] < 0.35


def test_neighbours_in_time_are_nearest(plain):
    """What a temporal head can use: from frame to frame, the nearest mask mostly is the same."""
    right = []
    for masks, _ in read_tracks(plain):
        place = centres(masks)
        for t in range(place.shape[1] - 1):
            both = ~np.isnan(place[:, t : t + 2]).any((1, 2))
            gaps = np.linalg.norm(place[both, t][:, None] - place[both, t + 1][None], axis=-1)
            right += (gaps.argmin(1) == np.arange(both.sum())).tolist()
    assert np.mean(right) > 0.95


# --- the cache ---


def test_generated_once_and_kept(cache, monkeypatch):
    config = SyntheticConfig(videos=2)
    folder = synthetic_folder(config)
    assert folder.parent == cache
    before = (folder / "instances.json").stat().st_mtime_ns
    assert synthetic_folder(config) == folder
    assert (folder / "instances.json").stat().st_mtime_ns == before
    assert synthetic_folder(SyntheticConfig(videos=2, hidden=0.5)) != folder
    monkeypatch.setattr(synthetic, "_RECORDED_VERSION", 10_000)
    assert synthetic_folder(config) != folder


def test_the_root_synthetic_is_the_cached_set(cache):
    dataset = load_dataset(DataConfig(synthetic=SyntheticConfig(videos=2)))
    assert (dataset.name, len(dataset.videos)) == ("synthetic", 2)
    assert dataset.annotations_path.is_relative_to(cache)


def _generate_and_count(config, counter):
    inner = synthetic.generate

    def counted(*arguments):
        with counter.get_lock():
            counter.value += 1
        inner(*arguments)

    synthetic.generate = counted
    assert len(load_dataset(DataConfig(synthetic=config)).videos) == config.videos


def test_two_processes_at_once(cache):
    context = multiprocessing.get_context("fork")
    counter = context.Value("i", 0)
    config = SyntheticConfig(videos=4)
    both = [context.Process(target=_generate_and_count, args=(config, counter)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert counter.value == 1
    assert not list(cache.glob(".*.tmp"))


def test_a_killed_generation_leaves_no_dataset_and_is_swept(cache):
    config = SyntheticConfig(videos=500)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=synthetic_folder, args=(config,))
    process.start()
    while not (drafts := list(cache.glob(".synthetic-*.tmp/JPEGImages/*"))):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not list(cache.glob("synthetic-*/"))
    # the next one starts anew; what is left of the first goes once it is surely nobody's
    draft = drafts[0].parents[1]
    synthetic_folder(SyntheticConfig(videos=2))
    assert draft.exists()
    os.utime(draft, (0, 0))
    synthetic_folder(SyntheticConfig(videos=3))
    assert not draft.exists()


def test_a_failed_generation_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        generate(SyntheticConfig(videos=2), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="exists already; choose a folder that does not"):
        generate(SyntheticConfig(videos=2), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


# --- the commands ---


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_make_synthetic_then_check_then_split(tmp_path):
    out, split = tmp_path / "set", tmp_path / "split.json"
    result = run("make", "synthetic", out, "videos=10", "hidden=0.5", "size=[32, 48]")
    assert result.exit_code == 0, result.output
    assert "10 videos, 80 frames" in result.stdout
    assert run("check", out).exit_code == 0
    result = run("split", out, "--holdout", "0.3", "--out", split, "--seed", "4")
    assert result.exit_code == 0, result.output
    assert "7 videos to train on, 3 held out" in result.stdout
    recorded = json.loads(split.read_text())
    assert len(recorded["heldout"]) == 3
    data = DataConfig(root=str(out), split_file=split)
    assert make_split(load_dataset(data), data).heldout == tuple(recorded["heldout"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make", "synthetic", "OUT", "colour=red"], "unknown field data.synthetic.colour"),
        (["make", "synthetic", "OUT", "hidden=2"], "data.synthetic.hidden"),
        (["make", "synthetic", "OUT", "hidden"], "expected field=value"),
        (["split", "OUT"], "no such folder or file"),
        (["split", "OUT", "--holdout", "1.5"], "--holdout 1.5: it must lie between 0 and 1"),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, message):
    result = run(*(str(tmp_path / "out") if a == "OUT" else a for a in arguments))
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()
