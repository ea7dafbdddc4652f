import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.schema import DataConfig
from core.data.dataset import Track, Video, VideoDataset
from core.data.split import Split, make_split, read_split, write_split
from core.errors import UserError


def dataset(classes):
    """A dataset whose video ``i`` has a track of each class in ``classes[i]``."""
    videos = tuple(Video(i, f"v{i}", 8, 8, (Path(f"{i}.png"),)) for i in range(len(classes)))
    tracks = tuple(
        Track(100 * i + c, i, c, (None,), (None,), (None,))
        for i, group in enumerate(classes)
        for c in sorted(group)
    )
    names = {c: str(c) for group in classes for c in group} or {1: "1"}
    return VideoDataset("test", videos, tracks, names, Path("instances.json"))


@given(
    classes=st.lists(st.sets(st.integers(1, 5), max_size=3), min_size=2, max_size=60),
    holdout=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_every_video_on_one_side_in_the_asked_share(classes, holdout, seed):
    data = DataConfig(holdout=holdout, split_seed=seed)
    split = make_split(dataset(classes), data)
    assert sorted(split.train + split.heldout) == list(range(len(classes)))
    assert len(split.heldout) == min(max(round(holdout * len(classes)), 1), len(classes) - 1)
    assert split == make_split(dataset(classes), data)


@given(
    counts=st.lists(st.integers(2, 80), min_size=1, max_size=6),
    holdout=st.sampled_from([0.1, 0.2, 0.5]),
    seed=st.integers(0, 5),
)
def test_single_class_videos_are_stratified(counts, holdout, seed):
    classes = [{c} for c, count in enumerate(counts) for _ in range(count)]
    split = make_split(dataset(classes), DataConfig(holdout=holdout, split_seed=seed))
    held = Counter(next(iter(classes[i])) for i in split.heldout)
    for c, count in enumerate(counts):
        # at most one video off, and one more where a class had to keep its last one
        assert abs(held[c] - holdout * count) <= 2
        assert held[c] < count


def test_seeds_differ():
    classes = [{i % 4} for i in range(80)]
    splits = {make_split(dataset(classes), DataConfig(split_seed=s)).heldout for s in range(5)}
    assert len(splits) == 5


def test_a_class_keeps_a_training_video_where_possible():
    classes = [{1}, {2}, {3}, {4, 1}, {5, 1}] + [{1}] * 5
    for seed in range(20):
        split = make_split(dataset(classes), DataConfig(holdout=0.5, split_seed=seed))
        assert {c for i in split.train for c in classes[i]} == {1, 2, 3, 4, 5}
        assert len(split.heldout) == 5


def test_nine_videos_one_class_each():
    classes = [{c} for c in range(1, 10)]
    splits = [make_split(dataset(classes), DataConfig(split_seed=seed)) for seed in range(4)]
    assert {len(split.heldout) for split in splits} == {2}
    assert len({split.heldout for split in splits}) > 1


def test_one_video_cannot_be_split():
    with pytest.raises(UserError, match=r"instances\.json: .* at least 2 videos, not 1"):
        make_split(dataset([{1}]), DataConfig())


def test_recorded_split_is_read_back(tmp_path):
    videos = dataset([{1}] * 6)
    path = tmp_path / "split.json"
    split = make_split(videos, DataConfig(holdout=0.3))
    write_split(path, split, videos)
    assert json.loads(path.read_text())["annotations"] == "instances.json"
    # the file wins over share and seed
    assert make_split(videos, DataConfig(split_file=path, holdout=0.8, split_seed=9)) == split


def test_a_recorded_split_may_leave_videos_out(tmp_path):
    path = tmp_path / "split.json"
    path.write_text('{"train": [3, 1], "heldout": [4]}')
    assert read_split(path, dataset([{1}] * 6)) == Split((1, 3), (4,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train": [1, 2], "heldout": [2, 3]}', "both in train and in heldout: 2"),
        ('{"train": [1, 99], "heldout": [2]}', r"videos that instances\.json lacks: 99"),
        ('{"train": [], "heldout": [2]}', "'train' is not a list of one or more video ids"),
        ('{"train": [1]}', "'heldout' is not a list"),
        ('{"train": ["1"], "heldout": [2]}', "'train' is not a list"),
        ("[1, 2]", "'train' is not a list"),
        ("{", "not valid JSON"),
    ],
)
def test_broken_recorded_splits(tmp_path, content, message):
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as raised:
        read_split(path, dataset([{1}] * 6))
    assert str(path) in str(raised.value)
