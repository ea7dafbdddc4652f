import json

import pandas as pd
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

import cli
from core.errors import UserError
from reports.plots.recorded.curve import curve_plot
from reports.plots.recorded.read import read_plot


def point(value, *, fps=50.0, clip_length=5, oom=None):
    protocol = {
        "device": "NVIDIA H100",
        "clip_length": clip_length,
        "batch": 1,
        "height": 384,
        "width": 640,
    }
    record = {"name": "full", "protocol": protocol, "figures": None, "oom": oom}
    if oom is None:
        memory = {"allocated": 2**30, "reserved": 2**31, "host_peak": 2**32}
        figures = {"fps_model": 2 * fps, "fps_postprocess": fps}
        record |= {"figures": figures, "scopes": {"model": {"low": 99}}, "memory": memory}
    return {"value": value, "record": record}


def curve(axis, points):
    return {"kind": "curve", "schema": 1, "axis": axis, "points": points}


CLIPS = curve(
    "clip_length",
    [point("5"), point("20", clip_length=20), point("36", clip_length=36, oom="OOM at T=36")],
)


def test_points_become_time_and_memory():
    plot = curve_plot(CLIPS, "clips")
    assert plot.data["clip_length"].tolist() == [5, 20, 36]
    assert plot.data["ms a frame"].tolist()[:2] == [20.0, 20.0]
    assert plot.data["peak memory (MiB)"].tolist()[:2] == [1024.0, 1024.0]
    assert plot.data["oom"].tolist()[2] == "OOM at T=36"
    assert plot.notes == (
        "Measured on NVIDIA H100.",
        "Memory: allocated on the GPU.",
        "Cross: out of memory.",
    )


def test_size_and_queries():
    assert curve_plot(curve("size", [point("640x384")]), "s").data["pixels"].tolist() == [245760]
    assert curve_plot(curve("queries", [point("300")]), "q").data["queries"].tolist() == [300]


def test_along_the_batch_it_is_frames_a_second():
    plot = curve_plot(curve("batch", [point("1"), point("4", fps=80.0)]), "b")
    assert plot.title == "Speed and memory by clips a call"
    assert plot.data["frames a second"].tolist() == [50.0, 80.0]


def test_command_writes_every_width_and_pictures_once(tmp_path):
    path = tmp_path / "clips.json"
    path.write_text(json.dumps(CLIPS))
    done = CliRunner().invoke(cli.app, ["plot", str(path), "--out", str(tmp_path / "figures")])
    assert done.exit_code == 0, done.output
    assert "Measured on NVIDIA H100." in done.output
    assert len(list((tmp_path / "figures").iterdir())) == 5
    assert len(pd.read_csv(tmp_path / "figures" / "clips.csv")) == 3


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "ap.json"
    path.write_text('{"kind": "ap"}')
    with pytest.raises(
        UserError, match=r"ap.json: no file that can be plotted; such are written by tevit fps"
    ):
        read_plot(path)
    with pytest.raises(UserError, match="has no points"):
        curve_plot(curve("size", []), "s")


def test_intervals_are_error_bars_and_drift_is_a_note():
    clips = json.loads(json.dumps(CLIPS))
    record = clips["points"][0]["record"]
    record["scopes"] = {"postprocess": {"low": 8.0, "high": 12.5}}
    record["environment"] = {"drift": ["GPU clock from 1980 to 1500 MHz", "busy"]}
    plot = curve_plot(clips, "clips")
    assert plot.data[["ms low", "ms high"]].iloc[0].tolist() == [80.0, 125.0]
    assert plot.notes[-1] == "Suspect: 1 of 3 points, such as: GPU clock from 1980 to 1500 MHz."
    canvas = Figure()
    plot.draw(plot.data, canvas)
    (bars,) = [c for c in canvas.axes[0].collections if len(c.get_segments())]
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[80.0, 125.0]]
