#!/bin/sh
# Makes an environment of its own for an evaluation harness, with this repository installed in it.
#
#   scripts/make_harness_env.sh lm_eval [DIR]      # lm-eval 0.4.13, no torch, 2 GB
#   scripts/make_harness_env.sh lmms_eval [DIR]    # lmms-eval 0.7.3 with torch, 5 GB
#
# DIR is .venvs/HARNESS by default. Tests find it there, or by MM15_HARNESS_ENVS (the folder of both).
# A second call on a finished environment does nothing.
set -eu

harness=${1:-}
case "$harness" in
  lm_eval | lmms_eval) ;;
  *)
    echo "usage: $0 lm_eval|lmms_eval [DIR]" >&2
    exit 2
    ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
directory=${2:-$root/.venvs/$harness}
python=${PYTHON:-python3.11}
[ -e "$directory/.complete-$harness" ] && exit 0

"$python" -m venv "$directory"
"$directory/bin/python" -m pip install --quiet uv
install() { "$directory/bin/uv" pip install --quiet --python "$directory/bin/python" "$@"; }

if [ "$harness" = lm_eval ]; then
  install "lm-eval==0.4.13" --editable "$root[eval]"
else
  # pip chooses a build for the CPU where the machine's index offers one; uv does not look there.
  "$directory/bin/python" -m pip install --quiet "torch==2.13.0"
  # lmms-eval asks for av below 16, and clips are decoded by 18: the newer one, which both work with.
  overrides=$(mktemp)
  trap 'rm -f "$overrides"' EXIT
  echo "av>=18" > "$overrides"
  # It reaches into filelock, of which version 4 is another.
  install "torch==2.13.0" "lmms-eval==0.7.3" "filelock<4" --editable "$root" --override "$overrides"
  # It comes with lmms-eval, but does not import beside a CPU build of torch; transformers does
  # without it.
  "$directory/bin/uv" pip uninstall --quiet --python "$directory/bin/python" torchvision || true
fi
touch "$directory/.complete-$harness"
