"""The commands that a page prints give its draws."""

import pytest
from absl import flags as absl_flags

from mm15_jax.ablations import catalog
from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.reproduce import commands
from mm15_jax.ablations.runs import plan
from mm15_jax.cli import ablate_command


def drawn_by(command):
    """What a command draws: (row, draw) of what it runs; nothing with --collect."""
    flags = absl_flags.FlagValues()
    ablate_command.define_flags(flags)
    name, *_ = flags(command.split()[1:])[1:]
    ablation = catalog.find(name, flags.scale)
    work = plan(ablation, starts=flags.starts, seeds=flags.seeds, rows=flags.rows)
    return {(a.row.key, a.draw) for a in work.asked}, flags.collect


def draws(*counts):
    """Of so many seeds of each start."""
    return [Draw(start, seed) for start, count in enumerate(counts) for seed in range(count)]


@pytest.mark.parametrize(
    "rows",
    [
        {"base": draws(1), "single_image": draws(1), "all": draws(1)},
        {"base": draws(2), "single_image": draws(2)},
        {"base": draws(8, 1, 1), "single_image": draws(2), "all": draws(8, 1, 1)},
        {"base": draws(4, 3, 3, 1), "single_image": draws(1, 1, 1, 1), "all": draws(4)},
        {"base": [Draw(0, 3), Draw(0, 4)], "single_image": [Draw(0, 1)], "all": [Draw(2, 3)]},
        {"base": [Draw(0, 0), Draw(0, 2), Draw(1, 2)], "all": [*draws(2, 2), Draw(0, 5)]},
        {"base": draws(1, 3), "single_image": draws(0, 0, 0, 2, 1), "all": draws(2, 0, 2, 1)},
    ],
)
def test_commands_draw_what_the_result_has_and_no_more(rows):
    ablation = catalog.find("fig8", "nano")
    *runs, last = [drawn_by(command) for command in commands(ablation, rows)]
    wanted = {(key, draw) for key, drawn in rows.items() for draw in drawn}
    if last[1]:  # puts together what the others have run
        assert wanted <= last[0]
    else:
        assert not runs
        runs = [last]
    assert not any(collects for _, collects in runs)
    assert set.union(*(drawn for drawn, _ in runs)) == wanted


def test_a_command_says_what_is_not_usual_and_no_more():
    ablation = catalog.find("fig8", "nano")
    rows = dict.fromkeys(("base", "single_image", "all"), draws(2, 2))
    assert commands(ablation, rows) == ("mm15 ablate fig8 --scale nano --starts 2 --seeds 2",)
    assert commands(ablation, {"base": draws(1)}, ["train.steps=3"]) == (
        "mm15 ablate fig8 --scale nano --rows base --set train.steps=3",
    )
    rows = {key: [Draw(0, 3), Draw(0, 4)] for key in ("base", "single_image", "all")}
    assert commands(ablation, rows) == ("mm15 ablate fig8 --scale nano --seeds 3:5",)
    rows = dict.fromkeys(("base", "single_image", "all"), draws(0, 0, 0, 1, 1))
    assert commands(ablation, rows) == ("mm15 ablate fig8 --scale nano --starts 3:5",)
