"""The optimizer: AdaFactor (the paper's), AdamW or Muon, by parameter path.

Weight decay and training are decided by a parameter's path alone; `describe` prints the decision
for golden tests.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import optax
import optax.contrib

from mm15_jax.checkpoint.manager import path_name
from mm15_jax.config import ModelConfig, OptimizerConfig
from mm15_jax.model import mllm

# CLIP's post-LN is kept with the parameters but features are taken before it: it gets no gradient,
# and must not decay away.
UNUSED = ("encoder/post_norm",)
MUON_STEPS = 4  # Newton-Schulz iterations; 5 is the usual number, 4 learned as fast at nano scale


def decays(path: str) -> bool:
    """Matrices and token embeddings decay; norms, biases and position tables do not."""
    return path.rsplit("/", 1)[-1] in ("kernel", "embedding", "output_embedding")


def trains(path: str, frozen: tuple[str, ...]) -> bool:
    """Whether a parameter is updated at all."""
    return not any(path == p or path.startswith(p + "/") for p in (*UNUSED, *frozen))


def _is_hidden_matrix(path: str) -> bool:
    """What Muon orthogonalises: kernels between hidden features, stacked by layer, expert or not.

    A depthwise kernel is no matrix between features, and a router's outputs are classes.
    """
    return (
        path.endswith("/kernel")
        and "conv2/" not in path.removeprefix("encoder/stem/")
        and not path.endswith("/router/kernel")
    )


def make_optimizer(
    config: OptimizerConfig, model: ModelConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
    """Clipped by global norm, then the named rule, decoupled weight decay and the schedule.

    Raises ValueError where a frozen path names no parameter.
    """
    paths = [row[0] for row in mllm.describe_parameters(model)]
    for prefix in config.frozen:
        if not any(not trains(path, (prefix,)) for path in paths if trains(path, ())):
            parts = sorted({path.split("/")[0] for path in paths})
            raise ValueError(
                f"optimizer.frozen names {prefix!r}, which no parameter path starts with; "
                f"paths start with {', '.join(parts)}"
            )
    update = optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        _rule(config),
        optax.add_decayed_weights(config.weight_decay, mask=_by_path(decays)),
        optax.scale_by_learning_rate(schedule),
    )
    labels = _by_path(lambda path: "train" if trains(path, config.frozen) else "freeze")
    return optax.partition({"train": update, "freeze": optax.set_to_zero()}, labels)


def _rule(config: OptimizerConfig) -> optax.GradientTransformation:
    if config.name == "adafactor":
        momentum = [optax.ema(config.b1, debias=True)] if config.b1 else []
        return optax.chain(
            # As AXLearn's: updates clipped to unit root mean square, no parameter scaling.
            optax.scale_by_factored_rms(min_dim_size_to_factor=128),
            optax.clip_by_block_rms(1.0),
            *momentum,
        )
    adam = optax.scale_by_adam(config.b1, config.b2)
    if config.name == "adamw":
        return adam
    assert config.name == "muon", config.name
    matrix = optax.contrib.MuonDimensionNumbers(reduction_axis=-2, output_axis=-1)
    muon = optax.chain(
        optax.contrib.scale_by_muon(
            ns_steps=MUON_STEPS,
            weight_dimension_numbers=lambda tree: jax.tree.map(lambda _: matrix, tree),
        ),
        # Jordan's width scaling: an update changes features by as much whatever the widths.
        optax.stateless(
            lambda updates, _: jax.tree.map(
                lambda u: u * math.sqrt(max(1.0, u.shape[-1] / u.shape[-2])), updates
            )
        ),
    )
    labels = _by_path(lambda path: "muon" if _is_hidden_matrix(path) else "adam")
    return optax.partition({"muon": muon, "adam": adam}, labels)


def _by_path(decide) -> Any:
    """A function from a parameter tree to the tree of what `decide` says of each path."""
    return lambda tree: jax.tree_util.tree_map_with_path(
        lambda path, _: decide(path_name(path)), tree
    )


def without_frozen(tree: Any, frozen: tuple[str, ...]) -> Any:
    """A tree of parameters, or of their gradients; where some are frozen a list of the others."""
    if not frozen:
        return tree
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [leaf for path, leaf in leaves if trains(path_name(path), frozen)]


def describe(config: OptimizerConfig, model: ModelConfig) -> list[tuple[str, str]]:
    """(path, "train decay muon"-like decision) of every parameter, for golden texts."""
    rows = []
    for path, *_ in mllm.describe_parameters(model):
        words = ["train" if trains(path, config.frozen) else "frozen"]
        words.append("decay" if decays(path) else "no-decay")
        if config.name == "muon":
            words.append("muon" if _is_hidden_matrix(path) else "adam")
        rows.append((path, " ".join(words)))
    return rows
