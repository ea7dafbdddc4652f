import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.config.schema import DataConfig
from core.data.transforms import (
    MEAN,
    STD,
    draw_box,
    normalise,
    pad,
    padded_size,
    read_frame,
    rescaled,
    resize_frame,
    resize_mask,
)
from core.errors import UserError

sides = st.integers(1, 2000)


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((720, 1280), (640, 360), (360, 640)),
        ((1280, 720), (640, 360), (640, 360)),  # upright videos: the long side is the height
        ((480, 854), (640, 360), (360, 640)),
        ((480, 640), (640, 360), (360, 480)),  # the short side binds
        ((240, 427), (640, 360), (360, 640)),
        ((480, 853), (1333, 480), (480, 853)),
        ((64, 96), (96, 64), (64, 96)),
        ((1, 1000), (96, 64), (1, 96)),  # never without a pixel
    ],
)
def test_sizes_by_the_published_rule(size, box, expected):
    assert rescaled(size, box) == expected


@given(size=st.tuples(sides, sides), box=st.tuples(sides, sides))
def test_rescaled_fits_the_box(size, box):
    new = rescaled(size, box)
    assert max(new) <= max(box)
    assert min(new) <= max(1, min(box))
    # one of the two sides is met, give or take the rounding
    assert max(new) == max(box) or abs(min(new) - min(box)) <= 1


def test_draws_within_the_range_and_among_the_choice():
    rng = np.random.default_rng(0)
    data = DataConfig(train_sizes=((640, 360), (960, 480)))
    boxes = np.array([draw_box(data, rng) for _ in range(500)])
    assert (boxes.min(0) >= [640, 360]).all()
    assert (boxes.min(0) <= [645, 362]).all()
    assert (boxes.max(0) <= [960, 480]).all()
    assert (boxes.max(0) >= [955, 478]).all()
    # the sides are drawn apart
    assert abs(np.corrcoef(boxes.T)[0, 1]) < 0.2
    data = DataConfig(train_sizes=((640, 360), (960, 480)), train_resize="choice")
    assert {draw_box(data, rng) for _ in range(50)} == {(640, 360), (960, 480)}


def test_one_size_is_that_size():
    data = DataConfig(train_sizes=((96, 64),))
    assert draw_box(data, np.random.default_rng(0)) == (96, 64)


def test_resize_averages_two_by_two_at_half_size():
    frame = torch.randint(0, 256, (3, 8, 12), dtype=torch.uint8)
    halved = resize_frame(frame, (4, 6))
    mean = frame.float().unflatten(1, (4, 2)).unflatten(3, (6, 2)).mean((2, 4))
    assert halved.dtype == torch.float32
    assert halved.allclose(mean)
    assert (resize_frame(frame, (8, 12)) == frame).all()


def test_masks_take_the_nearest_pixel():
    mask = np.random.default_rng(0).random((7, 9)) < 0.5
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(mask).float()[None, None], size=(11, 5), mode="nearest"
    )
    assert (resize_mask(mask, (11, 5)) == expected[0, 0].bool().numpy()).all()
    assert resize_mask(mask, (7, 9)) is mask


def test_normalise_with_the_statistics_of_imagenet():
    frame = torch.tensor(MEAN)[:, None, None].expand(3, 2, 2)
    assert normalise(frame).abs().max() == 0
    assert normalise(frame + torch.tensor(STD)[:, None, None]).allclose(torch.ones(3, 2, 2))


def test_padding_is_to_the_right_and_below():
    assert padded_size([(360, 640), (352, 650)]) == (384, 672)
    assert padded_size([(64, 96)]) == (64, 96)
    padded = pad(torch.ones(2, 3, 4), (5, 6))
    assert padded.shape == (2, 5, 6)
    assert (padded[:, :3, :4] == 1).all()
    assert padded.sum() == 2 * 3 * 4
    assert pad(torch.ones(1, 2, 2, dtype=torch.bool), (3, 3)).dtype == torch.bool


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_any_image_is_rgb(tmp_path, mode):
    path = tmp_path / "frame.png"
    Image.new("RGB", (7, 5), (10, 200, 30)).convert(mode).save(path)
    frame = read_frame(path)
    assert (frame.shape, frame.dtype) == ((3, 5, 7), torch.uint8)


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\xff\xd8\xff\xe0 cut short"])
def test_unreadable_frames_are_named(tmp_path, content):
    path = tmp_path / "00003.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"00003\.jpg: cannot be read as an image"):
        read_frame(path)
