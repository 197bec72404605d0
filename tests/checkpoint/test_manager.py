import jax
import numpy as np
import pytest

from mm15_jax.checkpoint.manager import Checkpoints, compare_shapes, flat_shapes
from mm15_jax.config import CheckpointConfig


def tree(width=4):
    return {"encoder": {"kernel": np.arange(3.0 * width, dtype=np.float32).reshape(3, width)}}


def abstract(values):
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), values)


@pytest.fixture
def directory(tmp_path):
    """Checkpoints of steps 1 to 3, of which two are kept."""
    checkpoints = Checkpoints(tmp_path / "c", CheckpointConfig(keep=2))
    for step in (1, 2, 3):
        params = jax.tree.map(lambda x, step=step: jax.numpy.asarray(x + step), tree())
        checkpoints.save(step, params, {"count": jax.numpy.int32(step)}, {"cursor": 10 * step})
    checkpoints.wait()
    checkpoints.close()
    return tmp_path / "c"


def test_what_was_saved_comes_back(directory):
    checkpoints = Checkpoints(directory)
    assert checkpoints.latest_step == 3
    wanted = abstract({"count": np.int32(0)})
    params, opt_state, data = checkpoints.restore(3, abstract(tree()), wanted)
    np.testing.assert_array_equal(params["encoder"]["kernel"], tree()["encoder"]["kernel"] + 3)
    assert int(opt_state["count"]) == 3 and data == {"cursor": 30}
    alone = checkpoints.restore_params(2, abstract(tree()))
    np.testing.assert_array_equal(alone["encoder"]["kernel"], tree()["encoder"]["kernel"] + 2)
    checkpoints.close()


def test_state_in_the_hosts_memory_is_saved_and_comes_back_to_either(tmp_path):
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    host = device.with_memory_kind("pinned_host")
    checkpoints = Checkpoints(tmp_path / "c", CheckpointConfig())
    checkpoints.save(1, tree(), {"mu": jax.device_put(np.arange(4.0), host)}, {"cursor": 0})
    checkpoints.wait()
    for wanted in (host, device):
        there = {"mu": jax.ShapeDtypeStruct((4,), np.float32, sharding=wanted)}
        _, opt_state, _ = checkpoints.restore(1, abstract(tree()), there)
        assert opt_state["mu"].sharding.memory_kind == wanted.memory_kind
        np.testing.assert_array_equal(opt_state["mu"], np.arange(4.0))
    checkpoints.close()


def test_old_steps_make_room(directory):
    assert sorted(p.name for p in directory.iterdir() if p.name.isdigit()) == ["2", "3"]


def test_another_shape_is_named_before_anything_is_read(directory):
    checkpoints = Checkpoints(directory)
    with pytest.raises(ValueError, match=r"'encoder/kernel' has shape \(3, 4\).*is \(3, 5\)"):
        checkpoints.restore_params(3, abstract(tree(width=5)))
    checkpoints.close()


def test_reading_makes_no_directory(tmp_path):
    checkpoints = Checkpoints(tmp_path / "nowhere")
    assert checkpoints.latest_step is None
    checkpoints.close()
    assert not (tmp_path / "nowhere").exists()


def test_parameters_that_are_missing_or_extra_are_named():
    shapes = flat_shapes(tree())
    assert shapes == {"encoder/kernel": (3, 4)}
    compare_shapes(shapes, dict(shapes), "here")
    with pytest.raises(ValueError, match="here has no parameter 'encoder/bias'"):
        compare_shapes({**shapes, "encoder/bias": (4,)}, shapes, "here")
    with pytest.raises(ValueError, match="here has parameter 'decoder/x'"):
        compare_shapes(shapes, {**shapes, "decoder/x": (1,)}, "here")
