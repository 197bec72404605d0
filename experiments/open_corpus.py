"""The nano model on real photographs, documents and maps (docs/open_corpus.md)."""

from mm15_jax.config import EvalConfig, ExperimentConfig, InitFrom, replace_nested
from mm15_jax.experiments import nano


def sft() -> ExperimentConfig:
    changes = {
        "name": "mm15_open_sft",
        "inputs.splitting.n_max": 9,
        "inputs.sequence_length": 512,
        "inputs.tiles_per_row": 20,
        "data.mixture": "open_sft",
        "train.steps": 400,
        "train.batch_rows": 8,
        "init_from": (InitFrom("mm15_nano_sft"),),
        "eval": EvalConfig(
            benchmarks=("open_stamps", "open_lines", "open_maps", "open_regions", "open_flags"),
            examples=64,
        ),
    }
    return replace_nested(nano.sft(), changes)


EXPERIMENTS = {"mm15_open_sft": sft}
