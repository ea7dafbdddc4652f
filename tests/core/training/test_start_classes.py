"""Weights of another run, class by class: by name where both sides know them."""

import pytest
import torch

from core.data.categories import COCO, YOUTUBE_VIS_2019
from core.errors import UserError
from core.model.tevit import build_model
from core.training.pretrained import CLASS_LAYERS, load_weights
from tests.core.training.runs import small


def model_of(classes, **values):
    torch.manual_seed(len(classes))
    return build_model(small(head__classes=len(classes), **values))


def saved(tmp_path, model, **meta):
    path = tmp_path / "start.pt"
    torch.save({"meta": meta, "state_dict": model.state_dict()}, path)
    return path


def rows(model):
    return {n: v.clone() for n, v in model.state_dict().items() if n.endswith(CLASS_LAYERS)}


def test_rows_follow_the_names(tmp_path):
    theirs, ours = ["cat", "dog", "sea lion"], ["Sea-Lion", "bird", "cat"]
    start, model = model_of(theirs), model_of([*ours, "more"])
    before, other = rows(model), rows(start)
    report = load_weights(model, saved(tmp_path, start, classes=theirs), ours)
    assert len(before) == 2 * 4  # two stages, weight and bias of the class and of the mask layer
    for name, value in rows(model).items():
        assert value[0].equal(other[name][2]) and value[2].equal(other[name][0])
        assert value[1].equal(before[name][1]) and value[3].equal(before[name][3])
    assert "2 of 3 classes taken over by name; freshly begun: bird" in report.summary()
    assert not report.other_shape


def test_equal_counts_do_not_make_classes_equal(tmp_path):
    start, model = model_of(["a", "b"]), model_of(["b", "a"])
    load_weights(model, saved(tmp_path, start, classes=["a", "b"]), ["b", "a"])
    for name, value in rows(model).items():
        assert value.equal(rows(start)[name].flip(0))


def test_the_same_names_are_the_same_weights(tmp_path):
    """Rows beyond the names, too."""
    start, model = model_of(["a", "b", "c"]), model_of(["d", "e", "f"])
    report = load_weights(model, saved(tmp_path, start, classes=["a", "b"]), ["a", "b"])
    assert all(value.equal(rows(start)[name]) for name, value in rows(model).items())
    assert "by name" not in report.summary()


def test_a_published_file_by_its_mmdet_names(tmp_path):
    start, model = model_of(COCO), model_of(YOUTUBE_VIS_2019)
    before, other = rows(model), rows(start)
    report = load_weights(model, saved(tmp_path, start, CLASSES=COCO), YOUTUBE_VIS_2019)
    assert "19 of 40 classes taken over by name; freshly begun: giant_panda," in report.summary()
    car, mouse = YOUTUBE_VIS_2019.index("sedan"), YOUTUBE_VIS_2019.index("mouse")
    for name, value in rows(model).items():
        assert value[car].equal(other[name][COCO.index("car")])
        assert value[mouse].equal(before[name][mouse])


def test_without_names_places_decide(tmp_path):
    start, model = model_of(["a", "b"]), model_of(["b", "a"])
    load_weights(model, saved(tmp_path, start), ["b", "a"])
    assert all(value.equal(rows(start)[name]) for name, value in rows(model).items())
    report = load_weights(model_of(["a"]), saved(tmp_path, start), ["a"])
    assert len(report.other_shape) == 8


def test_another_width_and_broken_names(tmp_path):
    start = model_of(["a", "b"], head__channels=32)
    report = load_weights(model_of(["b"]), saved(tmp_path, start, classes=["a", "b"]), ["b"])
    assert any(name.endswith("fc_cls.weight") for name in report.other_shape)
    path = saved(tmp_path, start, classes=5)
    with pytest.raises(UserError, match=r"start\.pt: the checkpoint's classes are 5, not a list"):
        load_weights(model_of(["b"]), path, ["b"])
