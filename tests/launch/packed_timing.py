"""How long 200 cells of two seconds take, each in a job of its own and packed.

    python tests/launch/packed_timing.py [CELLS [SECONDS [JOBS]]]

On the tests' own SLURM, JOBS jobs at a time (as on so many GPUs); prints seconds to the end.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from launch.submit.plan import LaunchRequest


def main(cells: int = 200, seconds: float = 2.0, jobs: int = 8) -> None:
    """Both ways, one after the other, on one cluster."""
    from slurm_cluster import Cluster, wait_for
    from toy_cells import write_toy
    from toy_grids import slurm_target, toy_grid

    from launch.records.store import Store
    from launch.submit.launcher import launch

    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "slurm")
        os.environ.update({name: cluster.environment[name] for name in ("PATH", "SLURM_CONF")})
        os.environ["PYTHONPATH"] = str(Path(__file__).parent)
        ways = {"a job each": None, "packed": {"cells": -(-cells // jobs)}}
        ways["packed, 2 side by side"] = {"cells": -(-cells // jobs), "side_by_side": 2}
        try:
            cluster.start()
            for way, pack in ways.items():
                store, grid = Store(Path(folder) / way), toy_grid(cells)
                runs = [store.run(cell.signature) for cell in grid.cells]
                for run in runs:
                    write_toy(run.path, steps=1, sleep=seconds)
                own = {"cpus": 1, "memory": "300M", "time": 30, "array_parallelism": jobs}
                begin = time.monotonic()
                launch(LaunchRequest(store, grid, slurm_target(pack=pack, **own)))
                wait_for(lambda: all(run.done_path.exists() for run in runs), 3600, way)  # noqa: B023
                print(f"{way}: {time.monotonic() - begin:.0f} s", flush=True)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
