"""Position tables for another resolution, by bicubic interpolation.

Two kernels go by the name bicubic in torch. `interpolate(mode="bicubic", antialias=True)` uses
Keys' a = -0.5, widened when it shrinks, with weights renormalised at the border;
`antialias=False` uses a = -0.75, never widened, with the border repeated. We use the first, as
open_clip's `resize_pos_embed` does for CLIP's tables; 27x27 -> 48x48 enlarges, so that the two
differ by the kernel and the border only.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from mm15_jax.config.schema import ModelConfig


def _keys_kernel(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel (Keys 1981)."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def bicubic_matrix(size_in: int, size_out: int, *, antialias: bool = True) -> np.ndarray:
    """float32[size_out, size_in]: torch's bicubic interpolation along one axis.

    As torch.nn.functional.interpolate(mode="bicubic", align_corners=False, antialias=antialias).
    """
    scale = size_in / size_out
    matrix = np.zeros((size_out, size_in), np.float64)
    for i in range(size_out):
        center = (i + 0.5) * scale
        if antialias:
            stretch = max(scale, 1.0)
            start = max(int(center - 2 * stretch + 0.5), 0)
            stop = min(int(center + 2 * stretch + 0.5), size_in)
            places = np.arange(start, stop)
            weights = _keys_kernel((places + 0.5 - center) / stretch, -0.5)
            matrix[i, start:stop] = weights / weights.sum()
        else:
            places = math.floor(center - 0.5) + np.arange(-1, 3)
            weights = _keys_kernel(places + 0.5 - center, -0.75)
            np.add.at(matrix[i], np.clip(places, 0, size_in - 1), weights)
    return matrix.astype(np.float32)


def resize_grid(table: Any, size_out: int, *, antialias: bool = True) -> Any:
    """Square table [g * g, W] of row-major places -> [size_out * size_out, W], float32."""
    places, width = table.shape
    size_in = math.isqrt(places)
    assert size_in**2 == places, places
    matrix = bicubic_matrix(size_in, size_out, antialias=antialias)
    grid = jnp.asarray(table, jnp.float32).reshape(size_in, size_in, width)
    grid = jnp.einsum("hwc,ph,qw->pqc", grid, matrix, matrix, precision="highest")
    return grid.reshape(size_out * size_out, width)


def resize_position_tables(
    params: dict[str, Any], source_config: ModelConfig, target_config: ModelConfig
) -> dict[str, Any]:
    """Parameters of a model at one resolution, for the same model at another.

    The class token's place is kept apart. Tables whose grid does not change are returned as they
    are.

    Args:
        params: {"encoder", "connector", "decoder"}, or some of them; unchanged.
        source_config: The model that params belong to.
        target_config: The model they are wanted for.

    Returns:
        A new dictionary; arrays other than the position tables are shared.
    """
    source, target = source_config.encoder.grid, target_config.encoder.grid
    if source == target:
        return params
    result = dict(params)
    for part, kept in (("encoder", int(source_config.encoder.class_token)), ("connector", 0)):
        table = params.get(part, {}).get("position_table")
        if table is not None:
            assert table.shape[0] == kept + source**2, (part, table.shape, source)
            grid = resize_grid(table[kept:], target)
            table = jnp.concatenate([jnp.asarray(table[:kept], jnp.float32), grid])
            result[part] = {**params[part], "position_table": table}
    return result
