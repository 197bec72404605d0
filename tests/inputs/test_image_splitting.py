"""The grid of sub-images, held against a brute force in fractions and cases worked by hand."""

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.config.schema import SplittingConfig
from mm15_jax.inputs import image_splitting
from mm15_jax.inputs.image_splitting import choose_grid, fit_size, plan_tiling


def brute_force(height, width, resolution, n_min, n_max, policy):
    """The definition of section 3.5, term by term, over every grid that could be one."""
    grids = []
    for rows in range(1, n_max + 1):
        for columns in range(1, n_max + 1):
            if n_min <= rows * columns <= n_max:
                scale = min(
                    Fraction(rows * resolution, height), Fraction(columns * resolution, width)
                )
                padding = rows * columns * resolution**2 - (scale * height) * (scale * width)
                grids.append((rows, columns, scale, padding))
    covering = [g for g in grids if g[2] >= 1]
    if not covering:
        best = min(grids, key=lambda g: (-g[2], g[0] * g[1], g[0]))
    elif policy == "smallest_cover":
        best = min(covering, key=lambda g: (g[0] * g[1], g[3], g[0]))
    else:
        best = min(covering, key=lambda g: (g[3], g[0] * g[1], g[0]))
    return best[:2]


@st.composite
def _problems(draw):
    resolution = draw(st.sampled_from([1, 2, 48, 336, 378, 672]))
    # Small multiples of the resolution make the ties and the exact fits that hide in random sizes.
    side = st.one_of(
        st.integers(1, 5000), st.integers(1, 12).map(lambda n: n * resolution), st.integers(1, 40)
    )
    n_min = draw(st.integers(1, 12))
    n_max = draw(st.integers(n_min, 20))
    policy = draw(st.sampled_from(image_splitting.POLICIES))
    return draw(side), draw(side), resolution, n_min, n_max, policy


@settings(max_examples=600, deadline=None)
@given(_problems())
def test_choose_grid_equals_the_brute_force(problem):
    height, width, resolution, n_min, n_max, policy = problem
    grid = choose_grid(
        height, width, resolution=resolution, n_min=n_min, n_max=n_max, policy=policy
    )
    assert grid == brute_force(*problem)
    assert n_min <= grid[0] * grid[1] <= n_max


@pytest.mark.parametrize(
    ("height", "width", "n_min", "n_max", "policy", "expected"),
    [
        # The largest pictures of the final recipe: 4 megapixels, no padding.
        (2016, 2016, 4, 9, "equation", (3, 3)),
        (6048, 672, 4, 9, "equation", (9, 1)),
        (672, 6048, 4, 9, "equation", (1, 9)),
        # Every grid covers it. (2, 3): 1344 x 1792 of 1344 x 2016; (2, 2): 1008 x 1344 of 1344^2.
        (480, 640, 4, 9, "equation", (2, 3)),
        (480, 640, 4, 9, "smallest_cover", (2, 2)),
        (640, 480, 4, 9, "equation", (3, 2)),
        # No grid covers it: (3, 3) scales by 0.504, (2, 4) by 0.448.
        (3000, 4000, 4, 9, "equation", (3, 3)),
        (3000, 4000, 4, 9, "smallest_cover", (3, 3)),
        # One sub-image is enough where it is allowed: n_min = 1.
        (672, 672, 1, 9, "equation", (1, 1)),
        (673, 672, 1, 9, "equation", (2, 2)),
        (673, 672, 1, 9, "smallest_cover", (2, 1)),
    ],
)
def test_choose_grid_on_cases_worked_by_hand(height, width, n_min, n_max, policy, expected):
    grid = choose_grid(height, width, resolution=672, n_min=n_min, n_max=n_max, policy=policy)
    assert grid == expected


def test_ties_go_to_fewer_sub_images_then_to_fewer_rows():
    # (1, 1), (2, 2) and (3, 3) have no padding: fewest sub-images.
    assert choose_grid(10, 10, resolution=10, n_min=1, n_max=9) == (1, 1)
    # (1, 2) and (2, 1) have the same padding: fewest rows.
    assert choose_grid(10, 10, resolution=10, n_min=2, n_max=3) == (1, 2)
    # Nothing covers; (2, 2), (2, 3), (3, 2), (2, 4) and (4, 2) scale by the same.
    assert choose_grid(100, 100, resolution=10, n_min=4, n_max=8) == (2, 2)


def test_candidates_of_the_final_recipe_and_of_figure_11():
    assert len(set(image_splitting.candidate_grids(4, 9))) == 18
    assert set(image_splitting.candidate_grids(1, 4)) == {
      (1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (1, 4), (4, 1), (2, 2),
  }  # fmt: skip


def test_equal_candidates_do_not_depend_on_the_units():
    # A scale where floating point sees a difference between equal paddings.
    for factor in (1, 3, 7, 10**6 + 3):
        assert choose_grid(
            3 * factor, 3 * factor, resolution=factor, n_min=10, n_max=12
        ) == choose_grid(3, 3, resolution=1, n_min=10, n_max=12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "height is 0"),
        ({"width": -3}, "width is -3"),
        ({"height": 1.5}, "height is 1.5"),
        ({"resolution": 0}, "resolution is 0"),
        ({"n_min": 5, "n_max": 4}, "n_min is 5 and n_max is 4"),
        ({"n_min": 0}, "n_min is 0"),
        ({"n_max": 0}, "n_max is 0"),
        ({"policy": "smallest"}, "'smallest_cover'"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {"height": 10, "width": 10, "resolution": 10, "n_min": 1, "n_max": 4} | change
    with pytest.raises(ValueError, match=message):
        choose_grid(arguments.pop("height"), arguments.pop("width"), **arguments)


def plan(height=1344, width=672, images=1, **fields):
    return plan_tiling(
        height,
        width,
        resolution=672,
        splitting=dataclasses.replace(SplittingConfig(), **fields),
        images_in_example=images,
    )


def test_sub_images_come_row_by_row_with_the_overview_after_before_or_absent():
    cells = ((1, 1), (1, 2), (2, 1), (2, 2))
    assert plan(mode="static").cells == (*cells, (0, 0))
    assert plan(mode="static", overview="before").cells == ((0, 0), *cells)
    assert plan(mode="static", overview="none").cells == cells
    assert plan(mode="static").num_tiles == 5


def test_a_grid_of_one_has_no_overview():
    for overview in image_splitting.OVERVIEWS:
        tiling = plan(600, 600, n_min=1, overview=overview)
        assert tiling.grid == (1, 1)
        assert tiling.cells == ((1, 1),)
        assert not tiling.is_split


def test_splitting_stops_at_three_pictures():
    assert plan(images=1).grid == (4, 2)
    assert plan(images=2).grid == (4, 2)
    assert plan(images=3).cells == ((1, 1),)
    assert plan(images=3, mode="static").cells == ((1, 1),)
    assert plan(images=3, max_split_images=3).grid == (4, 2)


def test_dynamic_splitting_passes_bounds_and_policy_on():
    assert plan(480, 640).grid == (2, 3)
    assert plan(480, 640, policy="smallest_cover").grid == (2, 2)
    assert plan(2016, 2688).grid == (3, 3)
    assert plan(2016, 2688, n_max=16).grid == (3, 4)
    assert plan(mode="none").grid == (1, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "dynamical"}, "'dynamic'"),
        ({"overview": "afterwards"}, "'after'"),
        ({"mode": "static", "static_grid": (0, 2)}, r"static_grid\[0\] is 0"),
        ({"n_min": 10}, "n_min is 10 and n_max is 9"),
    ],
)
def test_wrong_splitting_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        plan(**fields)


@given(
    st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 5), st.integers(1, 5),
    st.sampled_from([1, 48, 378]),
)  # fmt: skip
def test_fit_size_fills_one_side_and_keeps_the_aspect(height, width, rows, columns, resolution):
    fitted = fit_size(height, width, rows, columns, resolution)
    scale = min(Fraction(rows * resolution, height), Fraction(columns * resolution, width))
    assert fitted[0] == rows * resolution or fitted[1] == columns * resolution
    assert 1 <= fitted[0] <= rows * resolution
    assert 1 <= fitted[1] <= columns * resolution
    for got, exact in zip(fitted, (height * scale, width * scale), strict=True):
        assert abs(got - exact) <= Fraction(1, 2) or (got == 1 and exact < 1)
