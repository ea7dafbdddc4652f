"""What a launch will cost: device hours, time on the clock, memory, each with a range."""

from __future__ import annotations

import heapq
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from statistics import median

from ablations.cell import Cell
from core.errors import UserError
from launch.costs import Costs
from launch.executors.base import BatchPlan, Executor, Share
from launch.executors.table import EXECUTORS
from launch.price.estimate import NOTHING, Point, Range, Rule
from launch.price.observed import Load, Observed, load_of, observe, takes_steps
from launch.records.journal import Batch
from launch.records.process import busy_now
from launch.records.store import Store
from launch.records.summary import last_line
from launch.submit.plan import LaunchPlan

PROBE_ADVICE = "tevit plan GRID --probe tries the dearest cell for a few steps"


@dataclass(frozen=True)
class CellPrice:
    """What a cell will take.

    Attributes:
        seconds: from its start to its end, on the clock.
        share: what it has of a machine meanwhile.
        device: in words.
        host: peak memory in bytes of its first process; None: not known.
        gpu: peak memory in bytes of that process's GPU.
        watt_hours: of its GPUs (or the machine's CPU packages); None: not measured, or other cells
            use them at the same time.
        scaled: no cell of the same kind has run there; others were scaled.
    """

    seconds: Range
    share: Share
    device: str
    host: Range | None
    gpu: Range | None
    watt_hours: Range | None
    scaled: bool

    @property
    def hours(self) -> Range:
        """GPU hours, or core hours where it has no GPU."""
        return self.seconds.times(self.share.units / 3600)


@dataclass(frozen=True)
class Price:
    """What a launch will cost.

    Attributes:
        cells: signature to the price of a run that is submitted, where there is one.
        unknown: names of the cells that are submitted at an unknown price.
        clock: seconds until all that have a price have ended, if nothing has to queue.
        runs: finished runs that the prices come of.
        busy: least and greatest load of a core while they ran, and now where that is known; empty:
            not recorded, or cells have GPUs.
        varies: largest factor by which the rule misses such a run of the same kind of cell by the
            others; 1: no kind ran twice.
        unmeasured: measurements that are wanted and that no such run has made; they are left out.
        under_way: what remains of the cells that are queued or running already, which is not in
            this price.
    """

    cells: Mapping[str, CellPrice] = field(default_factory=dict)
    unknown: Sequence[str] = ()
    clock: Range = NOTHING
    runs: int = 0
    busy: tuple[float, ...] = ()
    varies: float = 1.0
    unmeasured: frozenset[str] = frozenset()
    under_way: Price | None = None

    def hours(self, *, gpu: bool) -> Range:
        """GPU hours, or core hours of the cells without a GPU."""
        priced = [cell.hours for cell in self.cells.values() if bool(cell.share.gpus) == gpu]
        return reduce(Range.__add__, priced, NOTHING)

    @property
    def watt_hours(self) -> Range | None:
        """Of all cells together; None: of one it is not known."""
        known = [cell.watt_hours for cell in self.cells.values() if cell.watt_hours is not None]
        return reduce(Range.__add__, known) if known and len(known) == len(self.cells) else None

    @property
    def on_gpus(self) -> bool:
        """Whether it is GPU hours that count."""
        return any(cell.share.gpus for cell in self.cells.values())


def price_of(store: Store, plan: LaunchPlan, costs: Mapping[str, Costs]) -> Price:
    """What the cells that ``plan`` submits will cost, by the store's finished runs.

    Args:
        costs: of the cells' models, by signature.
    """
    going = under_way(plan)
    if not plan.batches and not going:
        return Price()
    runs = observe(store, [cell.signature for cell in plan.grid.all_cells])
    left = {c.cell.signature: _steps_left(store, c.cell, c.action == "new") for c in plan.cells}
    submitted = [(plan.target.executor, batch) for batch in plan.batches]
    price = _priced(submitted, runs, costs, left)
    begun = _priced(going, runs, costs, left, begun=True) if going else None
    return replace(price, under_way=begun)


def under_way(plan: LaunchPlan) -> list[tuple[Executor, BatchPlan]]:
    """The cells of a grid that are queued or running, as they were submitted."""
    groups: dict[str, tuple[Batch, list[Cell]]] = {}
    for cell in plan.cells:
        batch = cell.status.batch
        going = cell.first and cell.action in ("queued", "running")
        if going and batch is not None and batch.executor in EXECUTORS:
            groups.setdefault(batch.id, (batch, []))[1].append(cell.cell)
    return [
        (EXECUTORS[batch.executor], BatchPlan(tuple(cells), batch.parameters, pack=batch.pack))
        for batch, cells in groups.values()
    ]


def _priced(
    batches: Sequence[tuple[Executor, BatchPlan]],
    runs: Sequence[Observed],
    costs: Mapping[str, Costs],
    left: Mapping[str, int],
    *,
    begun: bool = False,
) -> Price:
    """Of batches, of which those that have ``begun`` are in the load that there is."""
    priced: dict[str, CellPrice] = {}
    unknown: list[str] = []
    used: dict[int, Observed] = {}
    varies, here = 1.0, True
    unmeasured: set[str] = set()
    for executor, batch in batches:
        try:
            share = executor.share(batch) if runs else None
        except (KeyError, TypeError, ValueError):  # the record of an older version
            share = None
        there = _on(executor, batch, share, runs) if share else []
        desk = _Desk(there, share or Share(1, 0, 1))
        if not (executor.device_parameters or desk.share.gpus):
            desk.busy = busy_now() + (0.0 if begun else _own_load(desk.share, len(batch.cells)))
        for cell in batch.cells:
            load = load_of(cell.config, costs.get(cell.signature, Costs()).multiply_adds)
            price = desk.price(load, frozenset(cell.measure), left[cell.signature])
            if price is None:
                unknown.append(cell.name)
            else:
                priced[cell.signature] = price
                unmeasured |= set(cell.measure) - desk.measured
        if desk.sold:
            used |= {id(run): run for run in there}
            varies = max(varies, desk.varies)
            here = here and not executor.device_parameters
    plans = [batch for _, batch in batches]
    clocks = [_clock(plans, priced, end) for end in ("low", "mid", "high")]
    loads = [run.busy for run in used.values() if run.busy is not None and not run.gpus]
    busy = (min(loads), max(loads), *([busy_now()] if here else [])) if loads else ()
    return Price(
        *(priced, tuple(unknown), Range(*clocks), len(used), busy, varies, frozenset(unmeasured))
    )


def _own_load(share: Share, cells: int) -> float:
    """What cells without a GPU add to the load of each core of this machine."""
    return min(share.cells, cells) * share.cores / (os.cpu_count() or 1)


def _steps_left(store: Store, cell: Cell, new: bool) -> int:
    """Training steps that a cell has before it."""
    if not takes_steps(cell.measure) or not cell.trains:
        return 0
    done = 0 if new else last_line(store.run(cell.signature)).get("step") or 0
    return max(0, cell.config.train.steps - int(done))


def _on(
    executor: Executor, batch: BatchPlan, share: Share, runs: Sequence[Observed]
) -> list[Observed]:
    """The runs that had the kind of device that the batch will have."""
    runs = [run for run in runs if run.shared == share.shared]
    if not runs:
        return []
    if names := executor.device_parameters:
        wanted = [batch.parameters.get(name) for name in names]
        return [
            run
            for run in runs
            if run.executor == executor.name and [run.parameters.get(n) for n in names] == wanted
        ]
    from benchmarks.machine.environment import cpu_model, gpus

    here = gpus()[0]["name"] if share.gpus else cpu_model()
    return [
        run
        for run in runs
        if run.device == here
        and run.gpus == share.gpus
        and (share.gpus or run.cores == share.cores)
    ]


class _Desk:
    """Prices cells of one batch by the runs on its kind of device.

    ``busy`` is the load of a core of the machine that is to be expected; None: it is not known.
    """

    def __init__(self, runs: Sequence[Observed], share: Share) -> None:
        self.runs, self.share, self.sold = runs, share, 0
        self.busy: float | None = None
        self.measured = frozenset[str]().union(*(run.measure for run in runs)) | {"train"}
        self._rules: dict[tuple[object, ...], Rule] = {}

    @property
    def varies(self) -> float:
        """By how much steps of the same kind of cell have differed."""
        rules = [rule for which, rule in self._rules.items() if which[0] == "step_s"]
        return max((rule.varies for rule in rules), default=1.0)

    def price(self, load: Load, measure: frozenset[str], steps: int) -> CellPrice | None:
        """Of a cell; None: no run tells."""
        step = self._ask("step_s", load, load.step_work) if steps else (NOTHING, "same")
        rest = self._ask("rest_s", load, load.test_work, measure)
        if step is None or rest is None:
            return None
        self.sold += 1
        host, gpu = (self._ask(name, load, load.pass_work) for name in ("host_peak", "gpu_peak"))
        seconds = step[0].times(steps) + rest[0]
        watts = [run.watts for run in self.runs if run.watts is not None]
        return CellPrice(
            seconds=seconds,
            share=self.share,
            device=", ".join(sorted({run.device for run in self.runs})),
            host=host and host[0],
            gpu=gpu and gpu[0],
            watt_hours=seconds.times(median(watts) / 3600) if watts and self.share.alone else None,
            scaled=step[1] == "scaled",
        )

    def _ask(
        self, value: str, load: Load, work: float | None, measure: frozenset[str] | None = None
    ) -> tuple[Range, str] | None:
        which = (value, load.data, load.precision, measure)
        if which not in self._rules:
            like = [
                run
                for run in self.runs
                if (run.load.data, run.load.precision) == (load.data, load.precision)
            ]
            # what is measured besides takes its own time
            equal = [run for run in like if run.measure == measure]
            by = {"step_s": "step_work", "rest_s": "test_work"}.get(value, "pass_work")
            on_clock = value in ("step_s", "rest_s") and not self.share.gpus
            self._rules[which] = Rule(
                [
                    Point(
                        run.load.key,
                        run.load.family,
                        getattr(run.load, by),
                        getattr(run, value) or 0.0,
                        run.busy if on_clock else None,
                    )
                    for run in equal or like
                ]
            )
        return self._rules[which].predict(Point(load.key, load.family, work, busy=self.busy))


def _clock(batches: Sequence[BatchPlan], priced: Mapping[str, CellPrice], end: str) -> float:
    """Seconds until the last cell has ended, each batch with as many at a time as it may."""
    ends: dict[str, float] = {}
    for batch in batches:
        begin = ends.get(batch.after or "", 0.0)
        free: list[float] = []
        for cell in batch.cells:
            if cell.signature not in priced:
                continue
            price = priced[cell.signature]
            full = len(free) >= price.share.cells
            start = heapq.heappop(free) if full else begin
            if cell.start is not None:
                start = max(start, ends.get(cell.start.signature, 0.0))
            ends[cell.signature] = start + getattr(price.seconds, end)
            heapq.heappush(free, ends[cell.signature])
    return max(ends.values(), default=0.0)


class Budget:
    """Device hours that launches together may cost: GPU hours, or core hours without GPUs."""

    def __init__(self, hours: float) -> None:
        self.hours = self.left = hours

    def charge(self, price: Price, grid: str) -> None:
        """Take the expected price of a launch off what is left.

        Raises:
            UserError: it exceeds that, or is not known for a cell.
        """
        if price.unknown:
            raise UserError(
                f"{grid}: what {_some(price.unknown)} will cost is unknown, so --budget "
                f"{self.hours:g}h cannot be kept; nothing was submitted. {PROBE_ADVICE}"
            )
        hours = price.hours(gpu=price.on_gpus)
        unit = "GPU" if price.on_gpus else "core"
        if hours.mid > self.left:
            raise UserError(
                f"{grid} will cost {hours.mid:.3g} {unit} hours ({hours.low:.3g} to "
                f"{hours.high:.3g}), which exceeds --budget {self.left:.3g}h; nothing was submitted"
            )
        self.left -= hours.mid


def parse_budget(text: str | None) -> Budget | None:
    """``100h``, ``100`` or ``0.5h`` of GPUs (or CPU cores).

    Raises:
        UserError: no number of hours.
    """
    if text is None:
        return None
    try:
        hours = float(text.removesuffix("h"))
    except ValueError:
        hours = 0.0
    if not 0 < hours < float("inf"):
        raise UserError(f"--budget {text}: expected device hours above 0, such as 100h")
    return Budget(hours)


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} cells ({names[0]}, ...)"
