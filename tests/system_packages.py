"""Install the programs that some tests need: Debian's packages, as root; else say what is missing.

python tests/system_packages.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "launch"))

from slurm_cluster import PACKAGES as SLURM_PACKAGES
from slurm_cluster import PATH, PROGRAMS

LATEX = "LaTeX (tests of the tables)"
STYLES = ("booktabs.sty", "siunitx.sty", "lmodern.sty")  # a LaTeX may be there without them

NEEDED = {
    "a real SLURM (tests of the launcher)": (PROGRAMS, SLURM_PACKAGES),
    LATEX: (
        ("pdflatex", "bibtex"),
        ("texlive-latex-base", "texlive-latex-recommended", "texlive-science", "lmodern"),
    ),
    "a browser (tests of the page)": (("chromium",), ("chromium",)),
}


def missing() -> dict[str, tuple[str, ...]]:
    """What is missing, and the packages that bring it."""
    return {
        what: packages
        for what, (programs, packages) in NEEDED.items()
        if any(shutil.which(program, path=PATH) is None for program in programs)
        or (what == LATEX and not all(map(_has_style, STYLES)))
    }


def _has_style(name: str) -> bool:
    found = subprocess.run(["kpsewhich", name], capture_output=True, check=False)
    return found.returncode == 0


def install(packages: list[str]) -> None:
    """Install Debian ``packages``; the tests that lack one will say so themselves."""
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*apt, "update"], check=False, env=environment)
    command = [*apt, "install", "-y", "--no-install-recommends", *packages]
    subprocess.run(command, check=False, env=environment, stdout=subprocess.DEVNULL)


def main() -> None:
    """Install what is missing where that is possible."""
    if (lacking := missing()) and os.geteuid() == 0 and shutil.which("apt-get"):
        install([package for packages in lacking.values() for package in packages])
    for what, packages in missing().items():
        print(f"missing: {what}; its tests will be skipped. Debian: {' '.join(packages)}")


if __name__ == "__main__":
    main()
