"""The commands of an ablation, and running them."""

import dataclasses
import importlib
import json
import pathlib
import shutil

import pytest
from absl import flags as absl_flags

from mm15_jax.ablations import answered, catalog, jobs, same_data
from mm15_jax.ablations.runs import plan
from mm15_jax.ablations.tasks import tasks_of
from mm15_jax.checkpoint import run as run_lib
from mm15_jax.cli import main
from mm15_jax.config import InitFrom, replace_nested
from mm15_jax.data import records
from mm15_jax.data.miniature import SETS
from mm15_jax.data.records import write_dataset
from mm15_jax.evaluation.results import (
    SCORES,
    BenchmarkResult,
    Results,
    read_scores,
    write_scores,
)
from mm15_jax.inputs.example import Example, Text
from tests import tiny


def commands_of(name, scale, *, run_dir, data_dir=None, **more):
    return tasks_of(plan(catalog.find(name, scale), **more), run_dir, data_dir)


def note(task, *, likelihoods=True):
    """As `mm15 eval` does when it has answered a task's questions."""
    asked = task.asked
    how = answered.How(asked.examples, asked.overrides, asked.run.config.train.steps)
    answered.note(task.folder, how, asked.benchmarks, task.data_dir, likelihoods=likelihoods)
    try:
        before = read_scores(task.folder).benchmarks
    except ValueError:
        before = ()
    scores(task, [row.name for row in before] + list(asked.benchmarks))


def scores(task, names, **changes):
    """scores.json of a task's folder."""
    row = BenchmarkResult("", "", "", "", 50.0, 1.0, 4, 0.0, 0.0, 0, likelihood=50.0)
    rows = (dataclasses.replace(row, name=name, **changes) for name in dict.fromkeys(names))
    write_scores(task.folder, Results(tuple(rows), "test", "m"))


@pytest.fixture(autouse=True)
def manifests_are_read_anew(monkeypatch):
    """As by another call of the command."""
    monkeypatch.setattr(same_data, "_manifest", records.find_manifest)


def test_commands_are_such_as_the_command_line_takes():
    for task in commands_of("table2", "nano", run_dir="D", seeds=2, overrides=["train.steps=3"]):
        name, *words = task.command
        module = importlib.import_module(f"mm15_jax.cli.{name}_command")
        flags = absl_flags.FlagValues()
        module.define_flags(flags)
        arguments = flags([name, *main.gather_set(words)])[1:]
        assert flags.run_dir.startswith("D/")
        assert (len(arguments) == 1) == (name == "train")
        assert "train.steps=3" in flags.set or name == "eval"


def test_a_command_stands_behind_those_it_waits_for():
    seen = set()
    for task in commands_of("fig10", "3b", run_dir="gs://bucket/ablations"):
        assert set(task.after) <= seen
        seen.add(task.name)
    assert len(seen) == 12


def trained(tasks, **changes):
    """Directories as of runs that these tasks have trained, with changes to their configs."""
    for task in tasks:
        if task.run:
            run_lib.open_for_training(task.folder, replace_nested(task.run.config, changes))


def test_a_task_is_done_when_it_was_asked_the_same(tmp_path):
    *runs, task = commands_of("fig8", "nano", run_dir=str(tmp_path), rows=["base"])
    trained(runs)
    assert not task.is_done()
    note(task)
    assert task.is_done() and (task.folder / answered.NOTE).is_file()
    *_, other = commands_of(
        "fig8", "nano", run_dir=str(tmp_path), rows=["base"], overrides=["eval.examples=9"]
    )
    assert not other.is_done()


@pytest.mark.parametrize(("row", "own"), [("1", []), ("7", ["eval.n_min=1", "eval.n_max=9"])])
def test_runs_that_are_there_are_asked_again_by_another_setting_of_how(
    row, own, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_lib, "is_complete", lambda folder: True)

    def asked_with(*overrides):
        return commands_of("table2", "nano", run_dir=str(tmp_path), rows=[row], overrides=overrides)

    *runs, task = asked_with()
    trained(runs)
    note(task)
    *same, other = asked_with("eval.max_new_tokens=1", "eval.batch_size=8")
    assert all(run.is_done() for run in same) and not other.is_done()
    assert list(other.command[other.command.index("--set") + 1 :]) == [
        "eval.max_new_tokens=1",
        *own,
    ]
    assert not any("eval.max_new_tokens=1" in run.command for run in same)  # else runs keep it
    assert other.asked.content != task.asked.content
    note(other)
    assert other.is_done() and not task.is_done()


def test_a_task_without_all_scores_is_asked_again(tmp_path):
    """Another call wrote scores.json at the same time, or somebody has removed it."""
    *runs, task = commands_of("fig8", "nano", run_dir=str(tmp_path), rows=["base"])
    trained(runs)
    note(task)
    wanted = task.asked.benchmarks
    for names, changes in (
        (wanted[1:], {}),
        (wanted, {"score": None}),
        (wanted, {"likelihood": None}),
    ):
        scores(task, names, **changes)
        assert task.has_answers() and not task.is_done()
    scores(task, wanted)
    assert task.is_done() and not task.is_stale()
    (task.folder / SCORES).unlink()
    assert not task.has_answers() and not task.is_done()


def test_what_a_judge_scores_is_done_without_one_until_there_is_one(tmp_path, monkeypatch):
    judge = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MODEL_VERSION", "GPT_EVAL_MODEL_NAME")
    for variable in judge:
        monkeypatch.delenv(variable, raising=False)
    *_, task = commands_of("fig8", "3b", run_dir=str(tmp_path), rows=["base"])
    scores(task, task.asked.benchmarks)
    assert "mm_vet" in task.asked.benchmarks
    rows = [
        dataclasses.replace(row, score=None, likelihood=None) if row.name == "mm_vet" else row
        for row in read_scores(task.folder).benchmarks
    ]
    write_scores(task.folder, Results(tuple(rows), "test", "m"))
    assert not answered.unscored(task.folder, task.asked.benchmarks)
    for variable in (judge[0], judge[2]):
        monkeypatch.setenv(variable, "x")
    assert answered.unscored(task.folder, task.asked.benchmarks) == ["mm_vet"]


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_note_is_none(text, tmp_path):
    *runs, task = commands_of("fig8", "nano", run_dir=str(tmp_path), rows=["base"])
    trained(runs)
    note(task)
    (task.folder / answered.NOTE).write_text(text)
    assert not task.is_done() and task.is_stale()
    note(task)
    assert task.is_done()


def test_a_task_wants_likelihoods_which_stay_where_they_were_not_asked_for(tmp_path):
    *runs, task = commands_of("fig8", "nano", run_dir=str(tmp_path), rows=["base"])
    trained(runs)
    assert "--likelihood" in task.command
    note(task, likelihoods=False)
    assert not task.is_done()
    note(task)
    note(task, likelihoods=False)
    assert task.is_done()


def test_a_benchmark_that_has_grown_is_asked_again(tmp_path, monkeypatch):
    """And one that has shrunk: its score is of other questions."""
    *runs, task = commands_of("fig8", "nano", run_dir=str(tmp_path), rows=["base"])
    trained(runs)
    note(task)
    for count, done in ((600, False), (512, True), (100, False)):
        diagrams = dataclasses.replace(SETS["mini_diagram_qa"], held_out_count=count)
        monkeypatch.setitem(SETS, "mini_diagram_qa", diagrams)
        assert task.is_done() == done


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"train.log_every": 3, "eval.examples": 2}, True),
        ({"train.accumulation": 2, "model.decoder.remat": "full"}, True),  # as hardware wants it
        ({"data.mixture": "nano_fig6_code_0"}, True),  # another name for the same
        ({"model.decoder.moe.capacity_factor": 2.0}, True),  # of experts that it has not
        ({"data.mixture": "nano_sft_base"}, False),
        ({"optimizer.peak_learning_rate": 1.0}, False),
        ({"init_from": (InitFrom("mm15_nano_pretrain"),)}, False),
        ({"init_from": (InitFrom("mm15_nano_no_more"),)}, False),
    ],
)
def test_a_run_of_other_content_is_not_the_one_that_is_wanted(changes, same, tmp_path, monkeypatch):
    monkeypatch.setattr(run_lib, "is_complete", lambda folder: True)
    *_, run, asks = commands_of("fig5", "nano", run_dir=str(tmp_path), rows=["text_rich"])
    trained([run], **changes)
    note(asks)
    assert run.is_done() == same and asks.is_done() == same


@pytest.mark.parametrize(("changes", "changed"), [({}, None), ({"train.steps": 9}, "reading")])
def test_a_run_that_began_from_another_start_is_not_the_one_that_is_wanted(
    changes, changed, tmp_path, monkeypatch
):
    """The start's folder may be gone since, or hold what is wanted now."""
    monkeypatch.setattr(run_lib, "is_complete", lambda folder: True)
    tasks = commands_of("table1", "nano", run_dir=str(tmp_path), rows=["1"])
    pretrain, reading, row, asks = tasks
    trained([pretrain, row])
    trained([reading], **changes)
    for before, after in ((pretrain, reading), (reading, row)):
        run_lib.write_started_from(after.folder, [before.folder])
    shutil.rmtree(reading.folder)
    note(asks)
    name = changed and f"mm15_nano_{changed}"
    said = changed and f"{row.folder} began from {name} when that had other settings"
    assert reading.refusal() is None and row.refusal() == said
    assert row.is_done() == asks.is_done() == (changed is None)


def prepared(data_dir, names=("mini_captions", "mini_ocr"), splits=("train",), word="cat"):
    """Data sets of one example."""
    for name in names:
        for split in splits:
            example = Example((Text(word, loss=True),), name, "0", "general", {})
            write_dataset(data_dir / name / split, [example], version=SETS[name].version)


def has_read(task, data_dir, *names):
    """As the run of a task that has trained on these."""
    manifests = [records.read_manifest(data_dir / name / "train") for name in names]
    sources = [{"name": m.name, "version": m.version, "records": m.checksum} for m in manifests]
    (task.folder / run_lib.DATA_LOG).write_text(json.dumps({"sources": sources}) + "\n")


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        (None, ()),
        ("version", ("pretrain", "reading", "row")),  # of captions, that pre-training has read
        ("captions", ("pretrain", "reading", "row")),
        ("ocr", ("reading", "row")),
        ("held_out", ()),  # a version more, of other questions: the same records to train on
        ("absent", ()),  # nothing to compare with
    ],
)
def test_a_run_of_other_data_is_not_the_one_that_is_wanted(changed, refused, tmp_path, monkeypatch):
    """Whether it read that itself or what it began from did."""
    monkeypatch.setattr(run_lib, "is_complete", lambda folder: True)
    data_dir = tmp_path / "data"
    tasks = commands_of(
        "table1", "nano", run_dir=str(tmp_path / "runs"), data_dir=str(data_dir), rows=["1"]
    )
    pretrain, reading, row, asks = tasks
    trained([pretrain, reading, row])
    prepared(data_dir)
    has_read(pretrain, data_dir, "mini_captions")
    run_lib.write_started_from(reading.folder, [pretrain.folder])
    has_read(reading, data_dir, "mini_ocr")
    run_lib.write_started_from(row.folder, [reading.folder])
    note(asks)
    if changed in ("version", "held_out"):
        raised = dataclasses.replace(SETS["mini_captions"], version=99)
        monkeypatch.setitem(SETS, "mini_captions", raised)
        if changed == "held_out":
            prepared(data_dir, ["mini_captions"])
    elif changed == "absent":
        shutil.rmtree(data_dir)
    elif changed:
        prepared(data_dir, [f"mini_{changed}"], word="dog")
    for name, task in (("pretrain", pretrain), ("reading", reading), ("row", row)):
        assert task.is_done() == (name not in refused)
        assert (task.refusal() is None) == (name not in refused)
    assert asks.is_done() == (not refused)
    if changed == "ocr":
        told = f"{reading.folder} was trained on another mini_ocr/train than is there"
        assert reading.refusal() == told
        told = f"{row.folder} was trained by mm15_nano_reading on another mini_ocr/train than"
        assert row.refusal().startswith(told)


def test_a_benchmark_with_other_questions_is_asked_again(tmp_path):
    data_dir = tmp_path / "data"
    *runs, task = commands_of(
        "fig8", "nano", run_dir=str(tmp_path / "runs"), data_dir=str(data_dir), rows=["base"]
    )
    trained(runs)
    prepared(data_dir, ["mini_diagram_qa", "mini_chart_qa"], ["test"])
    note(task)
    assert task.is_done()
    prepared(data_dir, ["mini_diagram_qa"], ["train"], word="dog")
    assert task.is_done()
    prepared(data_dir, ["mini_diagram_qa"], ["test"], word="dog")
    assert not task.is_done()
    note(task)
    assert task.is_done()


@pytest.mark.slow
def test_launched_jobs_leave_a_table(tmp_path, capsys):
    """Every command of every job, as machines that share a folder would run them."""
    short = ["train.steps=1", "eval.examples=2", "data.window=32"]
    (row,) = plan(catalog.find("fig8", "nano"), rows=["base"]).asked
    tiny.prepare_data(tmp_path / "data", row.generated)
    runs, data = str(tmp_path / "runs"), str(tmp_path / "data")
    made = jobs("fig8", "nano", run_dir=runs, data_dir=data, rows=["base"], overrides=short)
    for job in made:
        for command in job.commands:
            assert main.main(list(command)) == 0, command
    assert "| base |" in capsys.readouterr().out
    assert (tmp_path / "runs" / "fig8" / "fig8_nano.md").is_file()


def test_ablations_that_share_a_run_leave_each_others_scores(tmp_path):
    """Figure 9a asks MMBase of a run of which figure 8 asks five categories."""
    *runs, wide = commands_of("fig8", "nano", run_dir=str(tmp_path), rows=["base"])
    trained(runs)
    *_, narrow = commands_of("fig9a", "nano", run_dir=str(tmp_path), rows=["1344"])
    assert wide.folder == narrow.folder
    note(narrow)
    assert narrow.is_done() and not wide.is_done()
    note(wide)
    note(narrow)
    assert narrow.is_done() and wide.is_done()


def test_notes_are_json(tmp_path):
    *_, last = commands_of("fig8", "nano", run_dir=str(tmp_path), rows=["all"])
    note(last)
    said = json.loads(pathlib.Path(last.folder / answered.NOTE).read_text())
    assert said["examples"] == 2048 and said["questions"]["mini_compare"] == 512


def test_the_time_of_answers_is_reckoned_by_how_many_there_are(tmp_path):
    def seconds(limit):
        overrides = [f"eval.examples={limit}"]
        *_, asking = commands_of(
            "fig8", "nano", run_dir=str(tmp_path), rows=["all"], overrides=overrides
        )
        return asking.seconds, len(asking.asked.benchmarks)

    (first, count), (second, _), (third, _) = (seconds(limit) for limit in (100, 512, 9999))
    an_answer = (second - first) / (412 * count)
    # General's one benchmark has 2,048 questions, the others 512.
    assert an_answer > 0 and third - second == pytest.approx(an_answer * (2048 - 512))
