#!/usr/bin/env bash
# The tests that depend on versions (pytest marker `versions`) in an environment of their own:
#   tools/test_versions.sh FOLDER PYTHON RESOLUTION
# RESOLUTION is uv's: lowest-direct for the oldest libraries that setup.cfg promises, highest for
# the newest.  `uv` is looked for on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 python=$2 resolution=$3
export UV_PYTHON_DOWNLOADS=never
uv venv --quiet --clear --python "$python" "$folder"
# the project alone: what its own promise allows; then what runs the tests, as new as it comes
uv pip install --quiet --python "$folder/bin/python" --resolution "$resolution" --editable .
uv pip install --quiet --python "$folder/bin/python" \
    pytest pytest-timeout hypothesis statsmodels av tensorboard
"$folder/bin/python" -c 'import sys, torch, torchvision, numpy, pandas, pydantic, submitit
print("python", sys.version.split()[0], *(f"{m.__name__} {m.__version__}" for m in (
    torch, torchvision, numpy, pandas, pydantic, submitit)))'
"$folder/bin/python" -m pytest -m versions ${PYTEST_ARGS:-}
