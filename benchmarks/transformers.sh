#!/usr/bin/env bash
# The environment of transformers that benchmarks/generation.py measures against, about 1 GB.
#
# usage: benchmarks/transformers.sh FOLDER
set -euo pipefail
FOLDER=$(mkdir -p "${1:?name a folder}" && cd "$1" && pwd)
[ -x "$FOLDER/bin/python" ] || "${PYTHON:-python3.11}" -m venv "$FOLDER"
"$FOLDER/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 numpy
