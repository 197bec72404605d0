"""From a dense decoder to one with experts (Komatsuzaki et al. 2022, sparse upcycling).

Each layer that has experts gets the dense layer's FFN in every one of them, and a fresh router.
Gates of a token sum to one, so that, where nothing is dropped, the first output of the new model is
that of the dense one; from there the router's noise lets the experts part.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from mm15_jax.config import ModelConfig


def wants_upcycling(source: ModelConfig, target: ModelConfig) -> bool:
    """Whether a dense decoder's parameters are to become those of one with experts.

    Raises:
        ValueError: Where the two differ in layers, or gates do not sum to one.
    """
    dense, sparse = source.decoder, target.decoder
    if dense.moe.experts or not sparse.moe.experts:
        return False
    if dense.layers != sparse.layers:
        raise ValueError(
            f"a dense decoder of {dense.layers} layers cannot become one with experts of "
            f"{sparse.layers} layers; expected as many"
        )
    if sparse.moe.top_k == 1:
        raise ValueError(
            "a dense decoder cannot become one with model.decoder.moe.top_k=1: the gate of one "
            "expert is below 1, and its first outputs would be others; expected 2 or more"
        )
    return True


def upcycle_decoder(dense: dict[str, Any], fresh: dict[str, Any], target: ModelConfig) -> Any:
    """Parameters of a decoder with experts. Pure: may be compiled, with the wanted shardings.

    Args:
        dense: Decoder of a dense model: `layers` stacked [L, ...].
        fresh: Decoder as `mllm.init_params` of the target starts it; its routers are kept.
        target: The model with experts.

    Returns:
        As `fresh`: groups of `moe.every` layers stacked [L / every, ...].
    """
    moe = target.decoder.moe
    groups = {}
    for i in range(moe.every):
        name = f"layer{i}"
        groups[name] = _every_nth(dense["layers"], i, moe.every)
        if i == moe.every - 1:
            experts = {
                kernel: {"kernel": _repeated(value["kernel"], moe.experts)}
                for kernel, value in groups[name].pop("mlp").items()
            }
            groups[name]["moe"] = {**experts, "router": fresh["groups"][name]["moe"]["router"]}
    rest = {key: value for key, value in dense.items() if key != "layers"}
    return {**rest, "groups": groups}


def _every_nth(tree: Any, start: int, step: int) -> Any:
    if isinstance(tree, dict):
        return {key: _every_nth(value, start, step) for key, value in tree.items()}
    return tree[start::step]


def _repeated(kernel: Any, experts: int) -> Any:
    """[G, in, out] -> [G, E, in, out]."""
    shape = (kernel.shape[0], experts, *kernel.shape[1:])
    return jnp.broadcast_to(jnp.asarray(kernel)[:, None], shape)
