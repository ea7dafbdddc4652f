"""Run a module of the frozen copy that this file lies in: ``python -P START MODULE [WORD ...]``.

The copy comes before everything that Python would look for its modules in: PYTHONPATH, the
packages of the user's home, and the installed project, be it linked to a checkout.  It does so in
every process that is started from here, too.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the module as ``python -m`` would."""
    root = Path(__file__).resolve().parents[2]
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    sys.path.insert(0, str(root))
    for package in ("core", "launch"):  # a hook of the environment may still know better
        found = importlib.util.find_spec(package)
        if found is None or found.origin != str(root / package / "__init__.py"):
            origin = found.origin if found else None
            sys.exit(f"{root}: this environment has Python load {package} from {origin} instead")
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
