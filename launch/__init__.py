"""Launchers: the same command as jobs on local processes, Slurm, TPU VMs and GKE.

Each target is a frozen dataclass of its options, whose fields are flags, with these methods:
`hardware()` says what jobs are held against before anything is created, `missing()` which options
must be given, and `start`, `status`, `logs` and `stop` drive it. None of them imports JAX, but for
the planner.
"""

from mm15_jax.launch.gke import Gke
from mm15_jax.launch.local import Local
from mm15_jax.launch.slurm import Slurm
from mm15_jax.launch.tpu_vm import TpuVm

TARGETS = {"local": Local, "slurm": Slurm, "tpu-vm": TpuVm, "gke": Gke}
