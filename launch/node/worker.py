"""What a node runs for one task of a batch: ``python -m launch.node.worker --batch FILE ...``.

It stands between the scheduler and submitit's own entry, and makes it safe from the start:
signals are noted before anything slow is imported (a signal before submitit has its handlers
would kill the job), and a task whose launcher died before it could put the pickle in place makes
one from the batch's record.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import sys
import time
from pathlib import Path

from core.memory import keep_freed_memory
from launch.node import stop

PICKLE_PATIENCE_SECONDS = 3.0


def main(arguments: list[str]) -> None:
    """Run the task that the environment names, as submitit's ``_submit`` would."""
    stop.install()
    keep_freed_memory()
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(description="Run one task of a batch.")
    parser.add_argument("--batch", type=Path, required=True, help="the batch's record")
    # submitit appends its own command: -u -m submitit.core._submit FOLDER
    known, rest = parser.parse_known_args(arguments)
    folder = Path(rest[-1])
    from submitit.core.submission import process_job

    os.environ["SUBMITIT_FOLDER"] = str(folder)
    ensure_pickle(known.batch)
    process_job(folder)


def ensure_pickle(batch_file: Path) -> None:
    """Wait for the pickle that the launcher moves into place; make it if it does not come."""
    from submitit import JobEnvironment

    environment = JobEnvironment()
    pickle = environment.paths.submitted_pickle
    for path in (pickle, environment.paths.result_pickle):
        # what a copy that was killed left behind would make submitit's next save fail
        path.with_suffix(".pkl.save_tmp").unlink(missing_ok=True)
    deadline = time.monotonic() + PICKLE_PATIENCE_SECONDS
    while not pickle.exists():
        if time.monotonic() >= deadline:
            make_pickle(batch_file, int(environment.array_task_id or 0), pickle)
            return
        time.sleep(0.1)


def make_pickle(batch_file: Path, index: int, pickle: Path) -> None:
    """Write the submission that the launcher would have put at ``pickle``."""
    from submitit.core.utils import DelayedSubmission

    from core.files import temporary_name
    from launch.node.pack import job_of_batch

    submission = DelayedSubmission(job_of_batch(batch_file, index))
    temporary = temporary_name(pickle)
    submission.dump(temporary)
    temporary.replace(pickle)


if __name__ == "__main__":
    main(sys.argv[1:])
