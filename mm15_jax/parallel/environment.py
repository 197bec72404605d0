"""Environment variables by which a process learns that it is one of several. No JAX."""

import os

DISTRIBUTED = "MM15_DISTRIBUTED"  # "auto" joins the processes of a cluster that JAX knows
# Processes that are named by hand. JAX's own names.
COORDINATOR, PROCESSES, PROCESS = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
CPU_DEVICES = "JAX_NUM_CPU_DEVICES"  # of each process, where there is no accelerator


def is_one_of_several() -> bool:
    """Whether this process is to be joined to others; see `parallel.startup.join_processes`."""
    return bool(os.environ.get(COORDINATOR) or os.environ.get(DISTRIBUTED))
