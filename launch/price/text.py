"""A price in words."""

from __future__ import annotations

from collections.abc import Sequence

from launch.price.estimate import UNTRIED, Range
from launch.price.price import CellPrice, Price
from launch.price.record import Spent
from launch.submit.plan import LaunchPlan
from launch.watch.status import duration

GIB = 2**30


def price_lines(plan: LaunchPlan, price: Price) -> list[str]:
    """What a launch will cost, by what that is known, and what is not."""
    count = len(price.cells) + len(price.unknown)
    lines = _under_way(price.under_way) if price.under_way else []
    if not count:
        return lines
    if price.cells:
        parts = _hours(price)
        low, mid, high = (duration(s) for s in (price.clock.low, price.clock.mid, price.clock.high))
        slots = max(cell.share.cells for cell in price.cells.values())
        parts.append(f"{mid} on the clock ({low} to {high}), {slots} at a time")
        if price.watt_hours is not None:
            parts.append(f"{_spread(price.watt_hours)} Wh")
        lines.append("price: " + ", ".join(parts))
        cells = price.cells.values()
        lines += [f"memory of a cell: up to {text}" for text in _memory(list(cells))]
        devices = "; ".join(dict.fromkeys(cell.device for cell in cells))
        scaled = sum(cell.scaled for cell in cells)
        how = f"; {scaled} of {len(cells)} cells scaled by multiply-adds" if scaled else ""
        lines.append(f"by {price.runs} finished runs on {devices}{how}")
        lines += _supposed(price)
    if price.unknown:
        which = "" if len(price.unknown) == count else f" for {len(price.unknown)} of {count} cells"
        lines.append(
            f"price: unknown{which}: no finished run of such cells on such a device tells it; "
            "--probe tries the dearest cell for a few steps"
        )
    if price.unmeasured:
        names = ", ".join(sorted(price.unmeasured))
        lines.append(f"not in the price: {names}, which no finished run has measured there")
    return lines + _late(plan, price)


def _supposed(price: Price) -> list[str]:
    """What no finished run tells: how busy a device will be."""
    lines = []
    if price.busy:
        low, high, *now = price.busy
        least, most = f"{low:.1f}", f"{high:.1f}"
        spread = most if least == most else f"{least} to {most}"
        lines.append(
            f"it supposes as busy a machine as then: a load of {spread} for each core"
            + (f"; now it is {now[0]:.1f}" if now else "")
        )
    if price.varies > UNTRIED["same"]:
        lines.append(
            f"such cells have differed by a factor of up to {price.varies:.2g} there, with nothing "
            "changed but seed and schedule"
        )
    return lines


def _hours(price: Price) -> list[str]:
    each = (("GPU", price.hours(gpu=True)), ("core", price.hours(gpu=False)))
    return [f"{_spread(hours)} {unit} hours" for unit, hours in each if hours.mid]


def _under_way(price: Price) -> list[str]:
    count = len(price.cells) + len(price.unknown)
    left = " and ".join(_hours(price)) or "an unknown price"
    if price.cells and price.unknown:
        left += f", and an unknown price of {len(price.unknown)},"
    cells = "1 cell is" if count == 1 else f"{count} cells are"
    return [f"{cells} queued or running already: {left} to go, which no price below counts"]


def _late(plan: LaunchPlan, price: Price) -> list[str]:
    """Cells that their time limit would interrupt."""
    late = [
        cell.name
        for batch in plan.batches
        for cell in batch.cells
        if (priced := price.cells.get(cell.signature)) is not None
        and (minutes := batch.settings.get("minutes")) is not None
        and priced.seconds.mid > 60 * minutes
    ]
    if not late:
        return []
    return [f"{len(late)} cells will take longer than their time limit: requeued, they resume"]


def _memory(cells: Sequence[CellPrice]) -> list[str]:
    host = [cell.host for cell in cells if cell.host is not None]
    gpu = [cell.gpu for cell in cells if cell.gpu is not None]
    found = [("of the host", host), ("of a GPU", gpu)]
    return [f"{_spread(_most(ranges), 1 / GIB)} GiB {of}" for of, ranges in found if ranges]


def _most(ranges: Sequence[Range]) -> Range:
    return max(ranges, key=lambda one: one.mid)


def _spread(one: Range, factor: float = 1.0) -> str:
    one = one.times(factor)
    return f"{one.mid:.3g} ({one.low:.3g} to {one.high:.3g})"


def spent_lines(spent: Sequence[Spent]) -> list[str]:
    """What finished runs have taken, against what was predicted of them."""
    return [
        f"spent: {one.hours:.3g} {one.unit} hours in {one.runs} finished runs; "
        f"predicted: {_spread(one.predicted)}" + _energy(one)
        for one in spent
    ]


def _energy(spent: Spent) -> str:
    if spent.watt_hours is None:
        return ""
    predicted = spent.predicted_watt_hours
    against = "" if predicted is None else f"; predicted: {_spread(predicted)}"
    return f"; {spent.watt_hours:.3g} Wh{against}"
