"""Following a grid until it is over: what failed for a reason that may pass is tried again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ablations.grid import Grid
from launch.records.store import Store
from launch.submit.launcher import launch
from launch.submit.plan import SUBMITTED, Target, make_plan, wanted
from launch.submit.retry import RetryRules
from launch.watch.survey import Survey, survey


def follow(
    store: Store,
    grid: Grid,
    target: Target,
    rules: RetryRules,
    *,
    interval: float,
    show: Callable[[Survey], None] = lambda found: None,
) -> Survey:
    """Wait until no cell is queued or running; retry by the rules meanwhile.

    Args:
        interval: seconds between two looks; each asks the scheduler once for all cells.
        show: called with what each look found.

    Returns:
        The last look.
    """
    # whoever cancels a cell while we wait means it; a measurement just failed would fail again
    rules = replace(rules, causes=rules.causes - {"cancelled"}, measurements=False)
    retries: Counter[str] = Counter()
    while True:
        found = survey(store, wanted(grid), record=True)
        show(found)
        active = [s for s in found.cells.values() if s.state.name in ("queued", "running")]
        if retry(store, grid, target, rules, retries):
            continue
        if not active:
            return found
        time.sleep(interval)


def retry(
    store: Store, grid: Grid, target: Target, rules: RetryRules, retries: Counter[str]
) -> bool:
    """Submit what the rules try again, each cell at most ``rules.limit`` times."""
    plan = make_plan(store, grid, target, rules)
    again = {c.cell.signature for c in plan.cells if c.action in SUBMITTED}
    again = {signature for signature in again if retries[signature] < rules.limit}
    if not again:
        return False
    retries.update(again)
    launch(store, grid, target, rules, only=again)
    return True
