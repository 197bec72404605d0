"""The commands of docs/storage.md, against emulators."""

import json
import shlex

import pytest

from mm15_jax.cli import main
from mm15_jax.data.records import open_dataset
from tests.docs.test_docs import ROOT, commands

PAGE = ROOT / "docs" / "storage.md"
WRITTEN = "gs://my-bucket"
# So that a test is done in a minute; nothing that has to do with buckets.
SHORT = {
    "prepare": ["--workers", "1"],
    "train": ["--set", "train.steps=1", "train.batch_rows=2", "data.window=64"],
    "eval": ["--set", "eval.examples=1"],
    "generate": ["--max_new_tokens", "2"],
}


def run(prefix: str, *names: str) -> list[str]:
    """Runs those of the page's commands that have these names; the commands."""
    lines = [line for line in commands(PAGE) if line.split()[0] in names]
    for line in lines:
        assert WRITTEN in line
        name, *words = shlex.split(line.replace(WRITTEN, prefix))
        assert main.main([name, *words, *SHORT.get(name, [])]) == 0, line
    return lines


def test_the_pages_data_sets_are_prepared_in_a_bucket(prefix, capsys):
    assert len(run(prefix, "prepare")) == 2
    assert len(open_dataset(f"{prefix}/datasets/mini_word_qa/train")) == 600
    capsys.readouterr()
    assert main.main(["prepare", "--list", "--json", "--out", f"{prefix}/datasets"]) == 0
    present = {row["name"] for row in json.loads(capsys.readouterr().out) if row["present"]}
    assert present == {"mini_word_qa", "mini_chart_qa"}


@pytest.mark.slow
def test_all_of_the_page_runs(gs_prefix, capsys):
    assert len(run(gs_prefix, "prepare", "train", "eval", "report", "generate")) == 6


def test_a_store_that_does_not_answer_is_told_in_a_sentence(capsys, monkeypatch):
    pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    monkeypatch.setattr("s3fs.S3FileSystem._cache", {})  # a client of its own
    assert main.main(["prepare", "--list", "--out", "s3://bucket/datasets"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("mm15: ") and captured.err.count("\n") == 1, captured.err


def test_what_is_not_there_is_told_in_a_sentence(prefix, capsys):
    assert main.main(["eval", "--run_dir", f"{prefix}/runs/no"]) == 2
    data_dir = ["--data_dir", f"{prefix}/no"]
    assert main.main(["train", "mm15_nano_sft", "--init_from", "none", *data_dir]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("mm15: ") and "does not exist" in line for line in lines)
