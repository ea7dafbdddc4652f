"""A start run on images, cells on videos, both scored: one grid, by a user's commands."""

import json
import logging

from typer.testing import CliRunner

from cli import app
from tests.core.training.runs import SMALL

GRID = """
base: tiny
overrides: {overrides}
axes:
  head.kind: [stqi]
start:
  base: tiny
  overrides:
    {{data.root: {images}, head.kind: per_frame, messenger.tokens: 0, data.clip_length: 1,
     {start}}}
  measure: [ap]
measure: [ap]
"""


def test_pretrain_on_images_fine_tune_on_videos_score_both(tmp_path, caplog):
    def tevit(*command, store=("--store", str(tmp_path / "runs"))):
        done = CliRunner().invoke(app, [*map(str, command), *store])
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.output

    videos, images = tmp_path / "videos", tmp_path / "frames.json"
    dials = [f"{n.rpartition('.')[2]}={v}" for n, v in SMALL.items() if "synthetic" in n]
    tevit("data", "make", "synthetic", videos, *dials, store=())
    assert "24 images" in tevit("data", "convert", "frames", videos, images, store=())
    # the images know two of the videos' three classes, the second under another number
    raw = json.loads(images.read_text())
    first, second, third = (category["id"] for category in raw["categories"])
    raw["annotations"] = [a for a in raw["annotations"] if a["category_id"] != first]
    raw["categories"] = [{"id": third + 9, "name": raw["categories"][1]["name"]}] + [
        category for category in raw["categories"] if category["id"] == third
    ]
    for entry in raw["annotations"]:
        if entry["category_id"] == second:
            entry["category_id"] = third + 9
    images.write_text(json.dumps(raw))
    fields = {n: v for n, v in SMALL.items() if "synthetic" not in n}
    start = {k: v for k, v in fields.items() if k not in ("messenger.tokens", "data.clip_length")}
    start["head.classes"] = 2
    grid = tmp_path / "small.yaml"
    text = GRID.format(
        overrides=json.dumps({**fields, "data.root": str(videos)}),
        images=images,
        start=json.dumps(start)[1:-1],
    )
    grid.write_text(text)
    with caplog.at_level(logging.INFO):
        said = tevit("launch", grid, "--executor", "inline")
    assert "classes are taken over by name, others begin afresh" in tevit("plan", grid)
    assert "stqi,s0: done" in said
    runs = [json.loads(p.read_text()) for p in (tmp_path / "runs/runs").glob("*/results/ap.json")]
    of_images, of_videos = sorted(runs, key=lambda r: "evaluator" not in r["protocol"])
    assert of_images["protocol"]["evaluator"] == "pycocotools, images"
    assert {"AP", "box_AP", "box_AR100"} <= of_images["figures"].keys()
    assert "box_AP" not in of_videos["figures"] and of_videos["bootstrap"]["samples"]["AP"]
    assert "2 of 3 classes taken over by name; freshly begun: " in caplog.text
    assert "AP" in tevit("report", "small")
