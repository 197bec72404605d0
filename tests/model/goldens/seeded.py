"""Weights that the oracles' environment and the tests both make from one seed."""

import numpy as np


def seeded_weights(shapes, seed):
    """Float32 arrays of a {name: shape} dictionary, in its order, of a scale that keeps signals.

    Vectors whose names end in "scale" are near one, other vectors near zero and not zero, so that
    a test notices a bias or a scale that is left out.
    """
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        draw = rng.standard_normal(shape).astype(np.float32)
        if name.endswith("scale"):
            weights[name] = 1 + 0.2 * draw
        elif len(shape) == 1:
            weights[name] = 0.2 * draw
        else:
            weights[name] = draw / np.float32(np.sqrt(shape[-2]))
    return weights


def nest(flat):
    """{"a/b": x} -> {"a": {"b": x}}."""
    tree = {}
    for path, value in flat.items():
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree
