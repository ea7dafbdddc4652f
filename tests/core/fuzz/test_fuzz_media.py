"""Images, videos and checkpoints, damaged: they work, or one error names the file."""

import io
import logging

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from core.data.check import wrong_images
from core.data.dataset import Video, VideoDataset
from core.data.transforms import read_frame
from core.inference.frames import open_video
from core.training.checkpoint import find_checkpoint, save_checkpoint
from core.training.pretrained import load_weights
from tests.core.fuzz.mutations import edited_bytes, fuzzed, works_or_one_error

PIXELS = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)


def encoded(kind, pixels=PIXELS, **options):
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind in ("JPEG", "WEBP", "PNG"):
        options["exif"] = exif
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


FRAMES = [Image.fromarray(np.roll(PIXELS, k, 0)) for k in range(3)]
IMAGES = {
    "a.png": encoded("PNG"),
    "b.png": encoded("PNG", PIXELS[..., 0].astype(np.uint16) * 257),
    "a.jpg": encoded("JPEG"),
    "a.webp": encoded("WEBP"),
    "a.bmp": encoded("BMP"),
    "a.gif": encoded("GIF", save_all=True, append_images=FRAMES),
    "a.tif": encoded("TIFF"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


def test_the_sound_images_are_sound(folder):
    for name, content in IMAGES.items():
        (folder / name).write_bytes(content)
        assert read_frame(folder / name).numel() == 12 * 16 * 3


@fuzzed
@given(data=st.data())
def test_images(folder, data):
    name = data.draw(st.sampled_from(sorted(IMAGES)))
    path = folder / name
    path.write_bytes(data.draw(edited_bytes(IMAGES[name])))
    with works_or_one_error(path):
        read_frame(path)
    if path.suffix != ".tif":
        with works_or_one_error(path):
            list(open_video(path))
    video = Video(1, "v", 16, 12, (path,))
    wrong_images(VideoDataset("d", (video,), (), {}, folder), set())


def movie(path, codec):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for k in range(6):
            pixels = np.random.default_rng(k).integers(0, 255, (32, 32, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.fixture(scope="module")
def movies(folder):
    pytest.importorskip("av")
    names = {"a.mp4": "mpeg4", "b.mp4": "libx264", "a.avi": "mpeg4", "a.mkv": "mpeg4"}
    return {name: movie(folder / name, codec) for name, codec in names.items()}


@fuzzed
@given(data=st.data())
def test_videos(folder, movies, data):
    name = data.draw(st.sampled_from(sorted(movies)))
    path = folder / name
    path.write_bytes(data.draw(edited_bytes(movies[name])))
    with works_or_one_error(path):
        list(open_video(path))


def checkpoints():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    content = {"meta": {"step": 3, "lr": np.float64(1)}, "state_dict": model.state_dict()}
    found = []
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=new)
        found.append(buffer.getvalue())
    return found


CHECKPOINTS = checkpoints()


@fuzzed
@given(data=st.data())
def test_checkpoints(folder, data):
    path = folder / "a.pth"
    path.write_bytes(data.draw(edited_bytes(data.draw(st.sampled_from(CHECKPOINTS)))))
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with works_or_one_error(path):
        load_weights(model, path)


@fuzzed
@given(data=st.data())
def test_our_own_checkpoints(folder, data):
    logging.disable(logging.WARNING)
    run = folder / "run"
    last = save_checkpoint(run, {"state_dict": {"a": torch.zeros(3)}})
    last.write_bytes(data.draw(edited_bytes(last.read_bytes())))
    try:
        found = find_checkpoint(run)
    finally:
        logging.disable(logging.NOTSET)
    assert found is None or found.parent == run
