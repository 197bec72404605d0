"""Logical axes to mesh axes: one dataclass of rules per strategy, strict.

Parameters and activations name their axes by what they hold ("embed", "batch"); only this module
knows which axes of the mesh divide them. A wrong name, or one mesh axis that would divide two axes
of an array, is an error, never a silent copy.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mm15_jax.config import unknown
from mm15_jax.config.schema import MESH_AXES

BATCH_AXES = ("slice", "data", "fsdp", "expert")  # rows are divided over these, never over tensor

Axes = Sequence[str | None]


@dataclass(frozen=True)
class LogicalRules:
    """For each logical axis, the mesh axes that divide it; () leaves it whole.

    A field's comment says what the axis is; those of parameters are listed in `model.params`.
    """

    # Parameters.
    layers: tuple[str, ...] = ()  # scanned over, so always whole
    embed: tuple[str, ...] = ("fsdp", "expert")  # width of the residual stream
    heads: tuple[str, ...] = ("tensor",)
    kv_heads: tuple[str, ...] = ("tensor",)
    head_dim: tuple[str, ...] = ()
    mlp: tuple[str, ...] = ("tensor",)
    vocab: tuple[str, ...] = ("tensor",)
    positions: tuple[str, ...] = ()
    pixels: tuple[str, ...] = ()
    taps: tuple[str, ...] = ()
    squeeze: tuple[str, ...] = ()
    # Parameters of experts: `experts` takes the mesh axis that divides `embed` elsewhere.
    experts: tuple[str, ...] = ("expert",)  # also of activations sorted by expert
    expert_embed: tuple[str, ...] = ("fsdp",)
    expert_mlp: tuple[str, ...] = ("tensor",)
    # Activations.
    batch: tuple[str, ...] = BATCH_AXES  # rows of the batch
    tiles: tuple[str, ...] = BATCH_AXES  # tiles of those rows, flattened: they follow their row
    sequence: tuple[str, ...] = ()
    act_embed: tuple[str, ...] = ()
    act_heads: tuple[str, ...] = ("tensor",)
    act_kv_heads: tuple[str, ...] = ("tensor",)
    act_mlp: tuple[str, ...] = ("tensor",)
    act_vocab: tuple[str, ...] = ("tensor",)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            for axis in getattr(self, field.name):
                if axis not in MESH_AXES:
                    raise unknown(f"mesh axis of rule {field.name!r}:", axis, MESH_AXES)

    def spec(self, axes: Axes) -> PartitionSpec:
        """How an array with these logical axes is divided; None is an axis that stays whole.

        Raises:
            ValueError: For an unknown logical axis, or where one mesh axis would divide two axes.
        """
        names = [field.name for field in dataclasses.fields(self)]
        entries: list[tuple[str, ...] | None] = []
        for axis in axes:
            if axis is not None and axis not in names:
                raise unknown("logical axis", axis, names)
            entries.append((getattr(self, axis) if axis else ()) or None)
        used = [mesh_axis for entry in entries for mesh_axis in entry or ()]
        for mesh_axis in used:
            if used.count(mesh_axis) > 1:
                hint = (
                    "; the widths of experts are expert_embed and expert_mlp"
                    if "experts" in axes
                    else ""
                )
                raise ValueError(
                    f"mesh axis {mesh_axis!r} would divide two axes of an array {tuple(axes)}{hint}"
                )
        return PartitionSpec(*entries)

    def sharding(self, mesh: Mesh, axes: Axes, shape: Sequence[int] | None = None) -> NamedSharding:
        """`spec` on a mesh; with a shape, mesh axes that do not divide it evenly are moved.

        See `fit`.
        """
        spec = self.spec(axes)
        return NamedSharding(mesh, spec if shape is None else fit(spec, shape, mesh))

    def parameter(self, mesh: Mesh, axes: Axes, shape: Sequence[int]) -> NamedSharding:
        """How a parameter is divided.

        A vector (a norm's scale, a bias; stacked by layer or not) is divided as the activation
        that it meets, so that no collective is spent on a few kilobytes.
        """
        if sum(axis != "layers" for axis in axes) == 1:
            axes = tuple(_OF_ACTIVATION.get(axis, axis) if axis else None for axis in axes)
        return self.sharding(mesh, axes, shape)


_OF_ACTIVATION = {
    "embed": "act_embed",
    "heads": "act_heads",
    "kv_heads": "act_kv_heads",
    "mlp": "act_mlp",
    "vocab": "act_vocab",
    "expert_embed": "act_embed",
    "expert_mlp": "act_mlp",
}

_EVERYWHERE = ("slice", "data", "fsdp", "expert")
RULES: dict[str, LogicalRules] = {
    # Parameters divided within a slice and a data replica, copied between them: gathers stay on
    # the fast network, gradients alone cross the slow one.
    "fsdp": LogicalRules(),
    # Parameters divided over all that divides the batch: the least memory, gathers cross slices.
    "fsdp_everywhere": LogicalRules(
        embed=_EVERYWHERE, expert_embed=tuple(a for a in _EVERYWHERE if a != "expert")
    ),
    # Parameters whole on every device (but for `tensor` and `expert`): plain data parallelism.
    "replicated": LogicalRules(embed=(), expert_embed=()),
}


def rules_of(strategy: str) -> LogicalRules:
    """The rules of a strategy; ValueError if there is none of the name."""
    if strategy not in RULES:
        raise unknown("value of mesh.strategy:", strategy, RULES)
    return RULES[strategy]


def fit(spec: PartitionSpec, shape: Sequence[int], mesh: Mesh) -> PartitionSpec:
    """A spec that divides `shape` evenly: what does not divide one axis goes to another.

    An axis keeps those of its mesh axes, in their order, that divide it together (1280 does not
    divide by 512); each other goes, if it divides there, to the largest axis after the first that
    is cut already or is free, and else is dropped: the array is then copied over it.
    """
    assert len(spec) <= len(shape), (spec, shape)
    entries = [mesh_axes_of(entry) for entry in spec]
    entries += [()] * (len(shape) - len(entries))
    left: list[str] = []
    for i, entry in enumerate(entries):
        kept: tuple[str, ...] = ()
        for axis in entry:
            if shape[i] % (_ways(mesh, kept) * mesh.shape[axis]) == 0:
                kept += (axis,)
            else:
                left.append(axis)
        entries[i] = kept
    for axis in left:
        for i in sorted(range(len(shape)), key=lambda i: -shape[i]):
            named = i < len(spec) and spec[i] is not None  # never a scanned axis
            if named and shape[i] % (_ways(mesh, entries[i]) * mesh.shape[axis]) == 0:
                entries[i] += (axis,)
                break
    return PartitionSpec(*(entry or None for entry in entries))


def mesh_axes_of(entry: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """An entry of a spec as a tuple: specs write one axis without."""
    return (entry,) if isinstance(entry, str) else tuple(entry or ())


def _ways(mesh: Mesh, axes: Sequence[str]) -> int:
    return math.prod(mesh.shape[axis] for axis in axes)


_in_force: contextvars.ContextVar[tuple[Mesh, LogicalRules] | None] = contextvars.ContextVar(
    "rules", default=None
)


@contextlib.contextmanager
def use_rules(mesh: Mesh, rules: LogicalRules) -> Iterator[None]:
    """Puts rules in force for `constrain` and `gathered` while a function is traced.

    Enter it inside the function that is compiled, so that every trace sees it.
    """
    token = _in_force.set((mesh, rules))
    try:
        yield
    finally:
        _in_force.reset(token)


def rules_in_force() -> tuple[Mesh, LogicalRules] | None:
    """(mesh, rules) of `use_rules`; None outside of it, as in inference on one device."""
    return _in_force.get()


def platform_in_force() -> str:
    """Where what is being traced will run: "tpu", "gpu" or "cpu".

    The devices of the mesh in force say so, if there is one: a step compiled ahead of time for TPUs
    is traced on a machine whose own devices are CPUs.
    """
    in_force = _in_force.get()
    return in_force[0].devices.flat[0].platform if in_force else jax.default_backend()


def constrain(x: Array, axes: Axes) -> Array:
    """Holds the compiler to the division of an activation; nothing where no rules are in force.

    Args:
        x: Any array.
        axes: Logical name of each axis; None for one that stays whole.

    Raises:
        ValueError: As `LogicalRules.spec`.
    """
    rules = _in_force.get()
    if rules is None:
        return x
    assert len(axes) == x.ndim, (axes, x.shape)
    return jax.lax.with_sharding_constraint(x, rules[1].sharding(rules[0], axes, x.shape))


def gathered(kernel: Array, axes: Axes, dtype: jnp.dtype, *, looked_up: bool = False) -> Array:
    """A parameter, cast to the compute dtype, as a product of the batch wants it; see `constrain`.

    What divides the batch too (fsdp) is gathered, what divides the products (tensor) stays. Without
    this the compiler may move activations instead, which are larger. The gradient is asked for as
    the parameter is divided, so that a reduce-scatter will do. Where no rules are in force the
    parameter is returned as it is.

    Args:
        kernel: A parameter.
        axes: Its logical axes.
        dtype: Compute dtype.
        looked_up: For a table of which rows are taken: the gradient is then summed on each device
            before it is divided. Asked for in parts at once, it would make the compiler gather the
            whole batch's activations for its scatter.
    """
    rules = _in_force.get()
    if rules is None:
        return kernel
    mesh, logical = rules
    divided = logical.parameter(mesh, axes, kernel.shape)
    kept = PartitionSpec(
        *(
            tuple(a for a in mesh_axes_of(entry) if a not in BATCH_AXES) or None
            for entry in divided.spec
        )
    )
    forward = NamedSharding(mesh, kept)
    backward = (forward, divided) if looked_up else (divided,)
    return _resharded(kernel.astype(dtype), forward, backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _resharded(x: Array, forward: NamedSharding, backward: tuple[NamedSharding, ...]) -> Array:
    return jax.lax.with_sharding_constraint(x, forward)


def _resharded_forward(x, forward, backward):
    return _resharded(x, forward, backward), None


def _resharded_backward(forward, backward, _, gradient):
    for sharding in backward:
        gradient = jax.lax.with_sharding_constraint(gradient, sharding)
    return (gradient,)


_resharded.defvjp(_resharded_forward, _resharded_backward)
