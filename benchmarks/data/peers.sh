#!/usr/bin/env bash
# The other loaders that benchmarks/data/loaders.py measures, each in an environment of its own.
#
# usage: benchmarks/data/peers.sh FOLDER
#
# FOLDER takes four environments of about 1 GB: torch, webdataset, streaming, energon.
set -euo pipefail
FOLDER=$(mkdir -p "${1:?name a folder}" && cd "$1" && pwd)
# What decoding, tiling and tokenising take, ours as well as Pillow's.
WORK=('numpy<3' pillow simplejpeg opencv-python-headless sentencepiece tokenizers)

make_environment() {
  local name=$1
  shift
  [ -x "$FOLDER/$name/bin/python" ] || "${PYTHON:-python3.11}" -m venv "$FOLDER/$name"
  "$FOLDER/$name/bin/pip" install --quiet torch==2.13.0 "${WORK[@]}" "$@"
}

make_environment torch
make_environment webdataset webdataset
make_environment streaming mosaicml-streaming
make_environment energon megatron-energon
