import dataclasses

import pytest

from mm15_jax import config as config_lib
from mm15_jax.config.schema import HardwareMesh, MeshConfig
from mm15_jax.launch import hardware
from mm15_jax.launch.hardware import Hardware
from mm15_jax.plan import report, topology
from tests.plan import raw


def settle(experiment, name, slices=1, **options):
    config = experiment if not isinstance(experiment, str) else config_lib.load(experiment)
    limits = Hardware(topology.parse(name, slices), **{"check": "estimate", **options})
    return hardware.settle(config, limits)


def with_settings(config, fit):
    return config_lib.apply_overrides(config, fit.settings)


def test_an_experiment_without_a_row_has_the_planners_mesh():
    fit = settle("mm15_30b_sft", "v5p:8x8x8")
    mesh = with_settings(config_lib.load("mm15_30b_sft"), fit).mesh
    assert mesh.data * mesh.fsdp * mesh.tensor == 512
    assert "512 chips, 128 hosts" in fit.summary and "(arithmetic)" in fit.summary


def test_the_table_goes_before_the_planner_with_all_its_settings():
    row = HardwareMesh("v5p:4x4x4", 2, MeshConfig(2, 4, 16), ("model.encoder.remat=context",))
    config = dataclasses.replace(config_lib.load("mm15_3b_sft"), meshes=(row,))
    fit = settle(config, "v5p:4x4x4", 2)
    there = with_settings(config, fit)
    assert there.mesh == row.mesh and there.model.encoder.remat == "context"
    assert "(table)" in fit.summary


def test_a_mesh_that_was_set_stays():
    config = config_lib.load("mm15_3b_sft", ["mesh.data=8", "mesh.fsdp=0"])
    fit = settle(config, "v5p-128")
    assert fit.settings == ("mesh.fsdp=8",) and "(set)" in fit.summary


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["mesh.data=3", "mesh.fsdp=5"], "needs 15 devices; there are 64"),
        (["mesh.data=1", "mesh.fsdp=64", "train.batch_rows=96"], "multiple of 64"),
        (["train.batch_rows=7"], "train.batch_rows"),
    ],
)
def test_a_mesh_that_cannot_be_is_refused(overrides, said):
    with pytest.raises(ValueError, match=said):
        settle(config_lib.load("mm15_3b_sft", overrides), "v5p-128")


def test_what_cannot_fit_by_arithmetic_is_refused():
    with pytest.raises(ValueError, match=r"does not fit v5e:4x4: .* GiB .*nothing was created"):
        settle("mm15_30b_sft", "v5e:4x4")


def test_what_the_compiler_refuses_is_refused_with_what_holds_it(monkeypatch):
    steps = []

    def step_of(config, there, **limits):
        steps.append(there.name)
        return raw.refused(20.0, 15.75)

    monkeypatch.setitem(report.plan.__kwdefaults__, "compile_step", step_of)
    with pytest.raises(ValueError, match=r"20\.0 GiB a device of 15\.8.*by arithmetic v5e"):
        settle("mm15_3b_sft", "v5e:8x8", check="compile")
    assert steps == ["v5e:8x8"]  # and compiled for nothing else


def test_what_compiles_has_its_chip_hours_and_cost(monkeypatch):
    monkeypatch.setitem(
        report.plan.__kwdefaults__, "compile_step", lambda *unused, **limits: raw.raw(10.0)
    )
    fit = settle("mm15_3b_sft", "v5p-128", check="compile", price=2.0)
    assert "10.0 of 95.7 GiB a device (compiled)" in fit.summary
    hours = float(fit.summary.split("at least ")[1].split(" hours")[0].replace(",", ""))
    cost = float(fit.summary.split("chip-hours, ")[1].split(" at")[0].replace(",", ""))
    assert cost == pytest.approx(hours * 64 * 2.0, rel=0.02)


@pytest.mark.parametrize(
    ("name", "hosts", "chips", "accelerator"),
    [
        ("v5p:8x8x8", 128, 4, "v5p-1024"),
        ("v5p-128", 16, 4, "v5p-128"),
        ("v4:2x2x1", 1, 4, "v4-8"),
        ("v5e:1x1", 1, 1, "v5litepod-1"),
        ("v5e:2x4", 1, 8, "v5litepod-8"),
        ("v5e:4x4", 4, 4, "v5litepod-16"),
        ("v6e:16x16", 64, 4, "v6e-256"),
    ],
)
def test_machines_of_a_topology(name, hosts, chips, accelerator):
    there = topology.parse(name)
    assert (hardware.hosts(there), hardware.chips_per_host(there)) == (hosts, chips)
    assert hardware.accelerator_type(there) == accelerator
    assert topology.parse(accelerator) == there


@pytest.mark.parametrize(
    ("options", "said"), [({"check": "compil"}, "compile"), ({"price": -1}, "price")]
)
def test_bad_options_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Hardware(**options)


def test_every_chip_has_a_machine():
    from mm15_jax.plan.chips import CHIPS

    assert set(hardware.MACHINES) == set(CHIPS)
