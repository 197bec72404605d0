#!/usr/bin/env bash
# Installs what the tests start a two-node Slurm of on this machine. Debian or Ubuntu, as root.
# Nothing is started, and no configuration of the system is changed: tests/launch has its own.
set -euo pipefail
for program in slurmctld slurmd srun munged; do
  command -v "$program" >/dev/null && continue
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurm-client slurmctld slurmd munge
  break
done
