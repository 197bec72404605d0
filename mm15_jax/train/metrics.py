"""Where a run's figures go: metrics.jsonl, TensorBoard, and the progress line."""

from __future__ import annotations

import json
import logging
import math
import pathlib
import sys
import time
import typing

import tensorboardX

from mm15_jax.data.progress import duration
from mm15_jax.data.storage import Growing, telling, write_atomically

if typing.TYPE_CHECKING:  # what only reads figures starts without JAX
    from mm15_jax.config import MoEConfig
    from mm15_jax.model.moe import Auxiliary

log = logging.getLogger(__name__)


class MetricsWriter:
    """Appends one JSON object a log step to `metrics.jsonl` and the same to TensorBoard.

    A run that resumes at step k drops the rows after k first: they will be written again. In a
    bucket the files are renewed now and then, by `sync` and by `close`. A context manager.
    """

    def __init__(self, run_dir: pathlib.Path, *, resume_step: int):
        kept = [row for row in read_rows(run_dir / "metrics.jsonl") if row["step"] <= resume_step]
        self._growing = Growing(run_dir)
        path = self._growing.folder / "metrics.jsonl"
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept).encode())
        self._growing.sync()
        self._file = path.open("a")
        self._board = tensorboardX.SummaryWriter(
            str(self._growing.folder / "tensorboard"),
            purge_step=resume_step + 1,
            # Its names tell the second and the host: a quick second start would write over it.
            filename_suffix=f".{resume_step}",
        )

    def write(self, row: dict) -> None:
        """`row` must have "step" and "stage"; other numbers become scalars."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for key, value in row.items():
            if key != "step" and isinstance(value, int | float) and math.isfinite(value):
                self._board.add_scalar(key, value, row["step"])

    def sync(self) -> None:
        """Puts all rows where the run is, before a checkpoint counts on them."""
        self._board.flush()
        try:
            self._growing.sync()
        except OSError as error:  # they go with the next ones; a run does not end for its log
            log.warning("%s", error)

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *error) -> None:
        """Closes both files; rows are on disk since they were written."""
        self._file.close()
        self._board.close()
        self._growing.__exit__(*error)


def read_rows(path: pathlib.Path) -> list[dict]:
    """Rows of a file of JSON lines; a last line cut short by a crash is left out."""
    try:
        with telling(path):
            # A text in a row may hold what `splitlines` takes for an end of line, such as U+2028.
            lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:  # cut short, maybe within a letter, or nothing, behind the last end
            break
    return rows


def moe_row(figures: Auxiliary, moe: MoEConfig) -> dict:
    """Columns of the layers with experts, `moe/NAME/LAYER`, layers counted from 0.

    `moe/load/LAYER` is a list: the share of choices that each expert was. `moe/max_load/LAYER` is
    the largest, over the share that is fair.
    """
    row: dict = {}
    for i in range(len(figures.load_balance)):
        layer = (i + 1) * moe.every - 1
        for name in ("load_balance", "router_z", "dropped", "entropy"):
            row[f"moe/{name}/{layer}"] = float(getattr(figures, name)[i])
        load = [float(share) for share in figures.load[i]]
        row[f"moe/max_load/{layer}"] = max(load) * moe.experts
        row[f"moe/load/{layer}"] = [round(share, 6) for share in load]
    return row


class ProgressLine:
    """One line on stderr, rewritten in place on a terminal, printed every 15 s elsewhere."""

    def __init__(self, title: str, total: int, *, stream=None, seconds_between_lines: float = 15.0):
        self._title, self._total = title, total
        self._stream = stream or sys.stderr
        self._between = seconds_between_lines
        self._live = self._stream.isatty()
        self._last = -math.inf

    def update(self, done: int, text: str, seconds_left: float, *, final: bool = False) -> None:
        """Shows `done` of the total, `text` and the time left; `final` always prints a line."""
        now = time.monotonic()
        if not self._live and not final and now - self._last < self._between:
            return
        self._last = now
        line = f"{self._title} {done}/{self._total}  {text}  eta {duration(seconds_left)}"
        end = "\n" if final or not self._live else "\r"
        clear = "\x1b[K" if self._live else ""
        print(line + clear, end=end, file=self._stream, flush=True)
