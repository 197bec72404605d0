"""The best parameters of a run so far, by a score of evaluation in training."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from mm15_jax.checkpoint import run
from mm15_jax.checkpoint.manager import Checkpoints
from mm15_jax.config import CheckpointConfig
from mm15_jax.data import storage
from mm15_jax.parallel.startup import is_main


class BestParams:
    """Keeps the parameters of the step with the highest score; of equal ones, the first.

    They are written beside the run's checkpoints, so that these may come and go.
    """

    def __init__(self, run_dir: pathlib.Path, score: str, resume_step: int):
        """Reads what was kept up to `resume_step`; what came after will come again."""
        self._run_dir, self._score = run_dir, score
        self._value: float | None = None
        path = run_dir / run.BEST_SCORE
        if path.is_file():
            kept = json.loads(path.read_text())
            if kept["score"] == score and kept["step"] <= resume_step:
                self._value = kept["value"]

    def offer(self, step: int, value: float, params: Any) -> bool:
        """Keeps `params` if the score is the highest so far; says whether it is."""
        if self._value is not None and value <= self._value:
            return False
        checkpoints = Checkpoints(self._run_dir / run.BEST, CheckpointConfig(keep=1))
        try:
            # A run that was killed may have kept a later one, which it now comes to again.
            checkpoints.drop_from(step)
            checkpoints.save_params(step, params)
            checkpoints.wait()
        finally:
            checkpoints.close()
        self._value = value
        if is_main():
            text = json.dumps({"step": step, "score": self._score, "value": value}) + "\n"
            storage.write_atomically(self._run_dir / run.BEST_SCORE, text.encode())
        return True
