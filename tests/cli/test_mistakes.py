"""Every wrong input is answered with exit code 2 and one sentence that helps."""

import json
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from mm15_jax.cli import prepare_command
from mm15_jax.model import mllm


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("lst", ["unknown command 'lst'", "'list'"]),
        ("show mm15_3b_sfd", ["unknown experiment 'mm15_3b_sfd'", "'mm15_3b_sft'"]),
        ("show", ["takes one experiment", "mm15 list"]),
        ("show mm15_3b_sft mm15_7b_sft", ["takes one experiment", "2 (mm15_3b_sft mm15_7b_sft)"]),
        ("show mm15_3b_sft --set train.step=3", ["train.step", "'train.steps'"]),
        ("show mm15_3b_sft --set train.steps=many", ["train.steps=many", "whole number"]),
        ("show mm15_3b_sft --set train.steps=inf", ["train.steps=inf", "whole number"]),
        ("show mm15_3b_sft --set optimizer.clip_norm=nan", ["clip_norm=nan", "number"]),
        ("show mm15_3b_sft --set", ["--set: no key=value"]),
        ("show mm15_3b_sft --set --json", ["--set --json: no key=value"]),
        ("show mm15_3b_sft --set init_from=mm15_3b_pretrai", ["init_from", "'mm15_3b_pretrain'"]),
        (
            "show mm15_3b_sft --set model.decoder.kv_heads=0",
            ["kv_heads is 0; expected more"],
        ),
        ("show mm15_3b_sft --set model.connector.tokens=-1", ["tokens is -1; expected more"]),
        ("show mm15_3b_sft --set mesh.fsdp=-1", ["mesh.fsdp is -1; expected 0 or more"]),
        ("show mm15_3b_sft --set optimizer.warmup_steps=-5", ["warmup_steps is -5"]),
        ("show mine.py:sft", ["mine.py:sft", "path/to/file.py:function"]),
        ("list --jsn", ["jsn", "json", "mm15 list --help"]),
        ("list nano", ["takes no arguments", "'nano'"]),
        ("train mm15_nano_sft --batch 3", ["batch", "mm15 train --help"]),
        ("train mm15_nano_sft --chain --init_from x --data_dir .", ["--chain", "--init_from"]),
        ("train mm15_nano_sft --init_from nowhere --data_dir .", ["nowhere", "config.json"]),
        ("train mm15_3b_sft --data_dir .", ["mm15_3b_continual", "--init_from"]),
        ("prepare", ["mm15 prepare --list"]),
        ("prepare mini_scene_q", ["unknown data set 'mini_scene_q'", "'mini_scene_qa'"]),
        ("prepare mini_compare --workers 0", ["workers", "mm15 prepare --help"]),
        ("prepare open_stamps", ["open_stamps", "--source", "usr/share"]),
        ("prepare open_stamps --source nowhere", ["nowhere does not exist"]),
        ("prepare open_stamps --source gq://b", ["an address gq://... cannot be read"]),
        ("prepare mini_compare --split val", ["mini_compare: 'val'", "'validation'"]),
        ("prepare mini_compare --max_bad_fraction 2", ["max_bad_fraction"]),
        ("prepare mini_compare --source .", ["mini_compare", "--source ."]),
        ("prepare mini_compare --tokenizer nono --out new", ["No tokenizer 'nono'"]),
        ("prepare mini_compare --out notes.txt", ["--out notes.txt is a file; expected a folder"]),
        ("inspect mm15_nano_sft --out notes.txt", ["--out notes.txt is a file"]),
        ("eval --run_dir notes.txt", ["--run_dir notes.txt is a file, not a run"]),
        ("prepare --list miniatur", ["unknown data set 'miniatur'", "'miniature'"]),
        (
            "inspect mm15_nano_sft --cursor 99999999999999999999",
            ["cursor", "[0, 4611686018427387904]"],
        ),
        ("inspect mm15_nano_sft --data_dir gs:/b/x", ["gs:/b/x: did you mean gs://b/x?"]),
        ("train mm15_nano_sft --data_dir gs:/b/x", ["gs:/b/x: did you mean gs://b/x?"]),
        ("prepare mini_compare --out s3:/b/x", ["s3:/b/x: did you mean s3://b/x?"]),
        # Before data sets are generated and hours are trained.
        ("train mm15_nano_sft --chain --init_from none", ["--chain decides"]),
        ("train mm15_nano_text --report", ["names no benchmarks"]),
        ("train mm15_nano_sft --report --set eval.benchmarks=mini_word", ["'mini_word_qa'"]),
        ("train mm15_nano_encoder --set stage=evaluation", ["trains nothing; it asks another's"]),
        ("eval", ["--run_dir"]),
        ("eval --run_dir nowhere", ["--run_dir nowhere does not exist"]),
        ("eval --run_dir . --split train", ["split", "test", "validation"]),
        ("eval --run_dir . --limit -1", ["limit", "mm15 eval --help"]),
        ("report --run_dir nowhere", ["--run_dir nowhere does not exist"]),
        ("report --run_dir .", ["is not a run directory", "config.json"]),
        ("generate --run_dir nowhere --prompt hello", ["--run_dir nowhere does not exist"]),
        ("generate --run_dir .", ["--prompt"]),
        ("generate --run_dir . --prompt hello --draw out.png", ["--draw", "--image", "--video"]),
        ("generate --run_dir . --prompt hello --image no.png", ["no.png", "no such file"]),
        ("generate --run_dir . --prompt hello --image .", ["--image . is a folder"]),
        ("generate --run_dir . --prompt hello --top_p 0.5", ["--top_p", "--temperature"]),
        (
            "generate --run_dir . --prompt hello --image no.png --draw no/out.png",
            ["--draw no/out.png", "folder no"],
        ),
        ("generate --run_dir . --prompt hello --temperature -1", ["temperature"]),
        ("generate --run_dir . hello", ["flags only", "'hello'"]),
    ],
)
def test_a_mistake_without_a_run(refused, command, words, tmp_path):
    (tmp_path / "notes.txt").touch()
    answer = refused(*command.split())
    for word in words:
        assert word in answer


def test_a_file_that_is_no_picture(refused, tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    answer = refused("generate", "--run_dir", ".", "--prompt", "what?", "--image", "notes.png")
    assert "notes.png cannot be read" in answer


def test_a_picture_cannot_be_drawn_into_a_text_file(refused, tmp_path):
    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "in.png")
    command = "generate --run_dir . --prompt what? --image in.png --draw out.txt"
    answer = refused(*command.split())
    assert "out.txt" in answer and ".png" in answer


OWN = """
from mm15_jax.config import replace_nested
from mm15_jax.experiments import nano
def sft():
    return replace_nested(nano.sft(), {"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def sft():\n    return 3\n", ["of type int", "returns an ExperimentConfig"]),
        ("def sft(steps):\n    return steps\n", ["TypeError", "steps", "without arguments"]),
        ("def sft(:\n", ["SyntaxError", "line 1"]),
        ("x = 1\nimport no_such_module\n", ["at line 2", "No module named 'no_such_module'"]),
        ("def sft():\n\n    return {}['a']\n", ["at line 3", "KeyError: 'a'"]),
        (f"{OWN}'train.steps': '3'}})\n", ["train.steps is '3'", "a whole number"]),
        (f"{OWN}'train.stps': 3}})\n", ["at line 5", "TrainConfig: 'stps'", "'steps'"]),
    ],
)
def test_an_experiments_file_that_gives_no_config(refused, tmp_path, text, words):
    (tmp_path / "mine.py").write_text(text)
    answer = refused("show", "mine.py:sft")
    for word in ["mine.py:sft", *words]:
        assert word in answer


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"benchmarks": {"mini_compare": {}}}'])
def test_scores_that_cannot_be_read(refused, run_dir, text):
    (run_dir / "scores.json").write_text(text)
    answer = refused("report", "--run_dir", run_dir)
    assert f"{run_dir / 'scores.json'} cannot be read" in answer and "mm15 eval" in answer


@pytest.mark.parametrize("text", ["", "3", "[3]"])
def test_starts_that_cannot_be_read(refused, run_dir, text):
    (run_dir / "starts.json").write_text(text)
    answer = refused("report", "--run_dir", run_dir)
    assert f"{run_dir / 'starts.json'} cannot be read" in answer and "list of sentences" in answer


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_a_generated_data_set_whose_manifest_cannot_be_read(refused, tmp_path, text):
    manifest = tmp_path / "datasets" / "mini_compare" / "test" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(text)
    answer = refused("train", "mm15_nano_sft", "--init_from", "none")
    assert "datasets/mini_compare/test/manifest.json cannot be read" in answer
    assert '"version"' in answer and "generated anew" in answer


@pytest.mark.parametrize("experiment", ["mm15_nano_pretrain", "mm15_3b_pretrain"])
def test_missing_data_or_tokenizer_is_told_before_parameters_are_made(
    refused, monkeypatch, tmp_path, experiment
):
    monkeypatch.setattr(mllm, "init_params", lambda *_: pytest.fail("parameters were made"))
    (tmp_path / "empty").mkdir()
    answer = refused("train", experiment, "--data_dir", "empty", "--init_from", "none")
    assert ("mm15 prepare" if "nano" in experiment else "tokenizer") in answer
    assert not (tmp_path / "runs").exists()


def test_a_tokenizer_larger_than_the_models_vocabulary_is_told_before_training(refused, data_dir):
    answer = refused(
        "train", "mm15_nano_pretrain", "--data_dir", data_dir, "--init_from", "none",
        "--set", "model.decoder.vocab_size=100",
    )  # fmt: skip
    assert "ids, the model embeds 100" in answer and "model.decoder.vocab_size" in answer


def test_a_run_of_another_experiment_is_not_continued(refused, run_dir, data_dir):
    answer = refused(
        "train", "mm15_nano_pretrain", "--run_dir", run_dir, "--data_dir", data_dir,
        "--set", "data.mixture=nano_sft_all", "--init_from", "none",
    )  # fmt: skip
    assert "is a run of mm15_nano_sft, not of mm15_nano_pretrain" in answer


def test_a_run_with_other_values_is_not_continued(refused, run_dir, data_dir):
    answer = refused(
        "train", "mm15_nano_sft", "--run_dir", run_dir, "--data_dir", data_dir,
        "--init_from", "none",
    )  # fmt: skip
    assert "was started with another model.encoder.patch_size (16, now 8)" in answer


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--benchmarks", "mini_scene_qaa"], ["'mini_scene_qaa'", "'mini_scene_qa'"]),
        (["mm15_nano_text"], ["a run of mm15_nano_sft", "mm15_nano_text"]),
        (["--set", "eval.exampels=3"], ["eval.exampels", "'eval.examples'"]),
        (["--set", "eval.batch_size=0"], ["eval.batch_size is 0"]),
        (["--set", "eval.max_new_tokens=9999999999"], ["eval.max_new_tokens is", "1 to 65536"]),
        (["--data_dir", "nothing"], ["nothing does not exist", "mm15 prepare"]),
        (["--benchmarks", "open_stamps"], ["open_stamps", "mm15 prepare"]),
    ],
)
def test_an_evaluation_that_cannot_be_meant(refused, run_dir, data_dir, arguments, words):
    answer = refused("eval", "--run_dir", run_dir, "--data_dir", data_dir, *arguments)
    for word in words:
        assert word in answer


@pytest.mark.parametrize("command", ["eval", "generate"])
def test_a_checkpoint_that_does_not_fit_the_config(refused, run_dir, data_dir, command):
    path = run_dir / "config.json"
    config = json.loads(path.read_text())
    config["model"]["decoder"]["ffn_width"] = 48
    path.write_text(json.dumps(config))
    more = ["--prompt", "what?"] if command == "generate" else ["--data_dir", data_dir]
    answer = refused(command, "--run_dir", run_dir, *more)
    assert "decoder/" in answer and "32" in answer and "48" in answer


def test_a_config_that_is_no_json(refused, run_dir):
    (run_dir / "config.json").write_text("{")
    assert "config.json cannot be read" in refused("eval", "--run_dir", run_dir)


@pytest.mark.parametrize("command", ["eval --limit 1", "report"])
def test_a_config_with_a_value_of_another_type(refused, run_dir, command):
    values = json.loads((run_dir / "config.json").read_text())
    values["train"]["steps"] = "many"
    (run_dir / "config.json").write_text(json.dumps(values))
    answer = refused(*command.split(), "--run_dir", str(run_dir))
    assert "train.steps is 'many'; expected a whole number" in answer


def test_a_run_without_a_checkpoint(refused, run_dir):
    shutil.rmtree(run_dir / "checkpoints")
    assert "has no checkpoint yet" in refused("generate", "--run_dir", run_dir, "--prompt", "what?")


def test_a_near_run_is_suggested(refused, run_dir, tmp_path):
    run_dir.rename(tmp_path / "renamed")
    (tmp_path / "runs").mkdir()
    (tmp_path / "renamed").rename(tmp_path / "runs" / "quickstart")
    answer = refused("eval", "--run_dir", "runs/quickstrat")
    assert "did you mean runs/quickstart?" in answer


def test_a_traceback_is_there_for_who_asks(mm15, monkeypatch):
    monkeypatch.setenv("MM15_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown experiment"):
        mm15("show", "nothing")


def test_an_interruption_is_one_sentence(mm15, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare_command, "main", interrupted)
    outcome = mm15("prepare", "mini_compare")
    assert outcome.code == 130
    assert outcome.err.strip() == "mm15 prepare: interrupted; the same command goes on"


def test_a_closed_output_is_told():
    code = "import sys; sys.stdout = None; from mm15_jax.cli import main; main.run()"
    command = [sys.executable, "-c", code, "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "standard output is closed" in done.stderr
