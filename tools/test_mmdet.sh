#!/bin/sh
# Run the tests that need the extra "mmdet"; here its absence is a failure, not a skip.
#
#   tools/test_mmdet.sh [PYTHON]         (default: python)
set -eu
python=${1:-python}
cd "$(dirname "$0")/.."
"$python" -c 'import mmcv.ops, mmdet'
exec "$python" -m pytest -m mmdet tests/benchmarks
