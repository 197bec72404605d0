"""Pipelines over the fixtures of this folder."""

import itertools

import numpy as np

from mm15_jax.data.pipeline import Pipeline
from mm15_jax.data.planning import count_dataset, make_plan

WEIGHTS = {"pictures": 0.7, "texts": 0.3}


def plan_of(weights, data_dir, config):
    counted = {name: count_dataset(name, data_dir, config) for name in weights}
    return make_plan(weights, counted, config), [found.dataset for found in counted.values()]


def start(config, data_dir, weights=None, *, rows=4, **arguments):
    plan, datasets = plan_of(weights or WEIGHTS, data_dir, config)
    return Pipeline(
        plan,
        datasets,
        config.inputs,
        config.data,
        rows=rows,
        tokens_per_tile=config.model.connector.tokens,
        resolution=config.model.encoder.resolution,
        **arguments,
    )


def take(config, data_dir, count, **arguments):
    with start(config, data_dir, **arguments) as pipeline:
        return list(itertools.islice(pipeline, count))


def assert_equal_batches(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
