import pytest

from mm15_jax.plan import topology
from mm15_jax.plan.chips import CHIPS


def test_a_shape_may_be_given_in_any_order_and_by_accelerator_type():
    assert topology.parse("v5p:8x8x4").name == "v5p:4x8x8"
    assert topology.parse("v5p-512").name == "v5p:4x8x8"  # counts cores
    assert topology.parse("v5litepod-256").name == "v5e:16x16"  # counts chips
    assert topology.parse("v6e-64").name == "v6e:8x8"


def test_every_known_name_is_parsed_to_itself():
    for name in topology.known_names():
        assert topology.parse(name).name == name


def test_chips_of_several_slices():
    two = topology.parse("v5p:4x4x8", slices=2)
    assert (two.chips, two.chips_per_slice) == (256, 128)
    assert str(two) == "2 slices of v5p:4x4x8"


@pytest.mark.parametrize(
    "name", ["v5p:3x5x7", "v7:2x2x1", "v5p", "v5p:axb", "v5p:4x4x²", "", "v5p-7"]
)
def test_an_unknown_topology_is_answered_with_the_nearest_and_all_known(name):
    with pytest.raises(ValueError, match="did you mean") as error:
        topology.parse(name)
    for known in topology.known_names():
        chip, shape = known.split(":")
        assert chip in str(error.value) and shape in str(error.value)


def test_an_unknown_accelerator_type_is_answered_with_the_nearest_in_size():
    with pytest.raises(ValueError, match="'v5p-129'; did you mean 'v5p-128'"):
        topology.parse("v5p-129")
    with pytest.raises(ValueError, match="did you mean 'v5litepod-256'"):
        topology.parse("v5litepod-999")


def test_less_than_one_slice_is_an_error():
    with pytest.raises(ValueError, match="slices is 0"):
        topology.parse("v5p:4x4x4", slices=0)


def test_cubes_close_to_rings_and_sheets_where_they_span_a_pod():
    assert topology.parse("v5p:4x4x8").wrap == (True, True, True)
    assert topology.parse("v5p:2x4x4").wrap == (False, False, False)
    assert topology.parse("v5e:8x16").wrap == (False, True)
    assert topology.parse("v6e:16x16").wrap == (True, True)


def test_larger_topologies_are_of_the_same_chip_and_ascend():
    sizes = [t.chips for t in topology.larger(topology.parse("v5p:4x4x8"))]
    assert sizes[0] == 256 and sizes == sorted(sizes)


def test_the_environment_is_put_back(monkeypatch):
    import os

    monkeypatch.setenv("JAX_PLATFORMS", "before")
    monkeypatch.delenv("TPU_SKIP_MDS_QUERY", raising=False)
    with topology.no_hardware():
        assert os.environ["JAX_PLATFORMS"] == "cpu"
    assert os.environ["JAX_PLATFORMS"] == "before"
    assert "TPU_SKIP_MDS_QUERY" not in os.environ


def test_a_chips_memory_is_not_more_than_what_it_has_with_a_gibibyte_of_rounding():
    for chip in CHIPS.values():
        assert chip.hbm_usable <= chip.hbm_bytes + 2**30
