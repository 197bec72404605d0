import json
import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from mm15_jax.checkpoint import run
from mm15_jax.checkpoint.initial import Start
from mm15_jax.checkpoint.manager import Checkpoints
from mm15_jax.config import replace_nested
from mm15_jax.data.records import read_manifest
from mm15_jax.train import loop
from mm15_jax.train.loop import train
from mm15_jax.train.metrics import read_rows
from tests import tiny

# What depends on the clock, not on the computation.
CLOCK = ("_per_second", "seconds_per_step", "input_wait_share")


def losses(run_dir):
    rows = read_rows(run_dir / run.METRICS)
    return [{k: v for k, v in row.items() if not k.endswith(CLOCK)} for row in rows]


def assert_equal_params(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.fixture(scope="module")
def straight(tiny_run):
    """Six steps without a stop."""
    return tiny_run


def test_metrics_have_the_promised_columns(straight):
    rows = read_rows(straight / run.METRICS)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for row in rows:
        assert {"step", "loss", "tokens_per_second", "stage"} <= set(row)
        assert row["stage"] == "sft" and np.isfinite(row["loss"])
        assert any(key.startswith("loss/") for key in row)


def test_stopping_and_starting_again_changes_nothing_to_the_bit(straight, tmp_path, data_dir):
    run_dir = tmp_path / "halves"
    # A crash after step 4's checkpoint and step 5's log: the run falls back to step 4.
    experiment = tiny.experiment()
    train(experiment, run_dir, data_dir)
    checkpoints = Checkpoints(run_dir / run.CHECKPOINTS, experiment.checkpoint)
    assert checkpoints.latest_step == 6
    checkpoints._manager.delete(6)
    checkpoints.close()
    result = train(experiment, run_dir, data_dir)
    assert (result.first_step, result.last_step) == (4, 6)
    assert losses(run_dir) == losses(straight)
    assert_equal_params(run.load_params(run_dir), run.load_params(straight))


def test_a_complete_run_is_left_as_it_is(straight, data_dir):
    before = losses(straight)
    result = train(tiny.experiment(), straight, data_dir)
    assert (result.first_step, result.last_step) == (6, 6)
    assert losses(straight) == before


def test_sigterm_saves_and_the_same_command_continues(straight, tmp_path, data_dir):
    run_dir = tmp_path / "stopped"
    # The child stops itself in the middle: a signal from outside would race with six quick steps.
    code = f"""
import os, pathlib, signal
from mm15_jax.train import loop
from tests import tiny
rows = 0
write = loop.MetricsWriter.write
def write_and_stop(self, row):
    write(self, row)
    if row["step"] == 2:  # answered after the step behind it, which no checkpoint was due at
        os.kill(os.getpid(), signal.SIGTERM)
loop.MetricsWriter.write = write_and_stop
run_dir, data_dir = pathlib.Path({str(run_dir)!r}), pathlib.Path({str(data_dir)!r})
result = loop.train(tiny.experiment(), run_dir, data_dir)
print(result.last_step, result.stopped_by)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True
    )
    assert done.stdout.split() == ["3", str(int(signal.SIGTERM))]
    assert (run_dir / run.CHECKPOINTS / "3").is_dir()
    train(tiny.experiment(), run_dir, data_dir)
    assert losses(run_dir) == losses(straight)


def test_one_device_and_two_give_the_same_losses(straight, tmp_path, data_dir):
    code = f"""
import pathlib
from mm15_jax.train import loop
from tests import tiny
run_dir, data_dir = pathlib.Path({str(tmp_path)!r}) / "one", pathlib.Path({str(data_dir)!r})
loop.train(tiny.experiment(), run_dir, data_dir)
"""
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    assert jax.device_count() == 2
    one = [row["loss"] for row in read_rows(tmp_path / "one" / run.METRICS)]
    two = [row["loss"] for row in read_rows(straight / run.METRICS)]
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_a_program_from_the_compile_cache_changes_nothing_to_the_bit(straight, tmp_path, data_dir):
    for name in ("compiled", "loaded"):
        code = f"""
import pathlib
from mm15_jax.parallel.startup import start_jax
from mm15_jax.train import loop
from tests import tiny
start_jax(4)
run_dir, data_dir = pathlib.Path({str(tmp_path / name)!r}), pathlib.Path({str(data_dir)!r})
loop.train(tiny.experiment(), run_dir, data_dir)
"""
        env = {**os.environ, "MM15_COMPILE_CACHE": str(tmp_path / "cache")}
        subprocess.run([sys.executable, "-c", code], env=env, check=True)
        programs = sorted(path.name for path in (tmp_path / "cache").glob("*-cache"))
        if name == "compiled":
            kept = programs
    assert kept and programs == kept
    assert losses(tmp_path / "compiled") == losses(tmp_path / "loaded") == losses(straight)


def test_a_stage_starts_from_the_parameters_of_the_one_before(straight, tmp_path, data_dir):
    experiment = tiny.experiment(**{"optimizer.peak_learning_rate": 1e-12, "train.steps": 1})
    start = Start("mm15_nano_sft", ("encoder", "decoder"), straight)
    train(experiment, tmp_path / "next", data_dir, (start,))
    before, after = run.load_params(straight), run.load_params(tmp_path / "next")
    for part in ("encoder", "decoder"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), before[part], after[part]
        )
    assert not np.allclose(
        before["connector"]["linear1"]["kernel"], after["connector"]["linear1"]["kernel"], atol=1e-3
    )
    assert run.read_started_from(tmp_path / "next") == {"mm15_nano_sft": run.read_config(straight)}
    sets = {f"{path.name}/train" for path in data_dir.iterdir()}
    read = run.read_data(tmp_path / "next")["mm15_nano_sft"]
    assert read.keys() <= sets and read == run.read_data(straight)["mm15_nano_sft"]
    for name, was in read.items():
        manifest = read_manifest(data_dir / name)
        assert was == {"version": manifest.version, "records": manifest.checksum}


def test_a_directory_of_another_experiment_is_refused(straight, data_dir):
    other = tiny.experiment(name="mm15_nano_continual")
    with pytest.raises(ValueError, match=r"is a run of mm15_nano_sft, not of mm15_nano_continual"):
        train(other, straight, data_dir)


def test_every_process_refuses_it_not_the_first_alone(straight, data_dir, monkeypatch):
    """One that ends alone leaves the others as a crash does, and the launch begins anew."""
    monkeypatch.setattr(loop, "is_main", lambda: False)
    other = tiny.experiment(name="mm15_nano_continual")
    with pytest.raises(ValueError, match=r"is a run of mm15_nano_sft, not of mm15_nano_continual"):
        train(other, straight, data_dir)


def test_other_values_of_the_same_experiment_are_refused(straight, data_dir):
    with pytest.raises(ValueError, match=r"train.seed \(0, now 5\)"):
        train(tiny.experiment(**{"train.seed": 5}), straight, data_dir)


def test_an_empty_data_directory_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty.*mm15 prepare"):
        train(tiny.experiment(), tmp_path / "run", tmp_path / "empty")


def test_rows_that_do_not_divide_over_devices_are_refused(tmp_path, data_dir):
    with pytest.raises(ValueError, match=r"train\.batch_rows 3 is not a multiple"):
        train(tiny.experiment(**{"train.batch_rows": 3}), tmp_path / "run", data_dir)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, data_dir):
    wild = tiny.experiment(
        **{
            "optimizer.peak_learning_rate": 1e30,
            "optimizer.warmup_steps": 0,
            "optimizer.name": "adamw",
        }
    )
    with pytest.raises(FloatingPointError, match="at step"):
        train(wild, tmp_path / "run", data_dir)


def test_what_is_not_finite_is_not_saved(tmp_path, data_dir):
    # It is not logged either: what would save it finds it.
    wild = tiny.experiment(
        **{
            "optimizer.peak_learning_rate": 1e30,
            "optimizer.warmup_steps": 0,
            "optimizer.name": "adamw",
            "train.log_every": 6,
            "checkpoint.every": 2,
        }
    )
    for _ in range(2):  # and a second try begins where it is finite
        with pytest.raises(FloatingPointError, match=r"at step 2; nothing is saved yet"):
            train(wild, tmp_path / "run", data_dir)


def test_a_save_that_fails_as_well_is_told_behind_the_error(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path / "checkpoints", tiny.experiment().checkpoint)
    checkpoints.wait = fails
    with pytest.raises(ValueError, match="of the run"), checkpoints.whole_at_the_end():
        raise ValueError("of the run")
    assert "the save under way failed too: of the disk" in caplog.text


def fails():
    raise OSError("of the disk")


def test_a_save_under_way_is_whole_when_an_error_ends_the_run(tmp_path, data_dir, monkeypatch):
    written = []
    wait = Checkpoints.wait

    def waits(self):
        wait(self)
        written.append(self.latest_step)

    monkeypatch.setattr(Checkpoints, "wait", waits)
    experiment = tiny.experiment(**{"checkpoint.every": 2, "train.steps": 6})
    rows = loop.MetricsWriter.write

    def write(self, row):
        rows(self, row)
        if row["step"] == 3:
            raise FloatingPointError("as if the loss were none")

    monkeypatch.setattr(loop.MetricsWriter, "write", write)
    with pytest.raises(FloatingPointError, match="as if"):
        train(experiment, tmp_path / "run", data_dir)
    assert written == [2] and (tmp_path / "run" / run.CHECKPOINTS / "2").is_dir()


def test_a_signal_while_the_last_save_is_written_is_not_the_end(tmp_path, data_dir, monkeypatch):
    wait = Checkpoints.wait

    def told(self):
        os.kill(os.getpid(), signal.SIGTERM)
        wait(self)

    monkeypatch.setattr(Checkpoints, "wait", told)
    result = train(tiny.experiment(**{"train.steps": 1}), tmp_path / "run", data_dir)
    assert result.last_step == 1 and result.stopped_by == signal.SIGTERM
    assert run.has_checkpoint(tmp_path / "run")


def test_counts_of_data_add_up_over_evaluations_and_stops(tmp_path, data_dir, monkeypatch):
    changes = {"train.log_every": 4, "eval.during.every": 3, "checkpoint.every": 100}
    experiment = tiny.experiment(**changes)
    with monkeypatch.context() as patch:
        stop_after(patch, step=2)
        train(experiment, tmp_path / "run", data_dir, evaluator=lambda step, params: {})
    train(experiment, tmp_path / "run", data_dir, evaluator=lambda step, params: {})
    train(tiny.experiment(), tmp_path / "each", data_dir)

    def examples(name):
        rows = read_rows(tmp_path / name / run.METRICS)
        return sum(d["examples"] for row in rows for d in row.get("datasets", {}).values())

    assert examples("run") == examples("each") > 0


def test_the_run_directory_holds_the_resolved_config(straight):
    saved = json.loads((straight / "config.json").read_text())
    assert saved["train"]["steps"] == 6 and saved["name"] == "mm15_nano_sft"


def test_a_run_is_not_continued_on_other_data(tmp_path, data_dir):
    run_dir, other = tmp_path / "run", tmp_path / "data"
    train(tiny.experiment(**{"train.steps": 2}), run_dir, tiny.prepare_data(other, limit=24))
    for name in tiny.DATASETS:
        shutil.rmtree(other / name)
    tiny.prepare_data(other, limit=20)
    with pytest.raises(ValueError, match=r"are not those that .* was started with"):
        train(tiny.experiment(**{"train.steps": 2}), run_dir, other)


def test_the_mixture_as_it_came_out_is_in_the_metrics(straight):
    rows = read_rows(straight / run.METRICS)
    for row in rows:
        for measure in ("examples", "tokens", "tiles", "loss_tokens"):
            shares = [v for k, v in row.items() if k.startswith(f"mixture/{measure}/")]
            assert sum(shares) == pytest.approx(1)
        assert sum(c["tokens"] for c in row["datasets"].values()) == pytest.approx(
            row["token_fill"] * 4 * 96
        )
    # By category and by data set it is one count: instructions are all of the text.
    text = sum(row["datasets"].get("mini_instructions", {"tokens": 0})["tokens"] for row in rows)
    both = sum(row["mixture/tokens/text"] * row["token_fill"] * 4 * 96 for row in rows)
    assert text == pytest.approx(both)


def test_waiting_for_data_is_measured(straight, tmp_path, data_dir, monkeypatch):
    from mm15_jax.data.pipeline import Pipeline

    give = Pipeline.__next__

    def slowly(self):
        time.sleep(0.8)
        return give(self)

    monkeypatch.setattr(Pipeline, "__next__", slowly)
    train(tiny.experiment(), tmp_path / "slow", data_dir)
    slow = read_rows(tmp_path / "slow" / run.METRICS)

    def waited(rows):
        shares = [row["input_wait_share"] for row in rows]
        assert all(0 <= share <= 1 for share in shares)
        return sum(s * row["seconds_per_step"] for s, row in zip(shares, rows, strict=True))

    # Of the five batches after the first; a machine that is busy may compute for as long.
    assert waited(slow) > 2 * 0.8
    assert waited(slow) > 2 * waited(read_rows(straight / run.METRICS))


@pytest.mark.slow
def test_data_that_changes_is_refused_or_recorded(tmp_path, data_dir, monkeypatch):
    from mm15_jax.config.mixtures import Group
    from mm15_jax.experiments import mixtures

    run_dir = tmp_path / "run"
    short = tiny.experiment(**{"train.steps": 4, "optimizer.schedule": "constant"})
    monkeypatch.setitem(mixtures.MIXTURES, "first", (Group("a", 1.0, ("mini_scene_qa",)),))
    both = (Group("a", 1.0, ("mini_scene_qa",)), Group("b", 1.0, ("mini_instructions",)))
    monkeypatch.setitem(mixtures.MIXTURES, "second", both)

    def go_on(steps, directory=run_dir, **data):
        changes = {f"data.{key}": value for key, value in data.items()}
        experiment = replace_nested(short, changes)
        # Stopped by hand: the number of steps belongs to the config.
        stop_after(monkeypatch, steps)
        return train(experiment, directory, data_dir)

    go_on(2, mixture="first")
    with pytest.raises(ValueError, match=r"another data.mixture \('first', now 'second'\)"):
        go_on(4, mixture="second")
    monkeypatch.setitem(mixtures.MIXTURES, "first", both)
    with pytest.raises(ValueError, match=r"mini_instructions is new.*data.on_change=continue"):
        go_on(4, mixture="first")
    monkeypatch.undo()
    monkeypatch.setitem(mixtures.MIXTURES, "first", (Group("a", 1.0, ("mini_scene_qa",)),))
    monkeypatch.setitem(mixtures.MIXTURES, "second", both)
    shutil.copytree(run_dir, tmp_path / "again")
    assert go_on(4, mixture="second", on_change="continue").first_step == 2
    logged = read_rows(run_dir / run.DATA_LOG)
    assert [entry["from_step"] for entry in logged] == [0, 2]
    assert "mini_instructions is new" in logged[1]["changes"]
    used = [set(row["datasets"]) for row in read_rows(run_dir / run.METRICS)]
    assert used[:2] == [{"mini_scene_qa"}] * 2
    assert used[2] | used[3] == {"mini_scene_qa", "mini_instructions"}
    # Lost in the middle of what follows the change, and begun again: the same.
    go_on(3, tmp_path / "again", mixture="second", on_change="continue")
    go_on(4, tmp_path / "again", mixture="second")
    assert losses(tmp_path / "again") == losses(run_dir)
    assert read_rows(tmp_path / "again" / run.DATA_LOG) == logged
    assert_equal_params(run.load_params(tmp_path / "again"), run.load_params(run_dir))


def stop_after(monkeypatch, step):
    """As if a signal came during that step."""
    from mm15_jax.train.stop import StopRequest

    def agree(self, done):
        if done >= step:
            self.signal = int(signal.SIGTERM)

    monkeypatch.setattr(StopRequest, "agree", agree)


def test_packing_late_trains(tmp_path, data_dir):
    experiment = tiny.experiment(**{"data.packing": "late", "train.steps": 2})
    assert train(experiment, tmp_path / "late", data_dir).last_step == 2
    rows = read_rows(tmp_path / "late" / run.METRICS)
    assert len(rows) == 2 and all(np.isfinite(row["loss"]) for row in rows)


def test_rows_are_told_apart_by_line_feeds_alone(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"answer": "one\u2028two\x85three"}, {"answer": "four"}]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text + '{"answer": "cut')
    assert read_rows(path) == rows
