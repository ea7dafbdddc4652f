"""Training clips as a picture."""

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from cli import app
from core.errors import UserError
from tests.core.data.folders import annotation_file, write_folder


def show(*arguments):
    return CliRunner().invoke(app, ["data", "show", *map(str, arguments)])


def test_a_row_a_clip_with_masks_in_it(tmp_path):
    root = write_folder(tmp_path / "v", annotation_file(3, 4))
    out = tmp_path / "clips.png"
    size = ("data.train_sizes=[[30,20]]", "data.flip=0")
    result = show("tiny", *size, "--data", root, "--out", out, "--clips", 2)
    assert result.exit_code == 0 and f"{out}: 2 clips of 3 frames" in result.output
    with Image.open(out) as picture:
        pixels = np.array(picture)
    # 20x30 six times as large, three frames and two rows, 4 pixels apart
    assert pixels.shape == (2 * 120 + 4, 3 * 180 + 8, 3)
    assert (pixels[120:124] == 255).all() and (pixels[:, 180:184] == 255).all()
    # the first track's colour is pure red's hue: its outline is there in every frame
    for row in (pixels[:120], pixels[124:]):
        for x in (0, 184, 368):
            part = row[:, x : x + 180].astype(int)
            assert ((part[..., 0] - part[..., 1] > 180).sum(), "outline") > (40, "")
    later = show("tiny", *size, "--data", root, "--out", tmp_path / "b.png", "--first", 1)
    assert later.exit_code == 0
    with Image.open(tmp_path / "b.png") as picture:
        assert (np.array(picture)[:120] == pixels[124:]).all()


def test_other_endings_are_refused(tmp_path):
    result = show("tiny", "--out", tmp_path / "clips.pdf")
    assert isinstance(result.exception, UserError)
    assert "a picture's name ends in .png or .jpg" in str(result.exception)
