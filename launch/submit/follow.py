"""Following a grid until it is over: what failed for a reason that may pass is tried again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace

from core.errors import UserError
from launch.executors.base import CellStatus, SubmissionError
from launch.submit.launcher import Launched, launch
from launch.submit.plan import SUBMITTED, LaunchRequest, plan_launch
from launch.submit.stranded import free
from launch.watch.survey import Survey, survey

REFUSALS = 3
"""In a row, with nothing queued or running, after which following gives up."""

HOPELESS_LOOKS = 2
"""In a row, at which nothing was left but cells that will never start, until it gives up."""

LONGEST_PAUSE_SECONDS = 600.0


def follow(
    request: LaunchRequest,
    *,
    interval: float,
    only: Collection[str] | None = None,
    show: Callable[[Survey], None] = lambda found: None,
) -> Survey:
    """Wait until no cell is queued or running; retry by the rules meanwhile.

    What the scheduler holds of its own accord is let go, as often as a cell may be retried.
    Where the scheduler takes no more jobs for now, it waits for room, however long that takes.

    Args:
        interval: seconds between two looks; each asks the scheduler once for all cells. After
            each retry, and each refusal to take one, the next look is twice as far.
        only: signatures of the runs that matter; none: all.
        show: called with what each look found.

    Returns:
        The last look.

    Raises:
        SubmissionError: a retry was refused time and again, and nothing else goes on.
        UserError: nothing is left but cells that will never start as they were asked for.
    """
    # whoever cancels a cell while we wait means it; a measurement just failed would fail again
    rules = request.rules
    rules = replace(rules, causes=rules.causes - {"cancelled"}, measurements=False)
    request = replace(request, rules=rules)
    needed = {s: m for s, m in request.grid.measures().items() if only is None or s in only}
    retries: Counter[str] = Counter()
    freed: Counter[str] = Counter()
    pause, refusals, no_room, hopeless = interval, 0, "", 0
    while True:
        found = survey(request.store, needed, record=True)
        show(replace(found, problems=[*found.problems, no_room]) if no_room else found)
        going = [s for s in found.cells.values() if s.state.name in ("queued", "running")]
        active = bool(going)
        hopeless = hopeless + 1 if _is_hopeless(going) else 0
        try:
            done = _retry(request, retries, needed)
            again, no_room = done is not None, (done and done.no_room) or ""
            again = _free(found, freed, rules.limit) or again
            refusals = 0
        except SubmissionError:
            again, refusals = True, refusals + 1
            if not active and refusals == REFUSALS:
                raise
        if not active and not again:
            return found
        if hopeless >= HOPELESS_LOOKS and not again:
            raise UserError("nothing is left that could start: " + "; ".join(found.problems))
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS) if again else interval


def _is_hopeless(going: Collection[CellStatus]) -> bool:
    """Whether none of the cells will start, those that wait for such a one included."""
    return any(cell.stuck for cell in going) and all(
        cell.stuck or cell.note.startswith("Dependency") for cell in going
    )


def _free(found: Survey, freed: Counter[str], limit: int) -> bool:
    """Let cells go that the scheduler holds of its own accord, each at most ``limit`` times."""
    stranded = [s for s, cell in found.cells.items() if cell.stranded and freed[s] < limit]
    free(found.cells[signature] for signature in stranded)
    freed.update(stranded)
    return bool(stranded)


def _retry(request: LaunchRequest, retries: Counter[str], only: Collection[str]) -> Launched | None:
    """Submit what is missing or tried again, each cell at most as often as the rules say.

    A cell that is tried again with more memory does not count: there is an end to that.

    Returns:
        What was submitted, if there was anything to submit, be there room for it or not.
    """
    plan = plan_launch(request, only=only)
    chosen = [c for c in plan.cells if c.action in SUBMITTED and c.cell.signature in only]
    grown = {c.cell.signature for c in chosen if c.memory}
    limit = request.rules.limit
    again = {c.cell.signature for c in chosen if retries[c.cell.signature] < limit} | grown
    if not again:
        return None
    done = launch(request, only=again, patient=True)
    retries.update(done.submitted - grown)
    return done
