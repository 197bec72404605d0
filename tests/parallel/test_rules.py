import dataclasses

import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from mm15_jax import config as config_lib
from mm15_jax.config import MeshConfig, validate
from mm15_jax.model import mllm
from mm15_jax.parallel.rules import (
    BATCH_AXES,
    MESH_AXES,
    RULES,
    LogicalRules,
    constrain,
    fit,
    gathered,
    rules_of,
)


def mesh(**sizes):
    return AbstractMesh(tuple(sizes.get(axis, 1) for axis in MESH_AXES), MESH_AXES)


def test_a_kernel_is_divided_by_width_and_hidden_width():
    spec = RULES["fsdp"].spec(("layers", "embed", "mlp"))
    assert spec == PartitionSpec(None, ("fsdp", "expert"), "tensor")


def test_rows_are_divided_over_all_axes_but_tensor_and_tiles_follow():
    rules = RULES["fsdp"]
    assert rules.spec(("batch", "sequence", "act_embed"))[0] == BATCH_AXES
    assert rules.tiles == rules.batch == BATCH_AXES


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RULES["fsdp"].spec(("embd",)), "unknown logical axis 'embd'.*'embed'"),
        (lambda: RULES["fsdp"].spec(("mlp", "heads")), "'tensor' would divide two axes"),
        (lambda: RULES["fsdp"].spec(("experts", "embed", "mlp")), "are expert_embed"),
        (lambda: LogicalRules(embed=("model",)), "unknown mesh axis of rule 'embed'"),
        (lambda: rules_of("fdsp"), "unknown value of mesh.strategy.*'fsdp'"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_every_strategy_can_be_chosen_and_divides_every_parameter():
    moe = ("experts", "expert_embed", "expert_mlp")
    sizes = mesh(slice=2, data=2, fsdp=4, expert=2, tensor=2)
    for strategy, rules in RULES.items():
        experiment = config_lib.load("mm15_1b_sft")
        validate(dataclasses.replace(experiment, mesh=MeshConfig(strategy=strategy)))
        for _, shape, axes, _ in mllm.describe_parameters(experiment.model):
            rules.parameter(sizes, axes, shape)
        rules.parameter(sizes, moe, (64, 2048, 5376))


def test_a_vector_is_divided_as_the_activation_that_it_meets():
    rules, sizes = RULES["fsdp"], mesh(fsdp=4, tensor=2)
    assert rules.parameter(sizes, ("layers", "embed"), (8, 64)).spec == PartitionSpec(None, None)
    assert rules.parameter(sizes, ("layers", "mlp"), (8, 64)).spec == PartitionSpec(None, "tensor")


def test_an_axis_that_does_not_divide_gives_its_part_to_another():
    spec = PartitionSpec(None, ("fsdp", "expert"), "tensor")
    sizes = mesh(fsdp=512)
    assert fit(spec, (32, 1280, 5120), sizes) == PartitionSpec(None, "expert", ("tensor", "fsdp"))
    # Neither of the two divides by 512: the array is copied, the scanned axis is left alone.
    assert fit(spec, (512, 1280, 1280), sizes) == PartitionSpec(None, "expert", "tensor")
    assert fit(spec, (32, 1280, 5120), mesh(fsdp=64)) == spec


def test_nothing_happens_where_no_rules_are_in_force():
    x = jnp.ones((2, 3))
    assert constrain(x, ("batch", "act_embed")) is x
    assert gathered(x, ("embed", "mlp"), jnp.bfloat16) is x
