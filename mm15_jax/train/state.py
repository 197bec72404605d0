"""What a step reads and writes: shapes, dtypes and shardings, before anything is allocated."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mm15_jax.config import ExperimentConfig, ModelConfig
from mm15_jax.data.batch import BatchShape, empty_batch
from mm15_jax.model import mllm
from mm15_jax.parallel.mesh import batch_divisor, batch_sharding, replicated
from mm15_jax.parallel.rules import mesh_axes_of, rules_of
from mm15_jax.train.offload import in_host_memory
from mm15_jax.train.optimizer import make_optimizer
from mm15_jax.train.schedule import learning_rate


class TrainState(NamedTuple):
    """All that a step changes."""

    step: jax.Array  # int32[], steps done
    params: Any  # nested dict, float32
    opt_state: Any


def compute_dtype(name: str, platform: str) -> jnp.dtype:
    """Dtype of matmuls: float32 on CPU under "auto", where bfloat16 is emulated and slower."""
    if name == "auto":
        name = "float32" if platform == "cpu" else "bfloat16"
    return jnp.dtype(name)


def matmul_precision(dtype: jnp.dtype, platform: str) -> str | None:
    """What a float32 matmul asks for: an accelerator makes it of bfloat16 or TF32 unless told."""
    return "highest" if dtype == jnp.float32 and platform != "cpu" else None


def optimizer_of(config: ExperimentConfig) -> optax.GradientTransformation:
    """The optimizer of an experiment, its schedule in it."""
    schedule = learning_rate(config.optimizer, config.train.steps)
    return make_optimizer(config.optimizer, config.model, schedule)


def abstract_params(model: ModelConfig, mesh: Mesh, strategy: str) -> Any:
    """The parameters' tree of `jax.ShapeDtypeStruct`, divided by a strategy's rules."""
    rules = rules_of(strategy)
    return jax.tree.map(
        lambda x, axes: jax.ShapeDtypeStruct(
            x.shape, x.dtype, sharding=rules.parameter(mesh, axes, x.shape)
        ),
        mllm.abstract_params(model),
        mllm.logical_axes(model),
    )


def abstract_state(config: ExperimentConfig, mesh: Mesh) -> TrainState:
    """Shapes, dtypes and shardings of the state that `build_step`'s step takes and gives.

    The optimizer's state is divided as the parameters that it is about; `optimizer.offload` keeps
    it in the host's memory.
    """
    params = abstract_params(config.model, mesh, config.mesh.strategy)
    opt_state = _like_params(jax.eval_shape(optimizer_of(config).init, params), params, mesh)
    if config.optimizer.offload:
        opt_state = in_host_memory(opt_state)
    step = jax.ShapeDtypeStruct((), jnp.int32, sharding=replicated(mesh))
    return TrainState(step, params, opt_state)


def _like_params(opt_state: Any, params: Any, mesh: Mesh) -> Any:
    """Shardings of optimizer state: of the parameter that ends an array's path.

    Arrays of another shape are AdaFactor's means over one axis of a parameter (`v_row`, `v_col`):
    they keep the division of the axes that are left. Anything else is copied.
    """
    by_path = {tuple(key.key for key in path): x for path, x in jax.tree.leaves_with_path(params)}

    def place(path, x):
        keys = tuple(getattr(key, "key", None) for key in path)
        fields = {getattr(key, "name", None) for key in path}
        found = next((by_path[keys[i:]] for i in range(len(keys)) if keys[i:] in by_path), None)
        spec = PartitionSpec()
        if found is not None and found.shape == x.shape:
            spec = found.sharding.spec
        elif found is not None and len(found.shape) > 1:
            # optax's `scale_by_factored_rms`: of the two largest axes, rows lose the larger one.
            smaller, larger = (int(i) for i in np.argsort(found.shape)[-2:])
            lost = larger if "v_row" in fields else smaller
            entries = [*found.sharding.spec, *[None] * len(found.shape)][: len(found.shape)]
            del entries[lost]
            if tuple(np.delete(found.shape, lost)) == x.shape:  # else a placeholder of one element
                spec = PartitionSpec(*(mesh_axes_of(entry) or None for entry in entries))
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec))

    return jax.tree_util.tree_map_with_path(place, opt_state)


def abstract_batch(config: ExperimentConfig, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes, dtypes and shardings of a global batch.

    Raises ValueError where its rows do not divide over the devices, or over the parts they run in,
    or experts not over theirs.
    """
    rows, parts, devices = config.train.batch_rows, config.train.accumulation, batch_divisor(mesh)
    if rows % devices:
        raise ValueError(
            f"train.batch_rows {rows} is not a multiple of the {devices} devices that rows are "
            "divided over"
        )
    if rows % (devices * parts):
        raise ValueError(
            f"train.batch_rows {rows} is not a multiple of {devices} devices x "
            f"train.accumulation {parts}"
        )
    experts, ways = config.model.decoder.moe.experts, mesh.shape["expert"]
    if experts % ways:
        raise ValueError(
            f"{experts} experts (model.decoder.moe.experts) do not divide over mesh.expert {ways}"
        )
    one = empty_batch(
        BatchShape(
            rows=1,
            sequence_length=config.inputs.sequence_length,
            tiles_per_row=config.inputs.tiles_per_row,
            tokens_per_tile=mllm.tokens_per_tile(config.model),
            resolution=config.model.encoder.resolution,
        )
    )
    sharding = batch_sharding(mesh)
    return {
        name: jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype, sharding=sharding)
        for name, x in one.items()
    }
