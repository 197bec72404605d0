import pytest

from mm15_jax.parallel.startup import devices_for


@pytest.mark.parametrize(
    ("rows", "cores", "devices"), [(8, 2, 2), (8, 3, 2), (8, 64, 8), (7, 2, 1), (256, 96, 64)]
)
def test_rows_divide_over_as_many_devices_as_there_are_cores(rows, cores, devices):
    assert devices_for(rows, cores) == devices
