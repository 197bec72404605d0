"""Puts the results of `mm15_nano_encoder`, `mm15_nano_text` and `mm15_nano_words` into the package.

mm15 train mm15_nano_encoder --run_dir runs/mm15_nano_encoder
mm15 train mm15_nano_text --run_dir runs/mm15_nano_text
python scripts/ship_nano_parts.py runs/mm15_nano_encoder runs/mm15_nano_text
mm15 train mm15_nano_words --run_dir runs/mm15_nano_words
python scripts/ship_nano_parts.py runs/mm15_nano_words
"""

import pathlib
import sys

from mm15_jax.checkpoint import run, shipped
from mm15_jax.train.metrics import read_rows

PARTS = {
    "mm15_nano_encoder": ("encoder",),
    "mm15_nano_text": ("decoder",),
    "mm15_nano_words": ("encoder", "connector", "decoder"),
}


def ship(run_dir: pathlib.Path) -> None:
    """Copies the parts of a run that the stages begin with, and how it was made."""
    config = run.read_config(run_dir)
    if config.name not in PARTS:
        sys.exit(f"{run_dir} is a run of {config.name}; expected one of {', '.join(PARTS)}")
    if not run.is_complete(run_dir):
        sys.exit(f"{run_dir} has not reached step {config.train.steps}")
    last = read_rows(run_dir / run.METRICS)[-1]
    metadata = {
        "command": f"mm15 train {config.name}",
        "seed": config.train.seed,
        "steps": config.train.steps,
        "loss": last["loss"],
        "data": "the generated miniature",
    }
    path = shipped.path_of(config.name)
    params = run.load_params(run_dir, config)
    shipped.save({part: params[part] for part in PARTS[config.name]}, path, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {metadata}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python scripts/ship_nano_parts.py RUN_DIR ...")
    for argument in sys.argv[1:]:
        ship(pathlib.Path(argument))
