"""Asynchronous Orbax checkpoints of a training run: parameters, optimizer state, data state."""

from __future__ import annotations

import contextlib
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from mm15_jax.config import CheckpointConfig
from mm15_jax.data import storage

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one run.

    A step's three items are separate, so that a later stage reads the parameters alone:
    `params`, `opt_state`, and `data`: the data state of `data/history.py`, one integer and what it
    counts.
    A save that was cut short leaves no step behind; the one before stays valid.
    """

    def __init__(self, directory: pathlib.Path, config: CheckpointConfig | None = None):
        """Opens `directory`; with `config` for writing, without for reading only.

        Raises ValueError for a place where Orbax keeps no checkpoints.
        """
        check_place(directory)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=config.keep if config else None, create=config is not None
        )
        # Named here so that a reader can ask for an item's shapes before it restores the item.
        handlers = {
            "params": ocp.StandardCheckpointHandler(),
            "opt_state": ocp.StandardCheckpointHandler(),
            "data": ocp.JsonCheckpointHandler(),
        }
        self._manager = ocp.CheckpointManager(
            storage.absolute(directory), options=options, item_handlers=handlers
        )
        self._directory = directory

    @property
    def latest_step(self) -> int | None:
        """The newest step that is whole on disk; None where there is none."""
        return self._manager.latest_step()

    def save(self, step: int, params, opt_state, data: dict) -> None:
        """Starts a save; returns once the values are copied, and waits for an earlier save."""
        self._manager.save(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(params),
                opt_state=ocp.args.StandardSave(opt_state),
                data=ocp.args.JsonSave(data),
            ),
        )

    def save_params(self, step: int, params) -> None:
        """As `save`, of parameters alone."""
        args = ocp.args.Composite(params=ocp.args.StandardSave(params))
        self._manager.save(step, args=args, force=True)

    def drop_from(self, step: int) -> None:
        """Deletes the checkpoints of `step` and of later steps."""
        for later in self._manager.all_steps():
            if later >= step:
                self._manager.delete(later)

    def restore(self, step: int, params, opt_state) -> tuple[Any, Any, dict]:
        """(parameters, optimizer state, data state) of `step`, sharded as the given abstract trees.

        Raises ValueError, naming the first parameter that differs, where shapes do not fit.
        """
        self._check_shapes(step, params)
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(params),
                opt_state=ocp.args.StandardRestore(opt_state),
                data=ocp.args.JsonRestore(),
            ),
        )
        return restored["params"], restored["opt_state"], restored["data"]

    def restore_params(self, step: int, params) -> Any:
        """Parameters alone, sharded as the given abstract tree."""
        self._check_shapes(step, params)
        args = ocp.args.Composite(params=ocp.args.StandardRestore(params))
        return self._manager.restore(step, args=args)["params"]

    def _check_shapes(self, step: int, params) -> None:
        metadata = self._manager.item_metadata(step)["params"]
        saved = flat_shapes(getattr(metadata, "tree", metadata))
        compare_shapes(flat_shapes(params), saved, f"step {step} of {self._directory}")

    @contextlib.contextmanager
    def whole_at_the_end(self) -> Iterator[None]:
        """Closes when the last save is on disk, also after an error, which goes before one of it.

        A save under way would end with the process, and leave nothing. What ends a process at once
        (a second Ctrl-C) is not kept waiting.
        """
        try:
            yield
        except Exception:
            try:
                self.wait()
            except Exception as error:  # second to what ended the run, which is raised
                log.warning("the save under way failed too: %s", error)
            raise
        self.wait()
        self.close()

    def wait(self) -> None:
        """Until the last save is on disk; raises what it raised."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Frees the manager's threads; `wait` first where a save may be under way."""
        self._manager.close()


def check_place(path: pathlib.Path) -> None:
    """ValueError for a path that Orbax cannot keep checkpoints under."""
    if storage.is_remote(path) and not str(path).startswith("gs://"):
        raise ValueError(
            f"{path} cannot hold a run: Orbax keeps checkpoints in a folder or under gs://; data "
            "sets alone may be elsewhere"
        )


def flat_shapes(tree) -> dict[str, tuple[int, ...]]:
    """`encoder/layers/...` to shape."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {path_name(path): tuple(leaf.shape) for path, leaf in leaves}


def path_name(path) -> str:
    """A JAX key path as `a/b/c`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def compare_shapes(wanted: dict, saved: dict, where: str) -> None:
    """ValueError for the first parameter that is missing, extra or of another shape in `saved`."""
    for name in wanted:
        if name not in saved:
            raise ValueError(f"{where} has no parameter {name!r}: it is of another architecture")
        if wanted[name] != saved[name]:
            raise ValueError(
                f"parameter {name!r} has shape {saved[name]} in {where}, but the experiment's is "
                f"{wanted[name]}: the run was trained with another model config"
            )
    extra = sorted(set(saved) - set(wanted))
    if extra:
        raise ValueError(
            f"{where} has parameter {extra[0]!r}, which the experiment does not have: "
            "it is of another architecture"
        )
