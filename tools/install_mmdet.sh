#!/bin/sh
# Install the extra "mmdet": mmcv-full and mmdet, models to measure beside ours, and references of tests.
#
#   tools/install_mmdet.sh [PYTHON]      (default: python)
#
# mmcv-full has no wheel for current Python, so its operators are compiled against the installed
# torch: about 9 minutes on two cores (MAX_JOBS=1 uses one).  It is compiled for CUDA where torch
# sees a GPU and nvcc is installed, else for the CPU.
set -eu
python=${1:-python}
version=1.7.2
"$python" -c 'import torch' || { echo "install the project first: pip install -e ." >&2; exit 1; }
# its setup.py needs pkg_resources, which setuptools dropped in version 81
"$python" -m pip install 'setuptools<81' wheel ninja
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip download --no-deps --no-binary mmcv-full --no-build-isolation -d "$folder" \
    "mmcv-full==$version"
tar -xf "$folder"/mmcv*full-$version.tar.gz -C "$folder"
source=$(echo "$folder"/mmcv*full-$version)
# torch's headers need C++20 by now, which mmcv asks its compiler not to speak
sed -i 's/-std=c++1[47]/-std=c++20/g' "$source/setup.py"
echo "compiling the operators of mmcv-full: ten minutes or more on two cores, and no word meanwhile"
# Python's own flags ask for debug information, which more than doubles the time
CFLAGS="${CFLAGS:-} -g0" MMCV_WITH_OPS=1 "$python" -m pip install --no-build-isolation "$source"
"$python" -m pip install --no-build-isolation 'mmdet==2.28.2'
"$python" -c 'import mmcv.ops, mmdet; print("mmcv", mmcv.__version__, "mmdet", mmdet.__version__)'
