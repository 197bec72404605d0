import dataclasses
import types

import jax
import numpy as np
import pytest

from mm15_jax import config as config_lib
from mm15_jax.config import HardwareMesh, MeshConfig, replace_nested
from mm15_jax.parallel.feeding import process_rows, to_devices
from mm15_jax.parallel.mesh import batch_divisor, batch_sharding, config_for, make_mesh, replicated


def test_the_default_takes_all_devices_for_data():
    mesh = make_mesh(MeshConfig())
    others = {"slice": 1, "fsdp": 1, "expert": 1, "tensor": 1}
    assert dict(mesh.shape) == {"data": jax.device_count(), **others}
    assert batch_divisor(mesh) == jax.device_count() == 2


def test_one_axis_takes_what_the_others_leave():
    mesh = make_mesh(MeshConfig(data=1, tensor=0))
    assert mesh.shape["tensor"] == 2
    assert batch_divisor(mesh) == 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (MeshConfig(data=3), "needs 3 devices; there are 2"),
        (MeshConfig(data=1), "needs 1 devices; there are 2"),
        (
            MeshConfig(data=0, fsdp=4),
            "data 0 x fsdp 4 .* needs a multiple of 4 devices; there are 2",
        ),
        (MeshConfig(data=0, fsdp=0), "at most one axis"),
    ],
)
def test_axes_that_do_not_make_the_devices_are_refused(config, words):
    with pytest.raises(ValueError, match=words):
        make_mesh(config)


def test_rows_are_divided_and_metrics_are_copied():
    mesh = make_mesh(MeshConfig())
    rows = jax.device_put(np.zeros((4, 3)), batch_sharding(mesh))
    assert {shard.data.shape for shard in rows.addressable_shards} == {(2, 3)}
    copies = jax.device_put(np.zeros((4, 3)), replicated(mesh))
    assert {shard.data.shape for shard in copies.addressable_shards} == {(4, 3)}


def chips(count: int, kind: str = "TPU v5p", slices: int = 1):
    """Devices of a TPU as `make_mesh` sees them, on a line."""
    return [
        types.SimpleNamespace(
            id=i,
            platform="tpu",
            device_kind=kind,
            slice_index=i * slices // count,
            process_index=i // 4,
            coords=(i % (count // slices), 0, 0),
            core_on_chip=0,
        )
        for i in range(count)
    ]


def test_slices_of_the_hardware_are_the_slice_axis():
    with pytest.raises(ValueError, match=r"devices are of 2 slices: set mesh.slice=2"):
        make_mesh(MeshConfig(slice=1, data=1, fsdp=8), chips(8, slices=2))


def test_the_mesh_is_looked_up_by_hardware():
    small, large = MeshConfig(data=1, fsdp=8), MeshConfig(slice=2, data=1, fsdp=8)
    meshes = (HardwareMesh("v5p:2x2x2", 1, small), HardwareMesh("v5p:2x2x2", 2, large))
    sft = config_lib.load("mm15_nano_sft", ["train.batch_rows=16"])
    experiment = dataclasses.replace(sft, meshes=meshes)
    assert config_for(experiment, chips(8)).mesh == small
    assert config_for(experiment, chips(16, slices=2)).mesh == large
    divided = MeshConfig(data=1, fsdp=0)  # parameters that a chip may not hold alone
    assert config_for(experiment, chips(16)).mesh == divided
    fewer = replace_nested(experiment, {"train.batch_rows": 8})  # large does not divide them
    assert config_for(fewer, chips(16, slices=2)).mesh == dataclasses.replace(divided, slice=2)
    for kind in ("TPU v4", "TPU that is to come"):
        assert config_for(experiment, chips(8, kind)).mesh == divided
    assert config_for(experiment).mesh == experiment.mesh
    asked = dataclasses.replace(experiment, mesh=MeshConfig(tensor=4))
    assert config_for(asked, chips(8)).mesh == asked.mesh


def test_each_process_brings_the_rows_that_its_devices_hold():
    mesh = make_mesh(MeshConfig())
    rows = process_rows(mesh, 4)
    assert rows == [0, 1, 2, 3]
    assert process_rows(mesh, 4, process=1) == []
    batch = {"tokens": np.arange(8).reshape(4, 2)}
    placed = to_devices(batch, mesh, 4, rows)
    np.testing.assert_array_equal(placed["tokens"], batch["tokens"])
