import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from invented_runs import plots_of
from matplotlib.figure import Figure
from PIL import Image

from reports.frame.cells import frame_cells
from reports.frame.collect import collect
from reports.plots.legend import legend_above
from reports.plots.style import COLOURS, WIDTHS, draw, looks, save, styled, svg
from reports.tables.labels import names_for, numeric_axes

TOKENS = {
    "messenger.tokens": {str(n): {"messenger.tokens": n} for n in (0, 8, 32)},
    "head": {"per_frame": {"head.kind": "per_frame"}, "stqi": {"head.kind": "stqi"}},
}
CLIPS = {"data.clip_length": {str(n): {"data.clip_length": n} for n in (2, 5, 36)}}


def test_a_grid_gets_the_plots_that_it_has_data_for(make):
    kinds = ["effects_head_by_messenger", "ap_fps", "ap_macs", "training", "flops_by_module"]
    assert list(plots_of(make())) == kinds


def test_numeric_axes_get_a_plot_each(make):
    plots = plots_of(make(axes=TOKENS, name="tokens"))
    assert "ap_by_messenger_tokens" in plots


def test_nothing_measured_gives_no_plot(make):
    assert plots_of(make(state=lambda axes, seed: "new")) == {}


def test_tradeoff_has_a_point_a_cell_and_its_front(make):
    data = plots_of(make())["ap_fps"].data
    assert len(data) == 4
    best = data["AP"].idxmax()
    assert data.loc[best, "pareto"]
    for _, row in data.iterrows():
        beaten = ((data["AP"] > row["AP"]) & (data["fps"] > row["fps"])).any()
        assert row["pareto"] == (not beaten)


def test_a_front_of_one_cell_is_named_where_there_is_no_line(make):
    plot = plots_of(make(ap=lambda a, s: 0.5 if "off" in a.values() else 0.2))["ap_macs"]
    front = plot.data[plot.data["pareto"]]
    assert len(front) == 1
    assert f"is {front['name'].iloc[0]} alone." in plot.notes[0]


def test_tradeoff_names_what_is_left_out(make):
    grid = make(
        state=lambda a, s: "failed" if a["head"] == "stqi" and a["messenger"] == "on" else "done",
        split=lambda a, s: "val" if a["head"] == "stqi" and s == 1 else "test",
    )
    plot = plots_of(grid)["ap_fps"]
    assert len(plot.data) == 2
    assert "2 of 4 cells lack a figure (see table)." in plot.notes
    assert any("Hollow" in note for note in plot.notes)


def test_tradeoff_on_several_devices_says_so(make):
    grid = make(device=lambda a, s: "A100" if a["head"] == "stqi" else "V100")
    assert any("not measured alike" in note for note in plots_of(grid)["ap_fps"].notes)


def test_sweep_has_every_seed_and_the_mean(make):
    data = plots_of(make(axes=TOKENS, name="tokens"))["ap_by_messenger_tokens"].data
    assert len(data) == 3 * 2 * 3
    for _, rows in data.groupby(["series", "messenger.tokens"]):
        assert rows["mean"].iloc[0] == pytest.approx(rows["AP"].mean())
        assert rows["std"].iloc[0] == pytest.approx(rows["AP"].std())


def test_sweep_leaves_out_settings_with_one_value(make):
    grid = make(axes=TOKENS, name="tokens", state=lambda a, s: _one_stqi(a))
    data = plots_of(grid)["ap_by_messenger_tokens"].data
    assert set(data["series"]) == {"per-frame"}


def _one_stqi(axes):
    missing = axes["head"] == "stqi" and axes["messenger.tokens"] != "8"
    return "failed" if missing else "done"


def test_training_data_holds_every_logged_step(make):
    data = plots_of(make())["training"].data
    assert len(data) == 12 * 40
    assert {"loss", "smoothed", "lr", "stage0_loss_cls"} <= set(data.columns)


def test_training_shows_the_scores_on_the_way_where_there_are_some(make):
    grid = make(seeds=(0, 1))
    for run in grid.runs:
        lines = [json.loads(line) for line in run.folder.history.read_text().splitlines()]
        for line in lines[9::10]:
            line |= {"heldout": {"AP": line["step"] / 1e4}, "heldout_ema": {"AP": None}}
        run.folder.history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plot = plots_of(grid)["training"]
    assert plot.title == "Training loss and AP of the held-out videos"
    scored = plot.data.dropna(subset="AP")
    assert len(scored) == len(plot.data) / 10
    assert (scored["AP"] == scored["step"] / 100).all()
    assert "AP of the average" not in plot.data
    figure = Figure()
    plot.draw(plot.data, figure)
    assert [axes.get_ylabel() for axes in figure.axes] == ["training loss", "held-out AP"]


def test_module_bars_add_up_to_the_total(make):
    grid = make(seeds=(0,))
    data = plots_of(grid)["flops_by_module"].data
    total = collect(grid).groupby("cell")["flops.total"].first()
    for cell, rows in data.groupby("cell"):
        assert rows["multiply-adds (G)"].sum() * 1e9 == pytest.approx(total[cell])


def test_time_and_memory_by_clip_length_with_out_of_memory(make):
    grid = make(
        axes=CLIPS,
        name="clips",
        oom=lambda a, s: "OOM at T=36" if a["data.clip_length"] == "36" else None,
    )
    plot = plots_of(grid)["clip_length"]
    assert sorted(plot.data["clip length"].unique()) == [2, 5, 36]
    assert plot.data[plot.data["clip length"] == 36]["oom"].eq("OOM at T=36").all()
    assert plot.data["peak memory (MiB)"].iloc[0] == 80 + 22
    assert plot.notes[0] == "Measured on CPU (Xeon, 1 thread)."


def test_files_have_the_papers_widths_and_embedded_fonts(make, tmp_path):
    plot = plots_of(make(seeds=(0,)))["ap_fps"]
    paths = {path.name: path for path in save(plot, tmp_path)}
    assert set(paths) == {
        "ap_fps.csv",
        *(f"ap_fps_{width}.pdf" for width in WIDTHS),
        "ap_fps_text.png",
    }
    assert pd.read_csv(paths["ap_fps.csv"])["AP"].tolist() == pytest.approx(
        plot.data["AP"].tolist()
    )
    for name, inches in WIDTHS.items():
        box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", paths[f"ap_fps_{name}.pdf"].read_bytes())
        assert float(box[1]) == pytest.approx(72 * inches, abs=0.1)
    picture = Image.open(paths["ap_fps_text.png"])
    assert picture.width == pytest.approx(300 * WIDTHS["text"], abs=1)
    pdf = paths["ap_fps_column.pdf"].read_bytes()
    assert b"/FontFile2" in pdf  # TrueType, embedded
    assert b"/Type3" not in pdf


def test_the_same_data_gives_the_same_file(make, tmp_path):
    plot = plots_of(make(seeds=(0,)))["flops_by_module"]
    first, second = ({p.name: p.read_bytes() for p in save(plot, tmp_path / k)} for k in ("a", "b"))
    assert first == second


def test_every_plot_draws_at_every_width_without_a_warning(make, recwarn):
    grid = make(axes=CLIPS, name="clips", state=lambda a, s: "failed" if s == 2 else "done")
    for plot in plots_of(grid).values():
        with styled():
            for width in WIDTHS.values():
                draw(plot, width).canvas.draw()
    assert not [str(w.message) for w in recwarn if "layout" in str(w.message)]


def test_svg_is_one_element_with_text_as_text(make):
    drawing = svg(plots_of(make(seeds=(0,)))["ap_fps"])
    assert drawing.startswith("<svg")
    assert ">AP</text>" in drawing


def test_neighbouring_series_differ_in_grey_marker_and_line():
    found = list(looks([str(k) for k in range(len(COLOURS))]).values())
    assert len({look.marker for look in found}) == len(found)
    lightness = [
        np.dot([int(look.colour[k : k + 2], 16) for k in (1, 3, 5)], [0.299, 0.587, 0.114])
        for look in found
    ]
    for this, following in itertools.pairwise(lightness[:5]):
        assert abs(this - following) > 25
    for this, following in itertools.pairwise(found):
        assert this.line != following.line


def test_cells_have_short_names_that_say_what_is_off(frame):
    words = names_for(frame_cells(frame()), {})
    names = [words.cell(cell) for cell in frame_cells(frame())]
    assert names == [
        "messenger off, per-frame",
        "messenger off, STQI",
        "MsgShifT, per-frame",
        "MsgShifT, STQI",
    ]
    tokens = frame_cells(frame(axes=TOKENS, name="tokens"))
    assert numeric_axes(tokens) == ["messenger.tokens"]
    assert names_for(tokens, {}).cell(tokens[2]) == "Messengers 8, per-frame"


def test_a_single_series_needs_no_legend():
    from matplotlib.figure import Figure

    figure = Figure()
    legend_above(figure, looks(["alone"]))
    assert not figure.legends
