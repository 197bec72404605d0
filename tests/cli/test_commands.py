import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from mm15_jax import config as config_lib
from mm15_jax import experiments
from mm15_jax.ablations import answered
from mm15_jax.checkpoint import run
from mm15_jax.cli import common, main, train_command
from mm15_jax.evaluation.results import Results
from mm15_jax.experiments import ablations
from mm15_jax.train.metrics import read_rows
from tests import tiny


@pytest.fixture
def picture(tmp_path):
    """A picture without red."""
    path = tmp_path / "in.png"
    PIL.Image.fromarray(np.full((40, 60, 3), 255, np.uint8)).save(path)
    return path


def test_help_is_there_for_every_command(mm15):
    overview = mm15("--help")
    assert overview.code == 0
    for command in main.COMMANDS:
        assert command in overview.out
        outcome = mm15(command, "--help")
        assert outcome.code == 0 and outcome.out.startswith(f"mm15 {command}")
        assert "\nflags:\n" in outcome.out
        assert max(map(len, outcome.out.splitlines())) <= 100
        assert "repeat this option" not in outcome.out


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("inspect", "after restarts (default: 1)"),
        ("eval", "one of the scores (the default; --nopaper does not)"),
        ("launch", "preemptions are not counted, but on gke they are (default: 20)"),
    ],
)
def test_help_says_what_holds_where_a_flag_is_not_given(mm15, command, text):
    assert text in " ".join(mm15(command, "--help").out.split())


def test_nothing_at_all_shows_the_overview(mm15):
    outcome = mm15()
    assert outcome.code == 2 and outcome.out.startswith("usage: mm15 COMMAND")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["show", "mm15_3b_sft"]])
def test_what_needs_no_arrays_imports_none(arguments):
    code = (
        "import sys; from mm15_jax.cli import main;"
        f"main.main({arguments!r});"
        "print([m for m in ('jax', 'numpy', 'tensorflow') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_list_names_every_experiment_with_its_parameters(mm15):
    rows = json.loads(mm15("list", "--json").out)
    others = set(config_lib.experiments()) - set(ablations.EXPERIMENTS)
    assert {row["name"] for row in rows} == others
    for row in rows:
        assert set(row) == {"name", "family", "stage", "parameters", "mixture"}
        sizes = row["parameters"]
        assert set(sizes) == {"encoder", "connector", "decoder", "total", "active"}
        assert sizes["total"] == sizes["encoder"] + sizes["connector"] + sizes["decoder"]
    table = mm15("list").out
    assert all(row["name"] in table for row in rows)


@pytest.mark.parametrize("words", [["list"], ["report", "--run_dir", "run"]])
def test_what_computes_nothing_leaves_accelerators_alone(words, run_dir):
    code = (
        "import sys; from mm15_jax.cli import main;"
        "main.main(sys.argv[1:]); import jax;"
        "print(jax.config.jax_platforms, file=sys.stderr)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=run_dir.parent
    )
    assert done.stderr.strip() == "cpu"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["show", "mm15_3b_sft"]])
def test_a_reader_that_leaves_is_no_error(words):
    command = [sys.executable, "-m", "mm15_jax.cli.main", *words]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_show_resolves_changes(mm15):
    shown = mm15("show", "mm15_3b_sft", "--set", "train.steps=7", "eval.examples=3", "--json")
    fields = json.loads(shown.out)
    assert fields == config_lib.to_dict(
        config_lib.load("mm15_3b_sft", ["train.steps=7", "eval.examples=3"])
    )
    text = mm15("show", "mm15_nano_sft").out
    assert "train.batch_rows = " in text and "# mixture nano_sft_all" in text


def test_several_assignments_follow_one_set():
    words = ["--set", "a=1", "b=2", "--json", "--set", "c=3", "name"]
    assert main.gather_set(words) == ["--set=a=1", "--set=b=2", "--json", "--set=c=3", "name"]


def test_prepare_makes_a_data_set_once(mm15, tmp_path):
    command = ("prepare", "mini_compare", "--out", "data", "--limit", 3, "--workers", 1)
    first = mm15(*command, "--json")
    assert [report["records"] for report in json.loads(first.out)] == [3, 3, 3]
    again = mm15(*command)
    assert again.out.count("already prepared") == 3
    listed = json.loads(mm15("prepare", "--list", "--out", "data", "--json").out)
    (row,) = [row for row in listed if row["present"]]
    assert (row["name"], row["path"], row["format"]) == (
        "mini_compare", "data/mini_compare", "generated",
    )  # fmt: skip
    assert row["records"] == {"train": 3, "validation": 3, "test": 3}
    assert row["groups"] == ["miniature"] and row["licence"] and row["layout"] == ""


def test_prepare_lists_what_is_asked_for(mm15):
    text = mm15("prepare", "--list", "open").out
    assert "open_stamps" in text and "mini_ocr" not in text
    rows = json.loads(mm15("prepare", "--list", "--json", "open_stamps").out)
    assert rows[0]["requires_source"] and "usr/share" in rows[0]["layout"]


def test_prepare_takes_some_splits_and_says_what_they_hold(mm15):
    command = ("prepare", "mini_compare", "--limit", 3, "--workers", 1, "--split", "test")
    outcome = mm15(*command, "--tokenizer", "nano")
    (first, pictures) = outcome.out.splitlines()
    assert first.startswith("mini_compare test: 3 examples, 0 bad, ") and "tokens (nano)" in first
    assert pictures.startswith("  6 pictures: ")


def test_training_goes_on_where_it_stopped_and_its_scores_are_reported(mm15, tmp_path, data_dir):
    (tmp_path / "mine.py").write_text(
        "from tests import tiny\n"
        "CHANGES = {'eval.benchmarks': ('mini_scene_qa',), 'eval.examples': 4}\n"
        "def small():\n    return tiny.experiment(**CHANGES)\n"
    )
    command = ("train", "mine.py:small", "--run_dir", "r", "--data_dir", data_dir)
    first = mm15(*command)
    assert first.code == 0 and "trained: step 6" in first.err
    again = mm15(*command, "--report")
    assert "was complete: step 6" in again.err
    assert "mini_scene_qa" in again.out and "report: r/report.html" in again.out
    scores = json.loads((tmp_path / "r" / "scores.json").read_text())
    assert scores["benchmarks"]["mini_scene_qa"]["count"] == 4
    before = (tmp_path / "r" / "report.html").read_text()
    (tmp_path / "r" / "report.html").unlink()
    assert mm15("report", "--run_dir", "r").code == 0
    assert len((tmp_path / "r" / "report.html").read_text()) > 0.5 * len(before)


def test_what_is_asked_otherwise_has_a_folder_of_its_own(mm15, tiny_run, tmp_path, data_dir):
    shutil.copytree(tiny_run, tmp_path / "r")
    command = ("eval", "--run_dir", "r", "--data_dir", data_dir, "--benchmarks", "mini_word_qa")
    assert mm15(*command, "--limit", "3").code == 0
    scores = (tmp_path / "r" / "scores.json").read_text()
    otherwise = mm15(*command, "--limit", "2", "--set", "eval.max_new_tokens=3", "eval.examples=2")
    assert otherwise.code == 0 and "r/asked/eval.max_new_tokens=3" in otherwise.err
    assert (tmp_path / "r" / "scores.json").read_text() == scores
    assert (tmp_path / "r" / "asked" / "eval.max_new_tokens=3" / "scores.json").is_file()
    refused = mm15(*command, "--set", "train.steps=7")
    assert refused.code != 0 and "train.steps changes nothing in an evaluation" in refused.err
    # What changes no answer is asked as ever.
    assert "otherwise" not in mm15(*command, "--set", "eval.batch_size=2").err
    assert not (tmp_path / "r" / "asked" / "eval.batch_size=2").exists()


def test_scores_of_a_chain_are_where_its_report_reads_them(mm15, tiny_run, tmp_path, data_dir):
    shutil.copytree(tiny_run, tmp_path / "chain" / "tiny")
    command = ("eval", "--run_dir", "chain", "--data_dir", data_dir, "--benchmarks", "mini_word_qa")
    assert mm15(*command, "--limit", "3").code == 0
    assert mm15("report", "--run_dir", "chain").code == 0
    assert "mini_word_qa" in (tmp_path / "chain" / "report.html").read_text()
    assert not (tmp_path / "chain" / "tiny" / "scores.json").exists()


def test_what_a_run_starts_from_is_said(mm15, tiny_run, tmp_path, data_dir):
    text = "from tests import tiny\n\n\ndef sft():\n    return tiny.experiment()\n"
    (tmp_path / "own.py").write_text(text)
    command = ("train", "own.py:sft", "--data_dir", data_dir, "--init_from", "none", "--run_dir")
    assert "mm15_nano_sft starts from random parameters" in mm15(*command, "new").err
    shutil.copytree(tiny_run, tmp_path / "r")
    again = mm15(*command, "new")
    assert again.code == 0 and "from" not in again.err.replace("from scratch", "")
    done = mm15(*command, "r", "--init_from", "nowhere")
    assert (
        done.code == 0 and "warning: r goes on from its checkpoint, and did not start" in done.err
    )


def test_an_evaluation_notes_what_was_asked(mm15, tiny_run, tmp_path, data_dir):
    shutil.copytree(tiny_run, tmp_path / "r")
    command = ("eval", "--run_dir", "r", "--data_dir", data_dir, "--benchmarks")
    assert mm15(*command, "mini_word_qa", "--limit", "3").code == 0
    assert mm15(*command, "mini_scene_qa", "--limit", "3").code == 0
    how = answered.How(3, (), 6)
    assert answered.read("r", how, data_dir) == {"mini_word_qa": 3, "mini_scene_qa": 3}
    assert not answered.read("r", dataclasses.replace(how, examples=4), data_dir)
    mm15(*command, "mini_word_qa", "--limit", "2", "--split", "validation")
    assert answered.read("r", how, data_dir)  # held-out answers are still those
    (tmp_path / "r" / answered.NOTE).unlink()
    shutil.rmtree(tmp_path / "r" / "checkpoints" / "6")  # as of a run that was stopped
    assert mm15(*command, "mini_word_qa", "--limit", "3").code == 0
    assert not answered.read("r", how, data_dir)


def test_a_chain_trains_each_stage_from_the_one_before(mm15, monkeypatch, tmp_path, data_dir):
    first = tiny.experiment(name="tiny_first")
    second = tiny.experiment(name="tiny_second", init_from=(config_lib.InitFrom("tiny_first"),))
    monkeypatch.setitem(experiments.EXPERIMENTS, "tiny_first", lambda: first)
    monkeypatch.setitem(experiments.EXPERIMENTS, "tiny_second", lambda: second)
    outcome = mm15("train", "tiny_second", "--chain", "--run_dir", "c", "--data_dir", data_dir)
    assert outcome.code == 0, outcome.err
    assert "tiny_second starts from encoder + connector + decoder of tiny_first" in outcome.err
    for name in ("tiny_first", "tiny_second"):
        assert read_rows(tmp_path / "c" / name / run.METRICS)[-1]["step"] == 6
    # The last stage stands for the chain's folder.
    assert common.run_config("c")[0].name == "tiny_second"


def test_a_chain_divides_a_cpu_as_all_its_stages_can(mm15, monkeypatch, data_dir):
    rows = {"tiny_first": 12, "tiny_second": 8}
    for name, start in (("tiny_first", ()), ("tiny_second", (config_lib.InitFrom("tiny_first"),))):
        stage = tiny.experiment(name=name, init_from=start, **{"train.batch_rows": rows[name]})
        monkeypatch.setitem(experiments.EXPERIMENTS, name, lambda stage=stage: stage)
    divided = []
    monkeypatch.setattr(
        train_command, "_train_stage", lambda *a: divided.append((a[0].name, a[-1]))
    )
    outcome = mm15("train", "tiny_second", "--chain", "--run_dir", "c", "--data_dir", data_dir)
    assert outcome.code == 0, outcome.err
    assert divided == [("tiny_first", 4), ("tiny_second", 4)]


def test_a_run_goes_on_without_what_it_began_from(mm15, monkeypatch, tmp_path, tiny_run, data_dir):
    parent = config_lib.InitFrom("mm15_nano_continual")
    child = tiny.experiment(name="tiny_child", init_from=(parent,))
    monkeypatch.setitem(experiments.EXPERIMENTS, "tiny_child", lambda: child)
    command = ("train", "tiny_child", "--run_dir", "r", "--data_dir", data_dir)
    assert mm15(*command, "--init_from", tiny_run).code == 0
    assert "was complete" in mm15(*command).err


def test_an_answer_is_text_or_json(mm15, tiny_run, picture):
    command = ("generate", "--run_dir", tiny_run, "--image", picture, "--prompt", "what?")
    plain = mm15(*command, "--max_new_tokens", 4)
    assert plain.code == 0
    found = json.loads(mm15(*command, "--max_new_tokens", 4, "--json").out)
    assert set(found) == {"answer", "boxes", "points"}
    assert found["answer"] == plain.out.rstrip("\n")


def test_boxes_of_an_answer_are_named_and_drawn(mm15, monkeypatch, tiny_run, picture, tmp_path):
    """The model's words are given here: a tiny one does not ground."""

    class Says:
        def generate(self, examples, **_):
            (example,) = examples
            assert [type(s).__name__ for s in example.segments] == ["Image", "Text"]
            return ["it is at <250,500,750,999>"]

    monkeypatch.setattr(common, "generator", lambda run_dir, config, which: Says())
    outcome = mm15(
        "generate", "--run_dir", tiny_run, "--image", picture, "--prompt", "where?",
        "--draw", "out.png", "--json",
    )  # fmt: skip
    (box,) = json.loads(outcome.out)["boxes"]
    np.testing.assert_allclose(box, [15, 20, 45, 40], atol=0.1)
    drawn = np.asarray(PIL.Image.open(tmp_path / "out.png").convert("RGB"))
    assert drawn.shape[1] / drawn.shape[0] == pytest.approx(60 / 40, rel=0.05)
    marked = (drawn != 255).any(axis=-1)
    height, width = marked.shape
    assert marked[height // 2 :, width // 4 - 4 : 3 * width // 4 + 4].any()
    assert not marked[: height // 4, : width // 8].any()


def test_turns_of_a_conversation_are_asked_one_after_the_other(
    mm15, monkeypatch, tiny_run, picture, tmp_path
):
    asked, seeds = [], []

    class Says:
        def generate(self, examples, sampling, **_):
            (example,) = examples
            seeds.append(sampling.seed)
            asked.append([getattr(segment, "text", "") for segment in example.segments])
            return ["<100,100,500,500>" if len(asked) == 1 else "a circle"]

    monkeypatch.setattr(common, "generator", lambda run_dir, config, which: Says())
    command = ("generate", "--run_dir", tiny_run, "--image", picture, "--draw", "out.png")
    turns = ("--prompt", "where is it?", "--prompt", "what is at <700,700,900,900>?")
    outcome = mm15(*command, *turns)
    assert outcome.out == "<100,100,500,500>\na circle\n"
    assert seeds == [0, 1]  # with one seed all turns would draw alike
    # What was answered is part of the next question, whose answer is the one that is wanted.
    assert asked[0] == ["", "where is it?"]
    assert asked[1] == ["", "where is it?", "<100,100,500,500>", turns[3], ""]
    drawn = np.asarray(PIL.Image.open(tmp_path / "out.png").convert("RGB")).reshape(-1, 3)
    for colour in ("#D81B7A", "#0072B2"):  # of what was asked, of the answer
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (drawn == rgb).all(axis=-1).any(), colour
    asked.clear()
    found = json.loads(mm15(*command, *turns, "--seed", str(2**32 - 1), "--json").out)
    assert seeds[2:] == [2**32 - 1, 0]  # after the last seed comes the first
    assert [turn["answer"] for turn in found["turns"]] == ["<100,100,500,500>", "a circle"]
    assert found["answer"] == "a circle" and len(found["turns"][0]["boxes"]) == 1


def test_scores_are_the_same_the_second_time_and_nothing_is_asked_again(mm15, run_dir, data_dir):
    command = (
        "eval", "--run_dir", run_dir, "--data_dir", data_dir, "--benchmarks", "mini_word_qa",
        "--set", "eval.examples=4", "eval.max_new_tokens=8", "--json",
    )  # fmt: skip
    first = json.loads(mm15(*command).out)["benchmarks"]["mini_word_qa"]
    again = json.loads(mm15(*command).out)["benchmarks"]["mini_word_qa"]
    assert (first["answered"], again["answered"]) == (4, 0)
    assert first["score"] == again["score"]


@pytest.mark.parametrize(("flag", "limit"), [((), 4), (("--limit", 0), None), (("--limit", 2), 2)])
def test_a_limit_of_0_asks_all(mm15, run_dir, data_dir, monkeypatch, flag, limit):
    asked = []
    monkeypatch.setattr(
        "mm15_jax.evaluation.runner.evaluate",
        lambda *_, **options: asked.append(options["limit"]) or Results((), "test", "model"),
    )
    command = ("eval", "--run_dir", run_dir, "--data_dir", data_dir, "--set", "eval.examples=4")
    mm15(*command, *flag)
    assert asked == [limit]
