"""Rematerialisation: what a layer keeps for the backward pass, by a named policy.

A layer names what is worth keeping with `saveable`; a policy says which names are kept. All else is
computed again in the backward pass, layer by layer. Memory and speed of each policy are in
docs/performance.md.

Names:
    context     output of attention, and the log-sum-exp of its scores where a kernel makes one
    qkv         queries, keys and values as their products make them, before norms and positions;
                of a decoder without norms as attention's kernel takes them
    residual    the residual stream between attention and MLP
    dispatched  tokens at their experts, which came from other devices
    hidden      first products of the MLP, or of experts, before their activation
"""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import Array
from jax.ad_checkpoint import checkpoint_name

from mm15_jax.config.names import unknown
from mm15_jax.config.schema import REMAT_POLICIES, ModelConfig

NAMES = ("context", "qkv", "residual", "dispatched", "hidden")

# What each policy keeps beside the layer's input. "none" is not to rematerialise at all.
_SAVED = {
    "full": (),
    "context": ("context",),
    "attention": ("context", "qkv", "residual"),
    "matmuls": ("context", "qkv", "residual", "dispatched", "hidden"),
}
_OFFLOADED = {"offload_context": ("context",)}
_SPECIAL = ("none", "activations")
assert {*_SAVED, *_OFFLOADED, *_SPECIAL} == set(REMAT_POLICIES)

# cuDNN's attention hides its outputs from `saveable`: a policy knows them by their primitive.
_CUDNN = "dot_product_attention_fwd"


def saveable(x: Array, name: str) -> Array:
    """Names an intermediate value for the policies; x itself is returned unchanged."""
    assert name in NAMES, name
    return checkpoint_name(x, name)


def check_policy(remat: str) -> None:
    """Raises ValueError, with the nearest names, if there is no such policy."""
    if remat not in REMAT_POLICIES:
        raise unknown("value of remat:", remat, REMAT_POLICIES)


def keeps(remat: str, name: str) -> bool:
    """Whether a policy keeps what `saveable` calls by this name, on the device."""
    assert name in NAMES, name
    return remat in _SPECIAL or name in _SAVED.get(remat, ())


def offloads(model: ModelConfig) -> bool:
    """Whether activations of any layer wait in the host's memory."""
    return any(part.remat in _OFFLOADED for part in (model.encoder, model.decoder))


def policy_of(remat: str) -> Callable[..., object] | None:
    """The function that `jax.checkpoint` asks what to keep; None keeps a layer's input only.

    Raises:
        ValueError: If there is no such policy.
    """
    check_policy(remat)
    assert remat != "none", "nothing to rematerialise"
    if remat in _OFFLOADED:
        return jax.checkpoint_policies.save_and_offload_only_these_names(
            names_which_can_be_saved=[],
            names_which_can_be_offloaded=list(_OFFLOADED[remat]),
            offload_src="device",
            offload_dst="pinned_host",
        )
    if remat == "activations":
        return _not_resharded
    if not _SAVED[remat]:
        return None
    named = jax.checkpoint_policies.save_only_these_names(*_SAVED[remat])

    def policy(primitive, *avals, **params):
        return primitive.name.startswith(_CUDNN) or named(primitive, *avals, **params)

    return policy


def _not_resharded(primitive, *_, **__) -> bool:
    """Keeps all but what a sharding constraint, or a gather inside `shard_map`, gives.

    Parameters that were gathered for a layer are gathered again, and not kept whole for all layers.
    """
    return primitive.name not in ("sharding_constraint", "all_gather")
