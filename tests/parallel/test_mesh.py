import jax
import numpy as np
import pytest

from mm15_jax.config import MeshConfig
from mm15_jax.parallel.mesh import batch_divisor, batch_sharding, make_mesh, replicated


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
        (MeshConfig(data=0, fsdp=3), "there are 2"),
        (MeshConfig(data=0, fsdp=0), "at most one axis"),
    ],
)
def test_axes_that_do_not_make_the_devices_are_refused(config, words):
    with pytest.raises(ValueError, match=words):
        make_mesh(config)


def test_rows_are_divided_and_state_is_copied():
    mesh = make_mesh(MeshConfig())
    rows = jax.device_put(np.zeros((4, 3)), batch_sharding(mesh))
    assert {shard.data.shape for shard in rows.addressable_shards} == {(2, 3)}
    copies = jax.device_put(np.zeros((4, 3)), replicated(mesh))
    assert {shard.data.shape for shard in copies.addressable_shards} == {(4, 3)}
