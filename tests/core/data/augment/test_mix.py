"""Several datasets in one run: exact shares, classes by name, seeds and resuming as for one."""

import json
import logging
from collections import Counter

import pytest

from core.config.presets import preset
from core.config.schema import DataConfig
from core.data.clips import ClipDataset
from core.data.convert.formats import convert
from core.data.loader import BLOCK, MixedClips, make_loader, training_clips
from core.data.split import Split, write_split
from core.data.youtube_vis import load_folder
from core.errors import UserError
from core.training.train import train
from core.training.trial import try_step
from tests.core.data.folders import annotation_file, write_folder
from tests.core.data.image_folders import coco_file, write_coco

DATA = DataConfig(clip_length=2, train_sizes=((30, 20),), train_resize="choice", workers=0)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    videos = write_folder(tmp_path_factory.mktemp("videos"), annotation_file(5, 4))
    raw = coco_file(7)
    raw["categories"] = [{"id": 1, "name": "DOG"}, {"id": 18, "name": "kite"}]
    return videos, write_coco(tmp_path_factory.mktemp("images"), raw)


def mixed(roots, share=0.3, seed=0, **values):
    data = DATA.model_copy(update={"mix": ((str(roots[1]), share),), **values})
    return training_clips(load_folder(roots[0]), data, seed)


def test_shares_are_exact_and_each_video_comes_once_an_epoch(roots):
    clips, datasets = mixed(roots)
    assert isinstance(clips, MixedClips) and len(datasets) == 2
    places = [clips.place(k) for k in range(2 * BLOCK)]
    assert Counter(part for part, _ in places) == {0: 1400, 1: 600}
    for part in (0, 1):
        numbers = [number for found, number in places if found == part]
        assert numbers == list(range(len(numbers))), "none is left out or comes twice"
    first = [part for part, _ in places[:BLOCK]]
    assert first != [part for part, _ in places[BLOCK:]]
    assert 5 < sum(first[:50]) < 30, "they come interleaved"
    other, _ = mixed(roots, seed=1)
    assert first != [other.place(k)[0] for k in range(BLOCK)]


def test_classes_go_by_name_and_others_are_no_targets(roots, caplog):
    with caplog.at_level(logging.INFO):
        clips, (videos, images) = mixed(roots)
    assert images.class_names == videos.class_names == ("cat", "dog")
    assert "1 of the 2 classes; it lacks cat" in caplog.text
    assert {images.labels[track.category_id] for track in images.tracks} == {1}
    assert len(images.tracks) == 8 and images.of_images
    labels = [clips[k][1].labels.tolist() for k in range(60) if clips.place(k)[0] == 1]
    assert labels and all(found == [1] for found in labels)


def test_the_first_dataset_has_the_clips_that_it_has_alone(roots):
    clips, (videos, _) = mixed(roots)
    alone = ClipDataset(videos, DATA, seed=0)
    for k in range(20):
        part, number = clips.place(k)
        if part == 0:
            assert clips[k][0].equal(alone[number][0])


def test_resumed_and_helped_batches_are_the_same(roots):
    data = DATA.model_copy(update={"mix": ((str(roots[1]), 0.5),)})
    dataset = load_folder(roots[0])
    whole = [frames for frames, _ in make_loader(dataset, data, 3, clips=2, batches=4)]
    later = make_loader(
        dataset, data.model_copy(update={"workers": 1}), 3, start_clip=6, clips=2, batches=1
    )
    assert next(iter(later))[0].equal(whole[3])


def test_pseudo_clips_of_the_images_alone(roots):
    clips, (videos, _) = mixed(roots, pseudo_clips="images")
    alone = ClipDataset(videos, DATA, seed=0)
    still = mixed(roots)[0]
    for k in range(20):
        part, number = clips.place(k)
        frames, _ = clips[k]
        if part == 0:
            assert frames.equal(alone[number][0])
        else:
            assert not frames[0].equal(frames[1]) and still[k][0][0].equal(still[k][0][1])


def test_frames_that_are_scored_are_not_mixed_in(roots, tmp_path):
    frames = tmp_path / "frames.json"
    convert("frames", roots[0], frames)
    data = DATA.model_copy(update={"mix": ((str(frames), 0.5),)})
    dataset = load_folder(roots[0])
    part, heldout = dataset.subset([1, 2, 4, 5]), dataset.subset([3])
    told = r"frames\.json has 4 frames of the held-out videos of .*such as .*v3/00000\.png"
    with pytest.raises(UserError, match=told):
        training_clips(part, data, 0, heldout)
    (tmp_path / "link").symlink_to(roots[0], target_is_directory=True)
    linked = DATA.model_copy(update={"mix": ((str(tmp_path / "link"), 0.5),)})
    with pytest.raises(UserError, match="4 frames of the held-out videos"):
        make_loader(part, linked, 0, heldout)
    split = tmp_path / "split.json"
    write_split(split, Split((1, 2, 4, 5), (3,)), dataset)
    convert("frames", roots[0], tmp_path / "training.json", split=split)
    sound = DATA.model_copy(update={"mix": ((str(tmp_path / "training.json"), 0.5),)})
    assert len(training_clips(part, sound, 0, heldout)[1][1].videos) == 16


def test_a_run_and_its_trial_refuse_what_is_scored(roots, tmp_path):
    fields = {"data.mix": [[str(roots[0]), 0.5]], "head.classes": 2, "messenger.tokens": 0}
    config = preset("tiny", {**fields, "data.root": str(roots[0])})
    with pytest.raises(UserError, match=r"data\.mix: .* frames of the held-out videos"):
        try_step(config)
    with pytest.raises(UserError, match=r"data\.mix: .* frames of the held-out videos"):
        train(config, tmp_path)


def test_what_cannot_be_mixed_is_named(roots, tmp_path):
    raw = coco_file()
    raw["categories"] = [{"id": 1, "name": "sofa"}, {"id": 18, "name": "kite"}]
    write_coco(tmp_path, raw)
    with pytest.raises(UserError, match=r"data\.mix: .*none of the classes of .*: sofa, kite"):
        mixed((roots[0], tmp_path))
    with pytest.raises(UserError, match=r"data\.mix: .*nowhere: no such folder"):
        mixed((roots[0], tmp_path / "nowhere"))
    raw["categories"] = [{"id": 1, "name": "cat"}, {"id": 18, "name": "dog"}]
    raw["annotations"] = []
    (tmp_path / "annotations/instances_train2017.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"instances_train2017\.json: no image shows an instance"):
        mixed((roots[0], tmp_path))
