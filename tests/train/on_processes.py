"""One process of a run of several; the tests start as many as they want.

Usage: python -m tests.train.on_processes RUN_DIR DATA_DIR STEPS dense|experts, with the environment
of `parallel.startup.join_processes`.
"""

import sys

from mm15_jax.config import MeshConfig, MoEConfig
from mm15_jax.data.storage import to_path
from mm15_jax.parallel.startup import start_jax
from tests import tiny

ROWS = 8
KINDS = {
    "dense": {"mesh": MeshConfig(data=2, fsdp=4)},
    "experts": {
        "mesh": MeshConfig(data=1, fsdp=2, expert=4),
        # Some choices are dropped: the same ones, wherever their row is.
        "model.decoder.moe": MoEConfig(experts=8, every=1, capacity_factor=1.0),
    },
}


def experiment(steps: int, kind: str):
    return tiny.experiment(
        **{
            "train.steps": steps,
            "train.batch_rows": ROWS,
            "train.log_every": 1,
            "checkpoint.every": 2,
            "optimizer.name": "adamw",
            "optimizer.schedule": "constant",
            "optimizer.warmup_steps": 0,  # else a longer run has another warm-up
            **KINDS[kind],
        }
    )


if __name__ == "__main__":
    run_dir, data_dir, steps, kind = sys.argv[1:]
    start_jax(ROWS)
    from mm15_jax.train.loop import train

    train(experiment(int(steps), kind), to_path(run_dir), to_path(data_dir))
