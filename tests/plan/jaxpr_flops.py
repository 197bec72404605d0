"""Counts the matmuls of a traced function one by one: what the planner's arithmetic is held to."""

import math

import jax
from jax.extend import core


def matmul_flops(function, *args, attention: bool = False) -> int:
    """FLOPs of the products of a function, loops unrolled.

    Attention's scores and weighted sums are the only products with two batch axes or more; with
    `attention` only they are counted, else all but they.
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr, attention)


def _count(jaxpr, attention: bool) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracting, _), (batch, _) = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            contracted = math.prod(left[axis] for axis in contracting)
            if (len(batch) >= 2) == attention:
                total += 2 * math.prod(equation.outvars[0].aval.shape) * contracted
            continue
        trips = equation.params["length"] if equation.primitive.name == "scan" else 1
        total += trips * sum(_count(inner, attention) for inner in _inner(equation.params))
    return total


def _inner(params):
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, core.Jaxpr):
                yield item
