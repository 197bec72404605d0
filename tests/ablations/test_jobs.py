"""An ablation's jobs, for a launcher."""

import pytest

from mm15_jax.ablations import catalog, jobs

ALL = [(name, scale) for name in catalog.names() for scale in catalog.scales_of(name)]


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_every_draw_has_jobs_whose_names_a_launcher_takes(name, scale):
    # Rows of these begin to differ at different stages, so that seeds would not draw them alike.
    seeds = 1 if name in ("fig9a", "fig9b", "fig10") else 2
    made = jobs(name, scale, run_dir="gs://bucket/ablations", starts=2, seeds=seeds)
    names = [job.name for job in made]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 40
    for i, job in enumerate(made):
        assert set(job.after) <= set(names[:i])
    commands = [command for job in made for command in job.commands]
    assert len(set(commands)) == len(commands)  # jobs run at once: no two may write one folder


def test_a_draw_is_told_at_the_end_of_a_jobs_name():
    made = [job.name for job in jobs("fig8", "3b", run_dir="D", rows=["base"], starts=2, seeds=2)]
    rows = [name for name in made if "row_base" in name]
    first = "fig8_3b_row_base"
    assert rows == [first, f"{first}_seed1", f"{first}_start1", f"{first}_start1_1"]
    assert "fig8_3b_mm15_3b_continual_start1" in made


def test_the_table_is_read_with_as_many_draws_as_have_run():
    *_, table = jobs("fig8", "3b", run_dir="D", starts=3, seeds=2, overrides=["train.steps=3"])
    (command,) = table.commands
    text = " ".join(command)
    assert "--starts 3 --seeds 2" in text and text.endswith("--collect --set train.steps=3")
