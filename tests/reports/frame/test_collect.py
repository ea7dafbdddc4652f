import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_runs import TRACEBACK, make_store, write

from core.files import append_line
from reports.frame.collect import collect, flat_columns, save_frame
from reports.frame.runs import read_runs


def test_one_row_a_cell_and_seed_with_switches_figures_and_protocol(frame):
    rows = frame()
    assert len(rows) == 4 * 3
    assert rows.groupby(["cell", "seed"]).size().eq(1).all()
    row = rows[(rows["cell"] == "messenger=on head=stqi") & (rows["seed"] == 1)].iloc[0]
    assert row["axis.messenger"] == "on"
    assert row["head.kind"] == "stqi"
    assert row["messenger.tokens"] == 8
    assert row["messenger.shift_steps"] == "[1,-1,2,-2]"
    assert 0 < row["ap.AP"] < 1
    assert row["ap.protocol.split"] == "held-out"
    assert row["ap.bootstrap.AP.std"] == 0.021
    assert row["flops.by_module.neck"] == 9_000_000
    assert row["fps.scopes.model.n"] == 30
    assert row["run.commit"] == "0123456789abcdef"
    assert row["run.wall_s"] == 321


def test_protocol_stands_beside_its_figures(frame):
    columns = list(frame().columns)
    kinds = [c.partition(".")[0] for c in columns]
    for kind in ("ap", "flops", "fps"):
        places = [place for place, name in enumerate(kinds) if name == kind]
        assert places == list(range(places[0], places[-1] + 1))
    assert columns.index("ap.AP") < columns.index("ap.protocol.data") < columns.index("flops.total")


def test_every_cell_has_its_row_whatever_became_of_it(frame):
    states = iter(["done", "failed", "queued", "new"] * 3)
    rows = frame(state=lambda axes, seed: next(states))
    assert sorted(rows["state"].unique()) == ["done", "failed", "new", "queued"]
    assert len(rows) == 12
    failed = rows[rows["state"] == "failed"].iloc[0]
    assert failed["cause"] == "error"
    assert pd.isna(failed["ap.AP"])
    assert rows[rows["state"] == "new"]["head.kind"].isna().all()


def test_a_done_run_without_a_record_that_the_grid_wants_is_not_done(tmp_path):
    store = make_store(tmp_path, seeds=(0,))
    signature = store.manifest("components").cells[0].signature
    store.run(signature).result("fps").unlink()
    rows = collect(read_runs(store, "components"))
    assert rows["state"].tolist() == ["interrupted", *["done"] * 3]
    assert rows["ap.AP"].notna().all()


def test_seeds_measured_differently_are_named_mixed(frame):
    rows = frame(
        split=lambda axes, seed: "val" if (axes["head"], seed) == ("stqi", 2) else "held-out",
        device=lambda axes, seed: "A100" if axes["messenger"] == "on" and seed else "V100",
    )
    said = rows.drop_duplicates("cell").set_index("cell")["mixed"]
    assert pd.isna(said["messenger=off head=per_frame"])
    assert said["messenger=off head=stqi"] == "ap: split"
    assert said["messenger=on head=stqi"] == "ap: split; fps: device"


def test_a_broken_record_is_named_and_the_rest_is_read(tmp_path):
    store = make_store(tmp_path, seeds=(0,))
    broken = store.run(store.manifest("components").cells[0].signature).result("ap")
    broken.write_text('{"kind": "ap", "figures":')
    row = collect(read_runs(store, "components")).iloc[0]
    assert "not valid JSON" in row["cause"]
    assert str(broken) in row["cause"]
    assert pd.isna(row["ap.AP"])
    assert row["flops.total"] > 0


def test_a_record_that_is_no_object_is_named(tmp_path):
    store = make_store(tmp_path, seeds=(0,))
    write(store.run(store.manifest("components").cells[0].signature).result("ap"), [1, 2])
    assert "not a JSON object" in collect(read_runs(store, "components")).iloc[0]["cause"]


def test_whole_numbers_stay_whole_beside_missing_ones(frame):
    rows = frame(state=lambda axes, seed: "new" if seed == 0 else "done")
    assert rows["head.queries"].dtype == "Int64"
    assert "10.0" not in rows["head.queries"].astype(str).tolist()


def test_samples_diffs_and_environments_stay_in_the_run_folder(tmp_path):
    store = make_store(tmp_path, seeds=(0,))
    folder = store.run(store.manifest("components").cells[0].signature)
    record = json.loads(folder.result("fps").read_text())
    record["scopes"]["model"]["samples_ms"] = [1.0] * 1000
    record["environment"] = {"git": {"diff": "x" * 1000}}
    write(folder.result("fps"), record)
    row = collect(read_runs(store, "components")).iloc[0]
    assert not any("samples_ms" in name or "environment" in name for name in row.index)


def test_failure_and_attempts_are_read(make):
    grid = make(state=lambda axes, seed: "failed")
    run = grid.runs[0]
    assert run.state == "failed"
    assert run.failure["traceback"] == TRACEBACK
    assert len(run.provenance) == 1
    assert len(run.history()) == 40


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"step": 11, "losses": 5}', '{"step": 11, "heldout": [0.5]}']
)
def test_lines_of_a_history_that_are_none_are_left_out(make, line):
    run = make().runs[0]
    append_line(run.folder.history, line)
    assert len(run.history()) == 40


def test_csv_reads_back_and_parquet_is_written_or_its_absence_said(frame, tmp_path):
    rows = frame(state=lambda axes, seed: "failed" if seed == 2 else "done")
    paths, note = save_frame(rows, tmp_path / "runs")
    back = pd.read_csv(paths[0])
    assert list(back.columns) == list(rows.columns)
    assert back["ap.AP"].tolist() == pytest.approx(
        rows["ap.AP"].astype(float).tolist(), nan_ok=True
    )
    if note is None:
        assert pd.read_parquet(paths[1])["cell"].tolist() == rows["cell"].tolist()
    else:
        assert "pyarrow" in note
        assert len(paths) == 1


def test_without_pyarrow_the_user_is_told(frame, tmp_path, monkeypatch):
    monkeypatch.setattr("reports.frame.collect.find_spec", lambda name: None)
    paths, note = save_frame(frame(seeds=(0,)), tmp_path / "runs")
    assert [path.name for path in paths] == ["runs.csv"]
    assert "pip install pyarrow" in note


leaves = st.one_of(st.integers(), st.text(max_size=5), st.none(), st.lists(st.integers()))
trees = st.recursive(
    leaves, lambda children: st.dictionaries(st.text("abc", min_size=1), children, max_size=3)
)


@given(st.dictionaries(st.text("abc", min_size=1), trees, max_size=3))
def test_flatten_leaves_no_mapping_and_no_list(tree):
    flat = flat_columns(tree)
    assert not any(isinstance(value, dict | list) for value in flat.values())


@pytest.mark.parametrize(
    ("file", "value", "wrong"),
    [
        ("done.json", {"wall_s": []}, "done.json: wall_s=[]: Input should be a valid number"),
        ("provenance/1.json", {"environment": None}, "1.json: environment=None: "),
        ("results/ap.json", {"figures": {"AP": "0.5"}}, "AP is '0.5', expected a number"),
        ("config.json", {"config": 5}, "config.json: config=5: "),
    ],
)
def test_a_damaged_file_is_named_and_counts_as_missing(tmp_path, file, value, wrong):
    store = make_store(tmp_path, seeds=(0,))
    write(store.run(store.manifest("components").cells[0].signature).path / file, value)
    frame = collect(read_runs(store, "components"))
    assert wrong in frame.iloc[0]["cause"]
    assert frame["cause"].isna().sum() == len(frame) - 1


@pytest.mark.parametrize(
    ("attempts", "dirty"),
    [([False, False], False), ([None], None), ([False, None], None), ([None, True], True)],
)
def test_changes_that_are_not_known_are_not_none(tmp_path, attempts, dirty):
    store = make_store(tmp_path, seeds=(0,))
    run = store.run(store.manifest("components").cells[0].signature)
    record = json.loads(run.provenance(1).read_text())
    for number, said in enumerate(attempts, 1):
        record["environment"]["git"]["dirty"] = said
        write(run.provenance(number), record)
    found = collect(read_runs(store, "components")).iloc[0].get("run.dirty")
    assert pd.isna(found) if dirty is None else found == dirty
