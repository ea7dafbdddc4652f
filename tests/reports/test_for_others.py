"""What others' tools read: the data dictionary, the model-index, a notebook."""

import json
from pathlib import Path

import pandas as pd
import pytest
from invented_runs import make_store

from core.errors import UserError
from reports import load
from reports.report import make_report

SPEC = {"shape": "components", "title": "A < B."}


def test_every_column_has_its_type_and_what_it_is(tmp_path):
    store = make_store(tmp_path, seeds=(0, 1))
    report = make_report(store, "components", plots=False, page=False)
    runs = pd.read_csv(report.folder / "runs.csv")
    columns = pd.read_csv(report.folder / "columns.csv").set_index("column")
    assert list(columns.index) == list(runs.columns)
    assert columns["about"].str.len().min() > 3
    assert columns.loc["ap.AP", "about"] == "AP, printed times 100"
    assert "messenger" in columns.loc["messenger.tokens", "about"]
    assert columns.loc["ap.protocol.split", "about"] == "how AP was measured: split"


def test_the_frame_is_the_same_in_parquet(tmp_path):
    store = make_store(tmp_path, seeds=(0,))
    report = make_report(store, "components", plots=False, page=False)
    frame = pd.read_parquet(report.folder / "runs.parquet")
    assert list(frame["cell"]) == list(pd.read_csv(report.folder / "runs.csv")["cell"])
    assert frame["messenger.tokens"].tolist() == [0, 0, 8, 8]


def test_results_have_the_form_of_a_model_index(tmp_path):
    ap = {0: 0.30, 1: 0.32, 2: 0.37}
    split = lambda a, s: "val" if a["head"] == "stqi" and s == 1 else "test"  # noqa: E731
    store = make_store(tmp_path, ap=lambda a, s: ap[s], split=split)
    report = make_report(store, "components", plots=False, page=False)
    entries = json.loads((report.folder / "results.json").read_text())["model-index"]
    assert entries[0]["name"] == "components: messenger=off head=per_frame"
    (result,) = entries[0]["results"]
    assert result["task"]["type"] == "video-instance-segmentation"
    assert result["dataset"] == {"name": "synthetic", "type": "synthetic", "split": "test"}
    first = result["metrics"][0]
    assert (first["type"], first["value"]) == ("AP", pytest.approx(33.0))
    assert first["args"]["seeds"] == [0, 1, 2]
    assert first["args"]["std"] == pytest.approx(13**0.5)
    mixed = entries[1]["results"][0]["metrics"]  # seeds of two splits have no mean
    assert not {"AP", "AP50"} & {metric["type"] for metric in mixed}


def test_a_grid_without_figures_has_no_entries(tmp_path):
    store = make_store(tmp_path, state=lambda a, s: "new")
    report = make_report(store, "components", plots=False, page=False)
    assert json.loads((report.folder / "results.json").read_text()) == {"model-index": []}


def test_in_a_notebook_a_grid_displays_itself_and_writes_nothing(tmp_path):
    store = make_store(tmp_path, table=SPEC)
    frame = load("components", store=store.root)
    assert len(frame.runs) == 12
    assert frame.result.startswith("STQI adds")
    assert "A &lt; B." in frame._repr_html_()
    table = frame.tables["components"]
    assert table._repr_html_().startswith("<figure")
    assert r"\begin{table" in table._repr_latex_()
    assert "| MsgShifT | STQI |" in str(table)
    assert frame.plot()._repr_svg_().startswith("<svg")
    assert frame.plot()._repr_png_().startswith(b"\x89PNG")
    assert not (store.root / "reports").exists()


def test_the_example_of_the_documentation_runs(tmp_path, monkeypatch):
    store = make_store(tmp_path, name="components-tiny", table=SPEC)
    monkeypatch.setenv("TEVIT_RUNS", str(store.root))
    docs = (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")
    code = docs.partition("## From Python")[2].partition("```python\n")[2].partition("```")[0]
    said = {}
    exec(code, said)
    assert len(said["frame"].runs) == 12


def test_a_plot_or_grid_that_is_not_there_is_named_with_those_that_are(tmp_path):
    store = make_store(tmp_path, table=SPEC, seeds=(0,))
    with pytest.raises(UserError, match=r"no plot 'differences'; this grid has: ap_fps, "):
        load("components", store=store.root).plot()
    with pytest.raises(UserError, match="no table 'x'; this grid has: components, components_d"):
        load("components", store=store.root).tables["x"]
    with pytest.raises(UserError, match="launched grids: components"):
        load("component", store=store.root)
