import json

import pytest
import torch
from PIL import Image

from core.errors import UserError
from core.inference.classes import Classes
from core.inference.frames import open_video
from core.inference.predict_files import predict_files
from core.model.tevit import build_model
from tests.core.inference.test_frames import write_images
from tests.core.training.runs import small

CONFIG = small()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "last.pt"
    meta = {"step": 7, "classes": ["disc", "box", "bar"], "category_ids": [2, 4, 6]}
    torch.save({"meta": meta, "state_dict": build_model(CONFIG).state_dict()}, path)
    return path


@pytest.fixture
def annotations(tmp_path):
    folder = write_images(tmp_path / "JPEGImages" / "walk", ["0.png", "1.png"])
    content = {
        "videos": [
            {"id": 5, "width": 40, "height": 24, "length": 2,
             "file_names": [f"walk/{p.name}" for p in sorted(folder.iterdir())]}
        ],
        "categories": [{"id": k, "name": n} for k, n in ((1, "bar"), (3, "disc"), (9, "box"))],
        "annotations": None,
    }  # fmt: skip
    path = tmp_path / "valid.json"
    path.write_text(json.dumps(content))
    return path


def write_gif(path, count=3):
    first, *rest = [Image.new("RGB", (40, 24), (50 * k, 90, 30)) for k in range(count)]
    first.save(path, save_all=True, append_images=rest)
    return path


def test_all_kinds_at_once(tmp_path, checkpoint, annotations):
    frames = write_images(tmp_path / "holiday", ["a.png", "b.png"])
    gif = write_gif(tmp_path / "clip.gif")
    out = tmp_path / "results.json"
    found = []
    for prediction in predict_files(CONFIG, checkpoint, [frames, annotations, gif], out):
        assert not out.exists(), "half a file is no file"
        found.append(prediction)
    assert [(p.video_id, p.name) for p in found] == [(6, "holiday"), (5, "walk"), (7, "clip")]
    results = json.loads(out.read_text())
    assert results == [r for p in found for r in p.results]
    lengths = {r["video_id"]: len(r["segmentations"]) for r in results}
    assert lengths == {6: 2, 5: 2, 7: 3}
    # the annotation file's own classes there, the checkpoint's elsewhere
    assert {r["category_id"] for r in found[1].results} <= {1, 3, 9}
    assert {r["category_id"] for r in found[0].results} <= {2, 4, 6}


@pytest.mark.parametrize("movie", [True, False])
def test_drawings(tmp_path, checkpoint, monkeypatch, movie):
    if not movie:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    frames = write_images(tmp_path / "holiday", ["a.png", "b.png"])
    (found,) = predict_files(
        CONFIG, checkpoint, [frames], tmp_path / "r.json", draw=tmp_path / "drawn", min_score=0.0
    )
    assert found.drawing == tmp_path / "drawn" / ("1_holiday.mp4" if movie else "1_holiday.gif")
    pictures, plain = list(open_video(found.drawing)), list(open_video(frames))
    assert len(pictures) == 2 and pictures[0].shape == (3, 240, 400)
    masks = any(s for r in found.results for s in r["segmentations"])
    assert masks and (pictures[0][:, ::10, ::10].int() - plain[0].int()).abs().max() > 50


def test_shared_ids_are_an_error(tmp_path, checkpoint, annotations):
    with pytest.raises(UserError, match=r"share video ids \(5\): predict them one at a time"):
        list(predict_files(CONFIG, checkpoint, [annotations, annotations], tmp_path / "r.json"))


def test_faults_come_before_any_work(tmp_path, checkpoint):
    frames = write_images(tmp_path / "holiday", ["a.png"])
    with pytest.raises(UserError, match="nothing: no such file or folder"):
        next(predict_files(CONFIG, checkpoint, [frames, tmp_path / "nothing"], tmp_path / "r.json"))
    with pytest.raises(UserError, match=r"x\.pt: no such checkpoint"):
        next(predict_files(CONFIG, tmp_path / "x.pt", [frames], tmp_path / "r.json"))
    assert not (tmp_path / "r.json").exists()


def test_classes_of_checkpoints():
    ours = Classes.of_checkpoint({"meta": {"classes": ["a", "b"], "category_ids": [3, 8]}}, 5)
    assert ours.ids == {0: 3, 1: 8} and ours.names == {3: "a", 8: "b"}
    published = Classes.of_checkpoint({"meta": {"CLASSES": ("person", "dog")}}, 2)
    assert published.ids == {0: 1, 1: 2} and published.names == {1: "person", 2: "dog"}
    unknown = Classes.of_checkpoint({}, 3)
    assert unknown.ids == {0: 1, 1: 2, 2: 3} and unknown.names == {}
