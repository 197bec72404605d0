#!/usr/bin/env bash
# One host of a TPU VM, told over SSH by `mm15 launch tpu-vm`. Whatever it was told, it ends with the
# line "mm15-host NAME absent | running | stopped | ended CODE", by which the launcher counts hosts;
# after it digests of the job and the tree that it began with, as "job=DIGEST tree=DIGEST".
#   worker.sh setup      takes what lies in sent/: the job, and unless it is set up already the tree;
#                        nothing while a job runs
#   worker.sh start      begins job.sh in the background; nothing if it was begun already, of the
#                        same tree
#   worker.sh state      prints the last line of the log too
#   worker.sh clear N    ends what runs: told to save, and killed after N seconds
#   worker.sh restart    begins job.sh anew, after a crash
#   worker.sh stop N     as clear, and the job is not to begin again
set -euo pipefail
cd "$(dirname "$0")"

setup() {
  local digest
  # A launcher that lost its patience tries again while the earlier set-up may still be at it.
  exec 9> lock
  flock 9
  if lives; then
    # It goes on with the code that it began with.
    if cmp --quiet sent/job.sh begun.sh; then return; fi
    echo "another job runs on $(hostname); mm15 launch tpu-vm stop ends it" >&2
    exit 3
  fi
  digest=$(cat sent/source.sha256)
  mv sent/job.sh sent/source.sha256 .
  if [[ -f ready && $(cat ready) == "$digest" ]]; then return; fi
  # In the place of an earlier tree, not over it: all files have one and the same time, by which
  # setuptools would keep its build/ of earlier files, and what was deleted would stay.
  rm -rf ready source
  mv sent/source .
  python3 -m pip install --quiet --upgrade --target tools uv
  # The lock file says which versions; extras what a worker needs.
  tools/bin/uv venv --quiet --clear --python 3.11 venv
  tools/bin/uv pip install --quiet --python venv/bin/python \
    --constraint source/requirements.lock 'mm15_jax[tpu,gcs] @ ./source'
  echo "$digest" > ready
}

# Processes of the job are there: while it runs, and what it may leave.
running() { [[ -f pid ]] && kill -0 -- "-$(cat pid)" 2> /dev/null; }

lives() { [[ ! -f exit_code ]] && running; }

start() {
  if lives; then return; fi
  if [[ -f begun.sh ]] && cmp --quiet job.sh begun.sh; then
    if [[ -f stopped ]] || cmp --quiet source.sha256 begun.sha256; then return; fi
  fi
  begin
}

begin() {
  rm -f exit_code stopped
  cp job.sh begun.sh
  cp source.sha256 begun.sha256
  # A session of its own: it lives on when SSH ends, and its processes are told together.
  setsid bash -c 'bash begun.sh >> log 2>&1; echo $? > exit_code' < /dev/null > /dev/null 2>&1 &
  echo $! > pid
  # Its group is there a moment later; told before that, it would count as killed.
  for ((i = 0; i < 100; i++)); do
    if running || [[ -f exit_code ]]; then break; fi
    sleep 0.1
  done
}

state() {
  local what=absent begun=
  if [[ -f stopped ]]; then
    what=stopped
  elif [[ -f exit_code ]]; then
    what="ended $(cat exit_code)"
  elif running; then
    what=running
  elif [[ -f pid ]]; then
    what="ended 137" # the host was started anew, or something killed all of it
  fi
  if [[ -f begun.sha256 ]]; then
    begun=" job=$(sha256sum begun.sh | cut -c 1-12) tree=$(cut -c 1-12 begun.sha256)"
  fi
  echo "mm15-host $(hostname) $what$begun"
}

last_line() {
  if [[ -f log ]]; then echo "mm15-log $(tail -c 400 log | tr '\r' '\n' | tail -n 1)"; fi
}

clear() {
  if ! running; then return; fi
  # The shells end by it too, and leave no exit code; the training saves.
  kill -TERM -- "-$(cat pid)"
  for ((i = 0; i < $1; i++)); do
    if ! running; then break; fi
    sleep 1
  done
  if running; then kill -KILL -- "-$(cat pid)"; fi
  if [[ ! -f exit_code ]]; then echo 143 > exit_code; fi
}

case ${1:-} in
  setup | start) "$1" ;;
  state) last_line ;;
  restart) begin ;;
  clear) clear "$2" ;;
  stop)
    touch stopped
    clear "$2"
    ;;
  *)
    echo "worker.sh: expected setup, start, restart, state, clear or stop, not '${1:-}'" >&2
    exit 2
    ;;
esac
state
