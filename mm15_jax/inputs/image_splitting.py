"""Dynamic and static image splitting (MM1.5, section 3.5 and figure 11).

A picture becomes sub-images (tiles) of the encoder's resolution r, laid out in a grid of rows and
columns, and an overview of the whole. This module decides the grid and the order of the tiles; it
touches no pixels. All comparisons are of integers, so that the same picture has the same grid on
every machine: floating point would let a tie fall either way.
"""

import dataclasses
import difflib
import functools
import operator

from mm15_jax.config import schema

POLICIES = ("equation", "smallest_cover")
MODES = ("none", "static", "dynamic")
OVERVIEWS = ("after", "before", "none")
OVERVIEW_CELL = (0, 0)


@dataclasses.dataclass(frozen=True)
class Tiling:
    """The geometry of one picture: which tiles it is cut into, in sequence order.

    Attributes:
      height: height of the picture in pixels.
      width: width of the picture in pixels.
      resolution: side r of a tile in pixels.
      grid: (rows, columns) of sub-images. (1, 1): the one tile shows the whole picture.
      cells: the tiles in sequence order, each (row, column) counted from 1; (0, 0) is the overview.
    """

    height: int
    width: int
    resolution: int
    grid: tuple[int, int]
    cells: tuple[tuple[int, int], ...]

    @property
    def num_tiles(self) -> int:
        """Tiles of this picture, the overview included."""
        return len(self.cells)

    @property
    def is_split(self) -> bool:
        """Whether the picture has more than one sub-image."""
        return self.grid != (1, 1)


def candidate_grids(n_min: int, n_max: int) -> tuple[tuple[int, int], ...]:
    """All (rows, columns) of n_min to n_max sub-images, fewest sub-images first, then rows."""
    _check_bounds(n_min, n_max)
    return _candidate_grids(n_min, n_max)


def choose_grid(
    height: int,
    width: int,
    *,
    resolution: int,
    n_min: int,
    n_max: int,
    policy: str = "equation",
) -> tuple[int, int]:
    """Chooses the grid of sub-images for a picture (section 3.5, equation 1).

    Write s = min(rows * r / height, columns * r / width) for the scale at which the picture just
    fits a grid. A grid covers the picture if s >= 1, that is if nothing has to be scaled down.

    * "equation", the paper's: of the covering grids the one with the least padding after resizing,
      rows * columns * r^2 - (s * height) * (s * width).
    * "smallest_cover": of the covering grids the one with the fewest sub-images, then the least
      padding.

    If no grid covers the picture, both take the one that loses least resolution (largest s). Ties
    go to fewer sub-images, then to fewer rows.

    Args:
      height: height of the picture in pixels.
      width: width of the picture in pixels.
      resolution: side r of a sub-image in pixels.
      n_min: fewest sub-images of a candidate grid.
      n_max: most sub-images of a candidate grid.
      policy: "equation" or "smallest_cover".

    Returns:
      (rows, columns).

    Raises:
      ValueError: if a size is not positive, if n_min > n_max, or if the policy is unknown.
    """
    height = _positive(height, "height", "pixels")
    width = _positive(width, "width", "pixels")
    resolution = _positive(resolution, "resolution", "pixels")
    n_min, n_max = _check_bounds(n_min, n_max)
    _check_choice(policy, "policy", POLICIES)
    return _choose_grid(height, width, resolution, n_min, n_max, policy)


def plan_tiling(
    height: int,
    width: int,
    *,
    resolution: int,
    splitting: schema.SplittingConfig,
    images_in_example: int,
) -> Tiling:
    """Decides which tiles a picture is cut into, and their order.

    Splitting applies only if the example has at most `splitting.max_split_images` pictures ("fewer
    than three", section 3.5). The overview is left out when the grid is (1, 1).

    Args:
      height: height of the picture in pixels.
      width: width of the picture in pixels.
      resolution: side r of a tile in pixels.
      splitting: how to split; see `SplittingConfig`.
      images_in_example: pictures of the example that this one belongs to, itself included.

    Returns:
      The tiling: sub-images row by row, and the overview after or before them.

    Raises:
      ValueError: if a size or a field of `splitting` is invalid.
    """
    height = _positive(height, "height", "pixels")
    width = _positive(width, "width", "pixels")
    resolution = _positive(resolution, "resolution", "pixels")
    images_in_example = _positive(images_in_example, "images_in_example", "pictures")
    split = images_in_example <= splitting.max_split_images
    return _plan_tiling(height, width, resolution, splitting, split)


def fit_size(height: int, width: int, rows: int, columns: int, resolution: int) -> tuple[int, int]:
    """Size of a picture resized, aspect kept, to just fit a grid ("longer side resizing").

    Args:
      height: height of the picture in pixels.
      width: width of the picture in pixels.
      rows: rows of the grid.
      columns: columns of the grid.
      resolution: side of a tile in pixels.

    Returns:
      (height, width) in pixels. One side fills the grid exactly; the other is rounded to the
      nearest pixel (halves up) and is at least 1.
    """
    grid_height, grid_width = rows * resolution, columns * resolution
    if grid_height * width <= grid_width * height:  # the height is what limits
        return grid_height, max(1, (2 * width * grid_height + height) // (2 * height))
    return max(1, (2 * height * grid_width + width) // (2 * width)), grid_width


@functools.lru_cache(maxsize=256)
def _candidate_grids(n_min: int, n_max: int) -> tuple[tuple[int, int], ...]:
    return tuple(
        (rows, count // rows)
        for count in range(n_min, n_max + 1)
        for rows in range(1, count + 1)
        if count % rows == 0
    )


@functools.lru_cache(maxsize=65536)
def _choose_grid(
    height: int, width: int, resolution: int, n_min: int, n_max: int, policy: str
) -> tuple[int, int]:
    # Candidates come fewest sub-images first, then fewest rows, and min() keeps the first of
    # equals: this is the tie rule.
    candidates = _candidate_grids(n_min, n_max)
    covering = [
        (rows, columns)
        for rows, columns in candidates
        if rows * resolution >= height and columns * resolution >= width
    ]
    if not covering:
        # s = min(rows * r / height, columns * r / width), times height * width / r.
        return max(candidates, key=lambda grid: min(grid[0] * width, grid[1] * height))
    if policy == "smallest_cover":
        return min(covering, key=lambda grid: (grid[0] * grid[1], _padding(height, width, *grid)))
    return min(covering, key=lambda grid: _padding(height, width, *grid))


def _padding(height: int, width: int, rows: int, columns: int) -> int:
    """Padding of the grid in units of r^2 / (height * width), a whole number.

    If the height limits, s = rows * r / height, and the padding rows * columns * r^2 -
    s^2 * height * width is r^2 * rows * (columns * height - rows * width) / height.
    """
    spare = columns * height - rows * width
    return rows * spare * width if spare >= 0 else columns * -spare * height


@functools.lru_cache(maxsize=65536)
def _plan_tiling(
    height: int, width: int, resolution: int, splitting: schema.SplittingConfig, split: bool
) -> Tiling:
    _check_choice(splitting.mode, "splitting.mode", MODES)
    _check_choice(splitting.overview, "splitting.overview", OVERVIEWS)
    if not split or splitting.mode == "none":
        grid = (1, 1)
    elif splitting.mode == "static":
        rows, columns = splitting.static_grid
        grid = (
            _positive(rows, "splitting.static_grid[0]", "rows"),
            _positive(columns, "splitting.static_grid[1]", "columns"),
        )
    else:
        grid = choose_grid(
            height,
            width,
            resolution=resolution,
            n_min=splitting.n_min,
            n_max=splitting.n_max,
            policy=splitting.policy,
        )
    cells = tuple(
        (row, column) for row in range(1, grid[0] + 1) for column in range(1, grid[1] + 1)
    )
    if grid != (1, 1) and splitting.overview == "before":
        cells = (OVERVIEW_CELL, *cells)
    elif grid != (1, 1) and splitting.overview == "after":
        cells = (*cells, OVERVIEW_CELL)
    return Tiling(height, width, resolution, grid, cells)


def _positive(value: int, name: str, unit: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {value!r}; expected a whole number of {unit}.") from None
    if number < 1:
        raise ValueError(f"{name} is {number}; expected at least 1 of {unit}.")
    return number


def _check_bounds(n_min: int, n_max: int) -> tuple[int, int]:
    n_min = _positive(n_min, "n_min", "sub-images")
    n_max = _positive(n_max, "n_max", "sub-images")
    if n_min > n_max:
        raise ValueError(
            f"n_min is {n_min} and n_max is {n_max}: no grid has at least {n_min} and at most"
            f" {n_max} sub-images; expected n_min <= n_max, such as ({n_max}, {n_min})."
        )
    return n_min, n_max


def _check_choice(value: str, name: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        nearest = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.0)[0]
        raise ValueError(f"{name} is {value!r}; expected one of {choices}, perhaps {nearest!r}.")
