import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.config.schema import DataConfig
from core.data.clips import ClipDataset
from core.data.dataset import Track, VideoDataset
from core.data.rle import encode
from core.data.transforms import pad
from core.errors import UserError
from core.inference.draw import save_animation
from core.inference.frames import (
    FileFrames,
    GifFrames,
    MovieFrames,
    clips_of,
    folder_video,
    open_video,
    prepare_frames,
)


def write_images(folder, names, size=(40, 24)):
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(folder / name)
    return folder


def test_folder_in_natural_order(tmp_path):
    names = ["frame10.png", "frame2.png", "frame1.JPG", "a.png"]
    folder = write_images(tmp_path / "clip", names)
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.png").write_text("x")
    frames = open_video(folder)
    assert isinstance(frames, FileFrames)
    assert [p.name for p in frames.files] == [
        "a.png", "frame1.JPG", "frame2.png", "frame10.png",
    ]  # fmt: skip
    assert frames.name == "clip" and frames.size == (24, 40)
    images = list(frames)
    assert len(images) == 4 and images[0].shape == (3, 24, 40) and images[0].dtype == torch.uint8


def test_numbers_and_words_sort_together(tmp_path):
    names = ["1.png", "x1.png", "x.png", "01b.png", "2"]
    folder = write_images(tmp_path, names[:4])
    assert len(folder_video(folder).files) == 4


def test_images_of_two_sizes_are_an_error(tmp_path):
    folder = write_images(tmp_path, ["0.png"])
    write_images(tmp_path, ["1.png"], size=(10, 10))
    with pytest.raises(UserError, match=r"1\.png: image of 10x10, but its video has 40x24"):
        list(open_video(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.mp4", "no such file or folder"),
        ("empty", r"no images in it \(\.jpg"),
        ("notes.txt", r"not a video: expected a folder of images.*\.json.*\.gif.*\.mp4"),
        ("broken.gif", "cannot be read as an image"),
        ("broken.mp4", "cannot be decoded"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    for file in ("notes.txt", "broken.gif", "broken.mp4"):
        (tmp_path / file).write_text("x" * 1000)
    with pytest.raises(UserError, match=rf"{name}.*{message}"):
        open_video(tmp_path / name)


def pictures(count):
    return (Image.new("RGB", (64, 48), (0, 10 * k, 0)) for k in range(count))


def test_movie(tmp_path):
    frames = open_video(save_animation(pictures(20), tmp_path / "a"))
    assert isinstance(frames, MovieFrames) and (frames.name, frames.size) == ("a", (48, 64))
    greens = [int(image[1, 24, 32]) for image in frames]
    assert greens == pytest.approx([10 * k for k in range(20)], abs=6)
    assert len(list(frames)) == 20, "a second pass starts anew"


def test_movie_without_a_decoder(tmp_path, monkeypatch):
    path = save_animation(pictures(2), tmp_path / "a")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"a\.mp4: decoding video files needs PyAV: pip install"):
        open_video(path)


def test_sound_is_no_video(tmp_path):
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UserError, match="has no video stream"):
        open_video(path)


def test_gif_and_single_image(tmp_path):
    first, *rest = pictures(4)
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest)
    frames = open_video(tmp_path / "a.gif")
    assert isinstance(frames, GifFrames) and frames.size == (48, 64)
    assert [int(image[1, 0, 0]) for image in frames] == [0, 10, 20, 30]
    first.save(tmp_path / "one.png")
    assert len(list(open_video(tmp_path / "one.png"))) == 1


class Numbered:
    """Frames whose value is their number."""

    name, size = "numbered", (1, 1)

    def __init__(self, count):
        self.count, self.read = count, 0

    def __iter__(self):
        for k in range(self.count):
            self.read += 1
            yield torch.tensor(k)


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_clips_cover_the_video(count, length, data):
    stride = data.draw(st.integers(1, length))
    clips = [
        (start, [int(f) for f in held]) for start, held in clips_of(Numbered(count), length, stride)
    ]
    for k, (start, held) in enumerate(clips):
        assert start == k * stride
        assert held == list(range(start, min(start + length, count)))
    assert clips[-1][1][-1] == count - 1
    for (_, before), (_, after) in pairwise(clips):
        assert after[-1] > before[-1], "a clip that shows nothing new is not needed"
        assert len(before) == length


def test_the_whole_video_is_one_clip():
    (clip,) = clips_of(Numbered(50), None, 7)
    assert clip[0] == 0 and len(clip[1]) == 50


def test_no_frames_no_clips():
    assert list(clips_of(Numbered(0), 5, 2)) == list(clips_of(Numbered(0), None, 2)) == []


def test_clips_are_read_lazily():
    source = Numbered(10**9)
    clips = clips_of(source, 8, 4)
    for read in (9, 13, 17):
        next(clips)
        assert source.read == read


@pytest.mark.parametrize("size", [(40, 24), (90, 200)])
def test_prepared_as_for_training(tmp_path, size):
    video = folder_video(write_images(tmp_path, ["0.png", "1.png"], size))
    sizes = {"train_sizes": [(96, 64)], "test_size": (96, 64)}
    data = DataConfig(**sizes, clip_length=2, clip_order="sorted", flip=0)
    frames, frame_size = prepare_frames(list(FileFrames(video)), data)
    mask = encode(np.ones((video.height, video.width), bool))
    track = Track(1, 1, 1, (mask,) * 2, ((0.0, 0.0, *map(float, size)),) * 2, (1.0,) * 2)
    dataset = VideoDataset("d", (video,), (track,), {1: "a"}, tmp_path)
    clip, targets = ClipDataset(dataset, data, seed=0)[0]
    assert targets.frame_size == frame_size
    assert frames.equal(pad(clip, tuple(frames.shape[2:])))
