import json

import pytest

from mm15_jax.config import HardwareMesh, MeshConfig, load, replace_nested
from mm15_jax.plan import meshes, report
from mm15_jax.plan.chips import GIB
from mm15_jax.plan.estimate import estimate
from mm15_jax.plan.topology import parse
from tests.plan.raw import raw, refused

KEYS = (
    "fits",
    "hbm_used_bytes",
    "hbm_limit_bytes",
    "params_total",
    "params_active",
    "model_flops_per_step",
    "compiled_flops_per_step",
    "step_seconds_bound",
    "bound_by",
    "mfu_bound",
    "mesh",
    "compile_seconds",
    "hbm_temp_bytes",
    "xla_optimal_seconds",
    "nearest",
)


def without_table(name):
    """An experiment that has not been searched for."""
    return replace_nested(load(name), {"meshes": ()})


def plan(config, topology, answers):
    """The plan where the compiler gives these answers, by name of the topology."""
    asked = []

    def compile_step(config, topology, **limits):
        asked.append(topology.name)
        answer = answers(topology) if callable(answers) else answers
        return answer

    return report.plan(config, topology, compile_step=compile_step), asked


def test_a_plan_has_every_key_and_is_json():
    config, topology = load("mm15_3b_sft"), parse("v5p:4x4x4")
    for answer in (raw(), refused(100, 95.74)):
        result, _ = plan(config, topology, answer)
        assert set(KEYS) <= set(result)
        assert json.loads(json.dumps(result)) == result
        assert report.as_text(result)


def test_times_follow_from_what_the_compiled_step_does():
    config, topology = load("mm15_3b_sft"), parse("v5p:4x4x4")
    result, asked = plan(config, topology, raw())
    assert asked == ["v5p:4x4x4"]
    assert result["fits"] and result["nearest"] is None
    assert result["hbm_temp_bytes"] == 6 * GIB
    assert result["seconds"] == pytest.approx(
        {"compute": 1, "memory": 0.1, "interconnect": 0.5, "host": 0}
    )
    assert (result["bound_by"], result["step_seconds_bound"]) == ("compute", 1.0)
    assert result["serial_seconds"] == 2.0  # no attention kernel in it
    assert result["compiled_flops_per_step"] == 64 * 459e12
    share = result["model_flops_per_step"] / (64 * 459e12)
    assert result["mfu_bound"] == pytest.approx(share)
    assert result["days"] == pytest.approx(config.train.steps / 86_400)
    assert result["chip_hours"] == pytest.approx(64 * config.train.steps / 3600)
    assert result["xla_optimal_seconds"] == pytest.approx(0.5 * 2.0 / 0.5)
    (gather,) = result["collectives"]
    assert (gather["runs"], gather["bytes"], gather["seconds"]) == (6, 600, 0.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"xla": {"flops": 1, "bytes": 1, "optimal_seconds": -3.0}},
        {"xla": {"flops": 1, "bytes": 1, "optimal_seconds": 1e-4}},
        {"unknown_loops": 1},
    ],
)
def test_an_estimate_of_xlas_that_cannot_be_is_null(changes):
    result, _ = plan(load("mm15_3b_sft"), parse("v5p:4x4x4"), raw(**changes))
    assert result["xla_optimal_seconds"] is None


def test_attention_in_kernels_is_added_once_for_each_pass():
    config = load("mm15_3b_sft")
    kernels = {"jit(step)/Encoder/layers/attention/splash_mha_fwd": 32}
    flops = report.arithmetic.forward_flops(config)
    assert report.kernel_flops(config, {}) == 0
    assert report.kernel_flops(config, kernels) == 4 * flops.encoder_attention
    kept = replace_nested(config, {"model.encoder.remat": "context"})
    assert report.kernel_flops(kept, kernels) == 3 * flops.encoder_attention


def test_a_topology_that_is_too_small_says_by_how_much_and_names_one_that_holds_it():
    config, topology = load("mm15_30b_sft"), parse("v5e:4x8")

    def answers(topology):
        if topology.name == "v5e:4x8":
            return refused(40.0, 15.75)
        return raw(peak=12.0)

    result, asked = plan(config, topology, answers)
    assert not result["fits"]
    assert result["hbm_over_bytes"] == pytest.approx(24.25 * GIB, abs=2)
    assert result["nearest"] == asked[-1] != "v5e:4x8"
    assert "DOES NOT FIT" in report.as_text(result)
    assert result["step_seconds_bound"] is None


def test_the_nearest_is_compiled_before_it_is_named():
    config, topology = load("mm15_1b_sft"), parse("v5e:2x4")
    answers = {"v5e:2x4": refused(20.0, 15.75), "v5e:4x4": refused(16.0, 15.75)}
    result, asked = plan(config, topology, lambda t: answers.get(t.name, raw(peak=9.0)))
    assert result["nearest"] not in answers
    assert len(asked) <= 5


def test_parts_by_which_it_fits_here_are_named():
    """By arithmetic 16 parts of the batch, as the table of the family has it elsewhere."""
    config, topology = without_table("mm15_1b_sft"), parse("v5e:4x4")
    used = estimate(meshes.resolved(config, topology)[0], topology).memory / GIB
    result, _ = plan(config, topology, lambda t: refused(used, 15.75))
    parts, *mesh = result["fits_with"]
    assert parts.startswith("train.accumulation=") and mesh
    assert f"fits here with --set {parts}" in report.as_text(result)
    again = load("mm15_1b_sft", result["fits_with"])
    assert estimate(meshes.resolved(again, topology)[0], topology).memory < 15.75 * GIB
    given = replace_nested(load("mm15_1b_sft", ["train.accumulation=1"]), {"meshes": ()})
    assert plan(given, topology, lambda t: refused(used, 15.75))[0]["fits_with"] is None


def test_a_row_of_the_table_that_does_not_divide_what_was_set_is_left_out():
    topology = parse("v5e:4x8")
    assert meshes.resolved(load("mm15_1b_sft"), topology)[1] == "table"
    found, origin = meshes.resolved(load("mm15_1b_sft", ["train.batch_rows=128"]), topology)
    assert origin == "arithmetic" and found.train.accumulation == 1
    found = load("mm15_3b_moe_pretrain", ["model.decoder.moe.experts=16"])
    assert meshes.resolved(found, parse("v5p:4x8x8"))[1] == "arithmetic"


def test_a_mesh_is_the_one_set_else_of_the_table_else_by_arithmetic():
    config, topology = without_table("mm15_3b_sft"), parse("v5p:4x4x4")
    found, origin = meshes.resolved(config, topology)
    assert origin == "arithmetic"
    assert meshes.row_ways(found.mesh) * found.mesh.tensor == 64
    row = HardwareMesh(
        "v5p:4x4x4", 1, MeshConfig(data=0, fsdp=32, tensor=2), ("train.accumulation=2",)
    )
    found, origin = meshes.resolved(replace_nested(config, {"meshes": (row,)}), topology)
    assert (origin, found.mesh.data, found.train.accumulation) == ("table", 1, 2)
    in_parts = replace_nested(config, {"meshes": (row,), "train.accumulation": 4})
    assert meshes.resolved(in_parts, topology)[0].train.accumulation == 4  # was set by hand
    by_hand = replace_nested(config, {"meshes": (row,), "mesh": MeshConfig(data=1, fsdp=64)})
    found, origin = meshes.resolved(by_hand, topology)
    assert (origin, found.mesh.fsdp) == ("set", 64)


def test_what_is_set_to_the_experiments_own_value_goes_before_the_table_too():
    topology = parse("v5e:4x8")
    table, origin = meshes.resolved(load("mm15_1b_pretrain"), topology)
    assert (origin, table.mesh.fsdp, table.train.accumulation) == ("table", 32, 4)
    found, origin = meshes.resolved(load("mm15_1b_pretrain", ["train.accumulation=1"]), topology)
    assert (origin, found.mesh, found.train.accumulation) == ("table", table.mesh, 1)
    found, origin = meshes.resolved(load("mm15_1b_pretrain", ["mesh.fsdp=1"]), topology)
    assert (origin, found.mesh.fsdp, found.mesh.data) == ("set", 1, 32)
    other = load("mm15_1b_pretrain", ["train.steps=9"])
    assert meshes.resolved(other, topology)[0].train.accumulation == 4


def test_the_nearest_topology_may_have_another_mesh_than_was_set():
    meshes_asked = []

    def compile_step(config, topology, **limits):
        meshes_asked.append(config.mesh)
        return refused(20.0, 15.75)

    config = load("mm15_1b_sft", ["mesh.fsdp=1"])
    report.plan(config, parse("v5e:2x4"), compile_step=compile_step)
    own, *others = meshes_asked
    assert own.fsdp == 1 and others and all(mesh.fsdp > 1 for mesh in others)


def test_slices_are_the_meshs_slow_axis():
    found, _ = meshes.resolved(without_table("mm15_30b_pretrain"), parse("v5p:4x4x8", slices=2))
    assert found.mesh.slice == 2


def test_more_chips_than_rows_take_tensor_parallelism():
    found, _ = meshes.resolved(without_table("mm15_30b_sft"), parse("v5p:8x8x8"))
    assert found.mesh.tensor == 2
    assert found.train.batch_rows % meshes.row_ways(found.mesh) == 0


def test_a_batch_that_no_mesh_divides_is_an_error():
    config = replace_nested(without_table("mm15_1b_sft"), {"train.batch_rows": 7})
    with pytest.raises(ValueError, match=r"7 rows.*train\.batch_rows"):
        meshes.resolved(config, parse("v5p:4x4x4"))


def test_parts_are_as_few_as_fit():
    config, small = without_table("mm15_1b_pretrain"), parse("v5e:4x8")
    assert meshes.settled(config, small).train.accumulation > 1
    assert meshes.settled(config, parse("v5p:4x4x4")).train.accumulation == 1
    for parts in (1, 2):
        asked = load("mm15_1b_pretrain", [f"train.accumulation={parts}"])
        asked = replace_nested(asked, {"meshes": ()})
        assert meshes.settled(asked, small).train.accumulation == parts
