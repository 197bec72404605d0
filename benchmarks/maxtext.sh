#!/usr/bin/env bash
# MaxText 0.2.5 on the work that benchmarks/compare.py measures here, in an environment of its own.
#
# usage: benchmarks/maxtext.sh FOLDER setup | aot CASE... | cpu CASE...
#
# FOLDER takes the environment (6 GB), logs, and of each program its text and one JSON row in
# aot.jsonl. The environment needs Python 3.12: PYTHON312 names it where it is not on the PATH.
# Cases of aot: dense_full, dense_minimal, moe64_ragged, moe64_capacity, moe64_dropless; with _L1 or
# _L3 behind, one or three layers, unrolled. Cases of cpu: full, none, moe.
set -euo pipefail
FOLDER=$(mkdir -p "${1:?name a folder}" && cd "$1" && pwd)
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=$FOLDER/venv/bin/python
# The last: another process may compile for TPUs at the same time.
export TPU_SKIP_MDS_QUERY=1 JAX_PLATFORMS=cpu TF_CPP_MIN_LOG_LEVEL=3 ALLOW_MULTIPLE_LIBTPU_LOAD=1
CALLED=${2:?setup, aot or cpu}
shift 2

setup() {
  python3 -m venv "$FOLDER/uv"
  "$FOLDER/uv/bin/pip" install --quiet uv
  "$FOLDER/uv/bin/uv" venv --quiet --clear --python "${PYTHON312:-3.12}" "$FOLDER/venv" || {
    echo "MaxText 0.2.5 needs Python 3.12: PYTHON312=/path/to/python3.12 $0 $FOLDER setup" >&2
    exit 1
  }
  "$FOLDER/uv/bin/uv" pip install --quiet --python "$PYTHON" \
    'maxtext[tpu]==0.2.5' 'jax==0.12.0.1' 'libtpu==0.0.52'
}

base_yml() {
  "$PYTHON" -c 'import importlib.util as u; print(u.find_spec("maxtext").submodule_search_locations[0])'
}

# The widths of text_3b and text_moe64, of text_tiny on a CPU.
WIDE=(base_emb_dim=3072 base_num_query_heads=24 base_num_kv_heads=8 head_dim=128 base_mlp_dim=8192
  "mlp_activations=['silu','linear']" vocab_size=49152 max_target_length=4096
  per_device_batch_size=4 opt_type=adamw enable_dropout=false compile_topology=v5p-128
  compile_topology_num_slices=1)
EXPERTS=(decoder_block=mixtral num_experts=64 num_experts_per_tok=2 base_moe_mlp_dim=8192
  remat_policy=full load_balance_loss_weight=0.01)
TINY=(hardware=cpu dataset_type=synthetic skip_jax_distributed_system=true steps=20
  base_emb_dim=256 base_num_decoder_layers=4 base_num_query_heads=4 base_num_kv_heads=2 head_dim=64
  base_mlp_dim=1024 "mlp_activations=['silu','linear']" vocab_size=4096 max_target_length=512
  per_device_batch_size=8 enable_dropout=false opt_type=adamw attention=dot_product packing=true
  enable_goodput_recording=false log_config=false dtype=float32)
COMMON=(base_output_directory="$FOLDER/runs" jax_cache_dir= enable_checkpointing=false)

aot_case() {
  local name=$1 layers=() depth
  case $name in dense_*) depth=26 ;; *) depth=13 ;; esac
  case $name in
    *_L1) layers=(scan_layers=false base_num_decoder_layers=1) ;;
    *_L3) layers=(scan_layers=false base_num_decoder_layers=3) ;;
    *) layers=(base_num_decoder_layers="$depth") ;;
  esac
  case $name in
    dense_full*) CASE=("${WIDE[@]}" remat_policy=full) ;;
    dense_minimal*) CASE=("${WIDE[@]}" remat_policy=minimal_with_context) ;;
    moe64_ragged*) CASE=("${WIDE[@]}" "${EXPERTS[@]}" megablox=true sparse_matmul=true
      ici_expert_parallelism=16 ragged_buffer_factor=1.25) ;;
    moe64_capacity*) CASE=("${WIDE[@]}" "${EXPERTS[@]}" megablox=false sparse_matmul=false
      capacity_factor=1.25 ici_expert_parallelism=16) ;;
    moe64_dropless*) CASE=("${WIDE[@]}" "${EXPERTS[@]}" megablox=true sparse_matmul=true
      ici_expert_parallelism=16) ;;
    *) echo "no case $name" >&2; exit 2 ;;
  esac
  CASE+=("${layers[@]}")
}

cpu_case() {
  case $1 in
    full) CASE=("${TINY[@]}" remat_policy=full) ;;
    none) CASE=("${TINY[@]}" remat_policy=minimal_with_context) ;;
    moe) CASE=("${TINY[@]}" remat_policy=full decoder_block=mixtral num_experts=8
      num_experts_per_tok=2 base_moe_mlp_dim=1024 megablox=false sparse_matmul=false
      capacity_factor=1.25) ;;
    *) echo "no case $1" >&2; exit 2 ;;
  esac
}

case $CALLED in
  setup) setup ;;
  aot)
    for name in "$@"; do
      aot_case "$name"
      (cd "$FOLDER" && "$PYTHON" "$HERE/maxtext_compile.py" "$name" "$FOLDER/aot.jsonl" \
        "$(base_yml)/configs/base.yml" run_name="$name" "${COMMON[@]}" "${CASE[@]}") \
        >"$FOLDER/$name.log" 2>&1 || { tail -3 "$FOLDER/$name.log" >&2; exit 1; }
      tail -1 "$FOLDER/aot.jsonl"
    done
    ;;
  cpu)
    for name in "$@"; do
      cpu_case "$name"
      (cd "$FOLDER" && "$PYTHON" -m maxtext.trainers.pre_train.train \
        "$(base_yml)/configs/base.yml" run_name="cpu_$name" "${COMMON[@]}" "${CASE[@]}") \
        >"$FOLDER/cpu_$name.log" 2>&1 || { tail -3 "$FOLDER/cpu_$name.log" >&2; exit 1; }
      grep 'completed step' "$FOLDER/cpu_$name.log" | tail -1
    done
    ;;
  *) echo "setup, aot or cpu; not $CALLED" >&2; exit 2 ;;
esac
