"""Faults that users' videos and checkpoints brought out: wrong classes in silence, tracebacks."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.config.overrides import override
from core.data.dataset import VideoDataset
from core.data.youtube_vis import load_folder
from core.errors import UserError
from core.inference.classes import Classes
from core.inference.draw import save_animation
from core.inference.frames import open_video
from core.inference.predict import predict_dataset, predict_video
from core.inference.predict_files import predict_files
from core.model.tevit import build_model
from tests.core.inference.test_frames import write_images
from tests.core.inference.test_predict import TINY, Noise
from tests.core.training.runs import small

CONFIG = small()
NAMES = ["striped", "spotted", "ringed"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "last.pt"
    meta = {"classes": NAMES, "category_ids": [1, 2, 3]}
    torch.save({"meta": meta, "state_dict": build_model(CONFIG).state_dict()}, path)
    return path


def annotation_file(tmp_path, categories):
    folder = write_images(tmp_path / "JPEGImages" / "walk", ["0.png", "1.png"])
    names = [f"walk/{p.name}" for p in sorted(folder.iterdir())]
    content = {
        "videos": [{"id": 1, "width": 40, "height": 24, "file_names": names}],
        "categories": [{"id": i, "name": name} for i, name in categories.items()],
        "annotations": None,
    }
    path = tmp_path / "valid.json"
    path.write_text(json.dumps(content))
    return path


def dataset_of(categories):
    return VideoDataset("d", (), (), categories, Path("data.json"))


# --- classes by place ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "categories",
    [
        {1: "striped", 2: "spotted", 3: "ringed"},
        {1: "ringed", 2: "striped", 3: "spotted"},
        {7: "spotted", 4: "ringed"},
        {5: "Ringed"},
    ],
)
def test_classes_are_matched_by_name_in_any_order_or_part(tmp_path, checkpoint, categories):
    path = annotation_file(tmp_path, categories)
    [found] = predict_files(CONFIG, checkpoint, [path], tmp_path / "r.json")
    folder = tmp_path / "JPEGImages" / "walk"
    [plain] = predict_files(CONFIG, checkpoint, [folder], tmp_path / "plain.json")
    names = {i: name.casefold() for i, name in categories.items()}
    known = [NAMES[r["category_id"] - 1] for r in plain.results]
    assert [names[r["category_id"]] for r in found.results] == [
        name for name in known if name in names.values()
    ]
    assert found.results or len(categories) < 3


def test_a_dataset_is_predicted_under_its_own_names(tmp_path, checkpoint):
    found = {}
    for name, categories in (("same", NAMES), ("turned", NAMES[::-1])):
        path = annotation_file(tmp_path / name, dict(enumerate(categories, 1)))
        out = tmp_path / f"{name}.json"
        predict_dataset(CONFIG, checkpoint, load_folder(path), out, progress=False)
        results = json.loads(out.read_text())
        found[name] = [(categories[r["category_id"] - 1], r["score"]) for r in results]
    assert found["same"] == found["turned"] != []


def test_classes_that_cannot_be_matched_are_refused_and_both_lists_named(tmp_path, checkpoint):
    path = annotation_file(tmp_path, {1: "striped", 2: "plain"})
    with pytest.raises(UserError) as caught:
        list(predict_files(CONFIG, checkpoint, [path], tmp_path / "r.json"))
    message = str(caught.value)
    assert f"{checkpoint}: its classes are not those of {path}" in message
    assert "it knows nothing of 2 (plain)" in message
    assert "the checkpoint's: 1 (striped), 2 (spotted), 3 (ringed)" in message
    assert "the dataset's: 1 (striped), 2 (plain)" in message
    assert not (tmp_path / "r.json").exists()


def test_without_names_ids_decide_and_without_ids_only_equal_numbers_will_do(caplog):
    by_id = Classes.of_checkpoint({"meta": {"category_ids": [2, 5, 9]}}, 3)
    assert by_id.matched(dataset_of({9: "a", 2: "b"}), "c.pt").ids == {0: 2, 2: 9}
    assert "classes that data.json lacks are left out: 5" in caplog.text
    with pytest.raises(UserError, match=r"knows nothing of 3 \(a\)"):
        by_id.matched(dataset_of({3: "a"}), "c.pt")
    untold = Classes.of_checkpoint({}, 2)
    assert untold.matched(dataset_of({9: "a", 2: "b"}), "c.pt").ids == {0: 2, 1: 9}
    with pytest.raises(UserError, match="the checkpoint's: 2, without names or ids"):
        untold.matched(dataset_of({9: "a"}), "c.pt")


def test_published_checkpoints_name_their_classes():
    published = Classes.of_checkpoint({"meta": {"CLASSES": ("person", "giant_panda")}}, 2)
    assert published.matched(dataset_of({1: "Giant panda", 2: "person"}), "c").ids == {0: 2, 1: 1}


def test_categories_that_share_a_name_are_told_apart_by_id():
    twice = {1: "dog", 2: "dog", 3: "cat"}
    classes = Classes.of_dataset(dataset_of(twice))
    assert classes.matched(dataset_of(twice), "c.pt").ids == {0: 1, 1: 2, 2: 3}


@pytest.mark.parametrize(
    "meta", [{"classes": "abc"}, {"classes": [1]}, {"category_ids": [1, 1]},
             {"classes": ["a"], "category_ids": [1, 2]}],
)  # fmt: skip
def test_a_checkpoint_with_a_broken_list_of_classes_is_refused(meta):
    with pytest.raises(UserError, match="the checkpoint"):
        Classes.of_checkpoint({"meta": meta}, 2)


# --- videos --------------------------------------------------------------------------------------

RED, BLUE = (220, 20, 20), (20, 20, 220)


def movie(path, count=6, size=(64, 48)):
    """A movie whose upper half is red and whose lower half is blue."""
    picture = Image.new("RGB", size, BLUE)
    picture.paste(RED, (0, 0, size[0], size[1] // 2))
    return save_animation([picture] * count, path)


COSINES = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}


def rotate(path, degrees):
    """Write a clockwise turn into the movie's track header, as telephones do."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    assert struct.unpack(">i", content[place : place + 4]) == (0x10000,)
    cos, sin = COSINES[degrees]
    matrix = (cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    content[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("degrees", "size", "red"),
    [
        (0, (48, 64), "up"),
        (90, (64, 48), "right"),
        (180, (48, 64), "down"),
        (270, (64, 48), "left"),
    ],
)
def test_a_movie_is_turned_as_players_do(tmp_path, degrees, size, red):
    path = movie(tmp_path / "a")
    rotate(path, degrees)
    frames = open_video(path)
    image = next(iter(frames)).numpy()
    assert frames.size == size == image.shape[1:]
    height, width = size
    sides = {
        "up": image[:, 5],
        "down": image[:, height - 5],
        "left": image[:, :, 5],
        "right": image[:, :, width - 5],
    }
    assert [name for name, (r, _, b) in sides.items() if r.mean() > 150 > 100 > b.mean()] == [red]


def test_a_photo_lies_as_its_orientation_says_in_prediction_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 24)).save(tmp_path / "a.jpg", exif=exif)
    assert open_video(tmp_path).size == (40, 24)
    assert open_video(tmp_path / "a.jpg").size == (40, 24)
    assert next(iter(open_video(tmp_path / "a.jpg"))).shape == (3, 40, 24)


def test_a_resolution_that_changes_inside_a_movie_is_an_error(tmp_path):
    import av

    path = tmp_path / "a.mpg"
    parts = []
    for k, size in enumerate(((64, 48), (96, 80))):
        part = tmp_path / f"{k}.mpg"
        with av.open(str(part), "w", format="mpeg1video") as container:
            stream = container.add_stream("mpeg1video", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for _ in range(8):
                pixels = np.full((size[1], size[0], 3), 90, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    with pytest.raises(UserError, match=r"a\.mpg: image of 96x80, but its video has 64x48"):
        list(open_video(path))


def test_damage_in_the_middle_of_a_movie_is_told_with_the_count(tmp_path, caplog):
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)) for _ in range(40)]
    path = save_animation(noise, tmp_path / "a")
    whole = len(list(open_video(path)))
    assert whole == 40 and "damaged" not in caplog.text
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat")
    content[start + 20_000 : start + 40_000] = bytes(20_000)
    path.write_bytes(content)
    left = len(list(open_video(path)))
    assert 0 < left < 40
    assert f"a.mp4: damaged: {40 - left} of its 40 frames cannot be decoded" in caplog.text


@pytest.mark.parametrize("kind", ["gif", "image", "movie"])
def test_a_truncated_video_is_named_and_the_results_before_it_kept(tmp_path, checkpoint, kind):
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (24, 40, 3), np.uint8)) for _ in range(3)]
    bad = tmp_path / {"gif": "bad.gif", "image": "bad.png", "movie": "bad.mp4"}[kind]
    if kind == "movie":
        import av

        with av.open(str(bad), "w") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.width, stream.height, stream.pix_fmt = 40, 24, "yuv420p"
            for picture in noise:
                container.mux(stream.encode(av.VideoFrame.from_image(picture)))
            container.mux(stream.encode())
        content = bad.read_bytes()
        bad.write_bytes(content[: content.index(b"mdat") + 30])
    else:
        animated = {"save_all": True, "append_images": noise[1:]} if kind == "gif" else {}
        noise[0].save(bad, **animated)
        bad.write_bytes(bad.read_bytes()[:-1500])
    good = write_images(tmp_path / "good", ["a.png", "b.png"])
    out = tmp_path / "r.json"
    done = []
    with pytest.raises(UserError, match=rf"{bad.name}: (cannot be|no frame)") as caught:
        for prediction in predict_files(CONFIG, checkpoint, [good, bad], out):
            done.append(prediction)
    if done:  # the fault shows only when the pixels are read
        assert json.loads(out.read_text()) == [r for p in done for r in p.results] != []
        assert f"{out}: the results of the 1 of 2 videos before it" in str(caught.value)
    assert bool(done) == (kind != "movie")


@pytest.mark.parametrize("fails", ["encoder", "size"])
def test_results_outlive_a_drawing_that_fails(tmp_path, checkpoint, caplog, monkeypatch, fails):
    if fails == "encoder":

        def refuse(*_):
            raise OSError("no space left")

        monkeypatch.setattr("core.inference.predict_files.save_animation", refuse)
    size = (4096, 16) if fails == "size" else (40, 24)
    folder = write_images(tmp_path / "wide", ["a.png", "b.png"], size=size)
    out = tmp_path / "r.json"
    [found] = predict_files(CONFIG, checkpoint, [folder], out, draw=tmp_path / "d", min_score=0)
    assert json.loads(out.read_text()) == found.results
    if fails == "encoder":
        assert found.drawing is None and "wide: cannot be drawn: no space left" in caplog.text
    else:
        assert open_video(found.drawing).size == (16, 4096)


# --- weights and memory --------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "what"), [("fc_reg", "boxes"), ("conv_logits", "masks")])
def test_weights_with_nan_in_box_or_mask_layers_only(layer, what):
    torch.manual_seed(0)
    broken = build_model(TINY).eval()
    layers = [m for n, m in broken.named_modules() if n.endswith(layer)]
    nn.init.constant_(layers[-1].bias, float("nan"))
    with pytest.raises(UserError, match=f"the model's {what} for video 3 are not numbers: its we"):
        predict_video(broken, Noise(2), TINY, video_id=3)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
     RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")],
)  # fmt: skip
@pytest.mark.parametrize("where", ["model", "frames"])
def test_a_video_too_long_for_memory_names_the_mode_that_needs_less(monkeypatch, error, where):
    model = build_model(TINY).eval()

    def full(*_):
        raise error

    if where == "model":
        monkeypatch.setattr(model, "detect", full)
    else:
        monkeypatch.setattr("core.inference.predict.prepare_frames", full)
    message = (
        r"video 3 as one clip does not fit into memory: inference\.mode=near_online needs less"
    )
    with pytest.raises(UserError, match=message):
        predict_video(model, Noise(3), TINY, video_id=3)
    online = override(TINY, {"inference.mode": "near_online"})
    with pytest.raises(UserError, match=r"a clip of video 3 .*a smaller inference\.clip_length"):
        predict_video(model, Noise(3), online, video_id=3)


def test_other_errors_of_the_model_stay_what_they_are(monkeypatch):
    model = build_model(TINY).eval()

    def wrong(*_):
        raise RuntimeError("shapes")

    monkeypatch.setattr(model, "detect", wrong)
    with pytest.raises(RuntimeError, match="shapes"):
        predict_video(model, Noise(3), TINY)
