"""What a launch will cost, by runs of known times."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from toy_grids import slurm_target, toy_grid

from ablations.cell import Cell
from core.errors import UserError
from core.files import write_json
from launch.costs import Costs
from launch.executors.base import BatchPlan, Share, Target
from launch.executors.local import Local
from launch.executors.profile import make_profile
from launch.executors.slurm_options import slurm_parameters
from launch.executors.table import EXECUTORS
from launch.price.observed import observe
from launch.price.price import Budget, parse_budget, price_of
from launch.price.record import remember, spent_of
from launch.price.text import price_lines, spent_lines
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.process import myself
from launch.submit.launcher import manifest_of
from launch.submit.plan import LaunchRequest, plan_launch

LOCAL = Target(Local(), make_profile({"gpus": 0}))


def grid_of(*configs, measure=("ap",), starts=()):
    cells = tuple(
        Cell(f"c{k}", config, {"a": str(k)}, measure, starts[k] if starts else None)
        for k, config in enumerate(configs)
    )
    return replace(toy_grid(1), cells=cells)


def priced(store, grid, target=LOCAL, **multiply_adds):
    plan = plan_launch(LaunchRequest(store, grid, target))
    costs = {c.signature: Costs(1, multiply_adds.get(c.name)) for c in grid.all_cells}
    return plan, price_of(store, plan, costs)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def one(finished, tiny):
    """One finished run on one core: 100 steps of 0.5 s, and 10 s."""
    return finished(tiny(**{"train.steps": 100}), threads=1)


def test_another_seed_and_more_steps_take_as_long_a_step(store, one, tiny):
    plan, price = priced(store, grid_of(tiny(1, **{"train.steps": 1000, "train.lr": 0.1})))
    (cell,) = price.cells.values()
    assert cell.seconds.mid == pytest.approx(510)
    assert cell.seconds.low < 510 < cell.seconds.high
    assert (cell.host.mid, cell.gpu, cell.share.units) == (2**30, None, 1)
    assert price.hours(gpu=False).mid == pytest.approx(510 / 3600)
    assert price.hours(gpu=True).mid == 0 and not price.unknown
    text = "\n".join(price_lines(plan, price))
    assert "0.142 (0.109 to 0.184) core hours, 0:08:30 on the clock (0:06:32 to 0:11:03)" in text
    assert "up to 1 (0.769 to 1.3) GiB of the host" in text and "by 1 finished runs on" in text


def test_a_price_says_how_busy_it_supposes_the_machine_and_how_cells_have_differed(
    store, finished, tiny, monkeypatch
):
    monkeypatch.setattr("launch.price.price.busy_now", lambda: 4.25)
    steps = {"train.steps": 100}
    finished(tiny(1, **steps), threads=1, step_s=0.5, busy=0.5)
    plan, price = priced(store, grid_of(tiny(3, **steps)))
    text = "\n".join(price_lines(plan, price))
    assert "as busy a machine as then: a load of 0.5 for each core; now it is 4.2" in text
    assert "have differed" not in text
    finished(tiny(2, **steps), threads=1, step_s=1.5, busy=3.0)
    plan, price = priced(store, grid_of(tiny(3, **steps)))
    text = "\n".join(price_lines(plan, price))
    assert "a load of 0.5 to 3.0 for each core" in text
    assert "such cells have differed by a factor of up to 3 there" in text
    (cell,) = price.cells.values()
    assert cell.seconds.low < 50 + 10 and cell.seconds.high > 150 + 10  # both lie in the range
    finished(tiny(4, **steps), threads=1, step_s=1.5, gpu="A100", busy=1.0)
    assert priced(store, grid_of(tiny(3, **steps)))[1].busy == (0.5, 3.0, 4.25)


def test_one_run_prices_for_the_load_that_there_is(store, finished, tiny, monkeypatch):
    monkeypatch.setattr("launch.price.price.busy_now", lambda: 5.5)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    steps = {"train.steps": 100}
    finished(tiny(1, **steps), threads=1, step_s=0.5, busy=2.0)
    (cell,) = priced(store, grid_of(tiny(3, **steps)))[1].cells.values()
    # 60 s at a load of 2 a core: half as long alone, three times as long at 5.5 and its own 0.5
    assert cell.seconds.low == pytest.approx(60 / 1.3 / 2)
    assert (cell.seconds.mid, cell.seconds.high) == pytest.approx((60, 60 * 1.3 * 6 / 2))
    assert (cell.host.low, cell.host.high) == pytest.approx((2**30 / 1.3, 2**30 * 1.3))


def test_the_load_of_the_machine_does_not_price_gpus(store, finished, tiny, monkeypatch):
    monkeypatch.setattr("launch.price.price.busy_now", lambda: 50.0)
    monkeypatch.setattr("benchmarks.machine.environment.gpus", lambda: [{"name": "NVIDIA A100"}])
    finished(tiny(1), gpu="NVIDIA A100", busy=2.0)
    monkeypatch.setattr(Local, "share", lambda self, batch: Share(1, 1, 1))
    (cell,) = priced(store, grid_of(tiny(3)))[1].cells.values()
    assert cell.seconds.high == pytest.approx(1.3 * cell.seconds.mid)


def test_another_model_is_scaled_by_multiply_adds_or_unknown(store, finished, tiny):
    finished(tiny(), step_s=0.5, threads=1, measure=("ap", "flops"), multiply_adds=1000)
    grid = grid_of(tiny(**{"head.queries": 40}), measure=("ap", "flops"))
    plan, price = priced(store, grid, c0=2000)
    (cell,) = price.cells.values()
    steps = tiny().train.steps
    assert cell.seconds.mid == pytest.approx(steps * 1.0 + 20) and cell.scaled
    assert "1 of 1 cells scaled by multiply-adds" in "\n".join(price_lines(plan, price))
    plan, price = priced(store, grid)
    assert price.unknown == ("c0",) and not price.cells
    assert price_lines(plan, price)[0].startswith("price: unknown: no finished run")


@pytest.mark.parametrize(
    "place", [{"threads": 2}, {"threads": 1, "gpu": "NVIDIA H100"}, {"threads": 1, "tasks": 2}]
)
def test_runs_on_other_devices_tell_nothing(store, finished, tiny, place):
    finished(tiny(), **place)
    assert priced(store, grid_of(tiny(1)))[1].unknown == ("c0",)


@pytest.mark.parametrize("fields", [{"train.precision": "bf16"}, {"data.root": "elsewhere"}])
def test_other_data_and_precision_tell_nothing(store, finished, tiny, fields):
    finished(tiny(), threads=1, measure=("flops",), multiply_adds=7)
    config = tiny(**fields)
    _, price = priced(store, grid_of(config), c0=7)
    assert price.unknown == ("c0",)


def test_on_slurm_runs_of_the_same_resources_tell_what_gpus_take(store, finished, tiny, fake_slurm):
    profile = make_profile({"gpus": 2, "partition": "big", "time": 1, "array_parallelism": 2,
                            "signal_delay": 10})  # fmt: skip
    batch = Batch("b", "g", "slurm", ("s",), ("n",), "f",
                  slurm_parameters(profile, profile, "c"))  # fmt: skip
    Journal(store).begin(batch)
    finished(tiny(), gpu="NVIDIA A100", tasks=2, batch="b", measure=("ap",))
    grid = grid_of(*map(tiny, (1, 2, 3)))
    plan, price = priced(store, grid, Target(EXECUTORS["slurm"], profile))
    seconds = tiny().train.steps * 0.5 + 10
    assert price.hours(gpu=True).mid == pytest.approx(3 * 2 * seconds / 3600)
    assert price.clock.mid == pytest.approx(2 * seconds)
    text = "\n".join(price_lines(plan, price))
    assert "GPU hours" in text and "NVIDIA A100" in text and "2 at a time" in text
    assert "3 cells will take longer than their time limit" in text
    assert len(priced(store, grid, slurm_target(partition="big"))[1].unknown) == 3


def test_a_cell_that_resumes_costs_what_is_left(store, one, tiny):
    config = tiny(1, **{"train.steps": 1000})
    run = store.run(Cell("c0", config, {}, ("ap",)).signature)
    run.create(schema=1, name="c0", config=config, measure=("ap",))
    lease.acquire(run.state_folder, {}).end({"outcome": "stopped", "cause": "terminated"})
    run.history.write_text('{"step": 900, "time": 1.0}\n')
    _, price = priced(store, grid_of(config))
    assert price.cells[run.signature].seconds.mid == pytest.approx(60)


def test_what_is_queued_or_running_already_is_said_with_what_remains_of_it(store, one, tiny):
    configs = [tiny(seed, **{"train.steps": 1000}) for seed in (1, 2, 3)]
    grid = grid_of(*configs)
    runs = [store.run(cell.signature) for cell in grid.cells]
    batch = Batch("b", grid.name, "local", tuple(run.signature for run in runs[:2]), ("c0", "c1"),
                  "f", {"gpus": [[]]})  # fmt: skip
    Journal(store).begin(batch)
    lease.acquire(store.journal / "dispatch" / "b", myself())
    for k, run in enumerate(runs[:2]):
        run.create(schema=1, name=f"c{k}", config=configs[k], measure=("ap",))
        run.mark_queued("b", k)
    lease.acquire(runs[0].state_folder, myself(batch="b", index=0))
    runs[0].history.write_text('{"step": 900, "time": 1.0}\n')
    plan, price = priced(store, grid)
    assert set(price.cells) == {runs[2].signature}
    assert price.hours(gpu=False).mid == pytest.approx(510 / 3600)
    assert price.under_way.hours(gpu=False).mid == pytest.approx((60 + 510) / 3600)
    lines = price_lines(plan, price)
    assert lines[0].startswith("2 cells are queued or running already: 0.158 (")
    assert lines[1].startswith("price: 0.142 (")
    budget = Budget(0.15)
    budget.charge(price, "toys")
    write_json(Journal(store).file(batch), {**json.loads(Journal(store).file(batch).read_text()),
                                            "parameters": {}})  # fmt: skip
    plan, price = priced(store, grid)
    assert "an unknown price to go" in price_lines(plan, price)[0]


def test_a_run_that_was_interrupted_tells_its_steps_by_their_speed(store, finished, tiny):
    finished(tiny(), step_s=0.25, threads=1, attempts=2)
    (run,) = observe(store)
    assert run.step_s == pytest.approx(0.25)


def test_cells_that_only_measure_take_no_steps_and_others_measurements_are_named(
    store, finished, tiny
):
    finished(tiny(), threads=1, rest_s=7, measure=("flops",), multiply_adds=5)
    config = tiny(1)
    _, price = priced(store, grid_of(config, measure=("flops",)), c0=5)
    assert next(iter(price.cells.values())).seconds.mid == pytest.approx(7)
    plan, price = priced(store, grid_of(config, measure=("flops", "fps")), c0=5)
    assert price.unmeasured == {"fps"}
    assert "not in the price: fps" in "\n".join(price_lines(plan, price))


def test_the_clock_knows_places_and_start_runs(store, one, tiny):
    start = Cell("start", tiny(9, **{"train.steps": 100}), {}, ("ap",))
    configs = [tiny(k, **{"train.steps": 100}) for k in (1, 2, 3)]
    _, price = priced(store, grid_of(*configs), replace(LOCAL, jobs=3))
    assert price.clock.mid == pytest.approx(60)
    behind = grid_of(*configs, starts=[start] * 3)
    _, price = priced(store, behind, replace(LOCAL, jobs=3))
    assert price.clock.mid == pytest.approx(120)
    assert priced(store, behind)[1].clock.mid == pytest.approx(240)


def test_shares_of_every_executor(store, fake_slurm):
    lanes = {"gpus": [["0", "1"], ["2", "3"]]}
    assert Local().share(BatchPlan((), lanes)) == Share(2, 2, 1)
    assert EXECUTORS["inline"].share(BatchPlan((), {})).cells == 1
    profile = make_profile({"gpus": 4, "gpu_type": "a100", "nodes": 2, "cpus": 3})
    parameters = slurm_parameters(profile, profile, "c")
    cells = tuple(toy_grid(3).cells)
    assert EXECUTORS["slurm"].share(BatchPlan(cells, parameters)) == Share(3, 8, 24)
    cpu = slurm_parameters(p := make_profile({"gpus": 0, "cpus": 3}), p, "c")
    packed = BatchPlan(cells, cpu, pack={"cells": 2, "side_by_side": 2})
    assert EXECUTORS["slurm"].share(packed) == Share(4, 0, 3, 2)
    assert Local().share(BatchPlan((), {"gpus": [["0"], ["1"], ["0"]]})) == Share(3, 1, 1, 2)


def test_damaged_records_tell_nothing_and_stop_nothing(store, one, tiny):
    for name in ("done.json", "spent.json", "history.jsonl", "provenance/1.json"):
        path = one.path / name
        kept = path.read_text()
        for text in ("{", "[1]", '{"wall_s": "x"}', ""):
            path.write_text(text)
            for run in observe(store):  # of what is left nothing wrong is told
                assert run.step_s == pytest.approx(0.5) and run.rest_s == pytest.approx(10)
            priced(store, grid_of(tiny(1)))
        path.write_text(kept)
    assert len(observe(store)) == 1


def test_of_very_many_runs_the_latest_are_read(store, monkeypatch):
    for k in range(5):
        write_json(store.run(f"{k:016x}").done_path, {})
    asked = []
    monkeypatch.setattr("launch.price.observed.MOST_RUNS", 3)
    monkeypatch.setattr("launch.price.observed._observed", lambda run: asked.append(run.signature))
    observe(store, preferred=["0" * 16])
    assert len(asked) == 4 and asked[0] == "0" * 16


# --- the budget


@pytest.mark.parametrize("text", ["100h", "100", "1e2h"])
def test_a_budget_is_read(text):
    assert parse_budget(text).hours == 100
    assert parse_budget(None) is None


@pytest.mark.parametrize("text", ["", "h", "many", "0h", "-1h", "nanh", "infh", "3d"])
def test_a_budget_that_is_none_is_refused(text):
    with pytest.raises(UserError, match="expected device hours above 0, such as 100h"):
        parse_budget(text)


def test_a_budget_holds_for_launches_together(store, one, tiny):
    _, price = priced(store, grid_of(tiny(1, **{"train.steps": 1000})))
    budget = Budget(0.2)
    budget.charge(price, "g")
    with pytest.raises(UserError, match=r"g will cost 0.142 core hours .*exceeds --budget 0.0583h"):
        budget.charge(price, "g")


def test_a_price_that_is_unknown_keeps_to_no_budget(store, tiny):
    _, price = priced(store, grid_of(tiny(1), tiny(2)))
    with pytest.raises(UserError, match=r"what 2 cells \(c0, ...\) will cost is unknown.*--probe"):
        Budget(1000).charge(price, "g")


# --- predicted against spent


def test_spent_is_set_against_what_was_predicted_first(store, one, finished, tiny):
    configs = [tiny(k, **{"train.steps": 1000}) for k in (1, 2)]
    grid = grid_of(*configs)
    manifest = manifest_of(grid)
    _, price = priced(store, grid)
    remember(store, grid.name, price, [cell.signature for cell in grid.cells])
    assert spent_of(store, manifest) == []
    finished(configs[0], step_s=0.6, rest_s=10, threads=1)
    _, later = priced(store, grid)
    remember(store, grid.name, later, [grid.cells[1].signature])
    (spent,) = spent_of(store, manifest)
    assert (spent.runs, spent.unit) == (1, "core")
    assert spent.hours == pytest.approx(610 / 3600)
    assert spent.predicted.mid == pytest.approx(510 / 3600)
    assert spent_lines([spent]) == [
        "spent: 0.169 core hours in 1 finished runs; predicted: 0.142 (0.109 to 0.184)"
    ]
    finished(configs[1], step_s=0.5, threads=1)
    assert spent_of(store, manifest)[0].predicted.mid == pytest.approx(2 * 510 / 3600)


def test_damaged_predictions_are_none(store, one):
    grid = toy_grid(1)
    path = store.journal / "prices" / f"{grid.name}.json"
    signature = grid.cells[0].signature
    write_json(store.run(signature).done_path, {"wall_s": 5.0})
    for text in (
        "{",
        "[]",
        '{"cells": 3}',
        f'{{"cells": {{"{signature}": {{}}}}}}',
        f'{{"cells": {{"{signature}": 3}}}}',
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert spent_of(store, manifest_of(grid)) == []


# --- energy


def test_energy_is_priced_by_the_power_of_runs_and_set_against_what_was_spent(
    store, finished, tiny
):
    finished(tiny(**{"train.steps": 100}), threads=1, joules=60 * 20.0)  # 20 W
    configs = [tiny(k, **{"train.steps": 1000}) for k in (1, 2)]
    grid = grid_of(*configs)
    plan, price = priced(store, grid)
    assert price.watt_hours.mid == pytest.approx(20 * 2 * 510 / 3600)
    assert " Wh" in "\n".join(price_lines(plan, price))
    remember(store, grid.name, price, [cell.signature for cell in grid.cells])
    for config in configs:
        finished(config, step_s=0.5, threads=1, joules=36_000.0)
    (spent,) = spent_of(store, manifest_of(grid))
    assert spent.watt_hours == pytest.approx(20)
    assert spent.predicted_watt_hours.mid == pytest.approx(20 * 2 * 510 / 3600)
    assert "; 20 Wh; predicted: 5.67 (" in spent_lines([spent])[0]


def test_energy_that_is_not_a_runs_own_or_not_of_all_of_it_is_left_out(store, finished, tiny):
    finished(tiny(), threads=1, joules=500.0, attempts=2)  # of one of two attempts
    grid = grid_of(tiny(1), tiny(2))
    assert priced(store, grid)[1].watt_hours is None
    finished(tiny(3), threads=1, joules=500.0)
    assert priced(store, grid)[1].watt_hours is not None
    assert priced(store, grid, replace(LOCAL, jobs=2))[1].watt_hours is None
