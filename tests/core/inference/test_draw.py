import sys

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.rle import encode
from core.inference.draw import color_of, draw_frame, draw_frames, save_animation
from core.inference.frames import GifFrames, MovieFrames

SIZE = (60, 90)


def square(x, y=20, side=20):
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def gray(value=100):
    return torch.full((3, *SIZE), value, dtype=torch.uint8)


def pixels():
    return gray().permute(1, 2, 0).numpy()


def test_masks_are_tinted_and_outlined_and_the_rest_stays():
    picture = np.asarray(draw_frame(pixels(), [square(10, y=30)], [""]))
    color = np.array(color_of(0))
    assert (picture[30, 15] == color).all() and (picture[40, 10] == color).all()
    assert np.abs(picture[40, 20] - (50 + color / 2)).max() <= 1
    assert (picture[55, 80] == 100).all()


def test_the_best_track_is_on_top():
    picture = np.asarray(draw_frame(pixels(), [square(10, y=30), square(10, y=30)], ["", ""]))
    assert (picture[30, 15] == color_of(0)).all()


def test_absent_and_empty_masks_draw_nothing():
    picture = draw_frame(pixels(), [None, np.zeros(SIZE, bool)], ["a", "b"])
    assert (np.asarray(picture) == 100).all()


def test_a_text_stays_inside_the_frame():
    """A mask in the corner: the text moves in, and its background shows."""
    picture = np.asarray(draw_frame(pixels(), [square(80, y=0, side=10)], ["7 giraffe 0.99"]))
    color = np.array(color_of(0))
    assert (picture[:12] == color).all(-1).sum() > 50
    assert picture.shape == (*SIZE, 3)


def test_ten_colors_are_well_apart():
    colors = [np.array(color_of(i)) for i in range(10)]
    for i in range(10):
        for j in range(i):
            assert np.abs(colors[i] - colors[j]).sum() > 100


def result(score, masks, category=1):
    return {
        "video_id": 1,
        "category_id": category,
        "score": score,
        "segmentations": [None if m is None else encode(m) for m in masks],
    }


def test_weak_tracks_are_left_out():
    results = [result(0.9, [square(10), None]), result(0.1, [square(50), square(50)])]
    first, second = draw_frames([gray(), gray()], results, {}, min_score=0.5)
    assert first.size == (360, 240), "small frames are enlarged"
    assert (np.asarray(first)[120, 240] == 100).all() and (np.asarray(second) == 100).all()
    _, both = draw_frames([gray(), gray()], results, {})
    assert (np.asarray(both)[158, 240] == color_of(1)).all()


def test_large_frames_keep_their_size():
    (picture,) = draw_frames([torch.zeros(3, 300, 241, dtype=torch.uint8)], [], {})
    assert picture.size == (241, 300)


def test_texts_say_id_class_and_score(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "core.inference.draw._write", lambda p, corner, text, color: seen.append(text)
    )
    results = [result(0.876, [square(0)], category=3), result(0.5, [square(0)], category=9)]
    list(draw_frames([gray()], results, {3: "dog"}))
    assert seen == ["0 dog 0.88", "1 9 0.50"]


def pictures(count, size=(61, 35)):
    return (Image.new("RGB", size, (40 * k, 0, 0)) for k in range(count))


def test_mp4_of_odd_size(tmp_path):
    path = save_animation(pictures(5), tmp_path / "a.b")
    assert path == tmp_path / "a.b.mp4"
    frames = list(MovieFrames(path))
    assert len(frames) == 5 and frames[0].shape == (3, 36, 62)
    assert abs(int(frames[4][0, 5, 5]) - 160) < 12


def test_gif_without_pyav(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "av", None)
    path = save_animation(pictures(5), tmp_path / "sub" / "a", fps=10)
    assert path == tmp_path / "sub" / "a.gif"
    frames = list(GifFrames(path))
    assert len(frames) == 5 and frames[4][0, 5, 5] == 160
    assert Image.open(path).info["duration"] == 100


@pytest.mark.parametrize("movie", [True, False])
def test_a_failure_leaves_no_file(tmp_path, monkeypatch, movie):
    if not movie:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    def broken():
        yield from pictures(2)
        raise ValueError("decoder")

    with pytest.raises(ValueError, match="decoder"):
        save_animation(broken(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
