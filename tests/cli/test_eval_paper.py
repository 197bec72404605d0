import json

import pytest

from mm15_jax.cli import eval_command
from mm15_jax.evaluation.results import BenchmarkResult, Results


@pytest.fixture
def scored(monkeypatch):
    """An evaluation that scored DocVQA, without asking the model."""
    row = BenchmarkResult(
        "docvqa", "text_rich", "paper", "ANLS", 55.55, 1.0, 64, None, 0.0, 0, averaged=False
    )
    asked = Results((row,), "test", "model")
    monkeypatch.setattr(eval_command, "evaluate_run", lambda *_, **__: asked)
    # Averages of suites are of benchmarks that exist; this one may not be in the table yet.
    monkeypatch.setattr(Results, "averages", {})
    monkeypatch.setattr(Results, "baselines", {})


def test_scores_stand_in_the_papers_tables(mm15, scored, run_dir, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    command = ("eval", "--run_dir", run_dir, "--benchmarks", "mini_word_qa")
    assert "Table 6" not in mm15(*command).out
    assert not (run_dir / "paper_tables.md").exists()
    text = mm15(*command, "--paper").out
    assert "Table 4: " in text and "Table 6: " in text and "Table 7: " not in text
    assert "MM1.5-30B" in text and "Cambrian" not in text
    assert "Cambrian-34B" in mm15(*command, "--paper", "--peers").out
    assert "### Table 6: Text-rich" in (run_dir / "paper_tables.md").read_text()


def test_json_holds_the_papers_tables(mm15, scored, run_dir):
    command = ("eval", "--run_dir", run_dir, "--benchmarks", "mini_word_qa", "--json")
    assert "paper" not in json.loads(mm15(*command).out)
    tables = json.loads(mm15(*command, "--paper").out)["paper"]
    assert [table["table"] for table in tables] == [4, 6]
    ours = tables[1]["rows"][-1]
    assert ours["ours"] and ours["cells"]["docvqa"]["values"] == {"": 55.55}


def test_scores_of_the_miniature_are_in_no_table(mm15, run_dir, data_dir):
    command = (
        "eval", "--run_dir", run_dir, "--data_dir", data_dir, "--benchmarks", "mini_word_qa",
        "--set", "eval.examples=2", "eval.max_new_tokens=4", "--paper",
    )  # fmt: skip
    assert "None of these scores is in tables 4 to 12 of the paper." in mm15(*command).out
    assert json.loads(mm15(*command, "--json").out)["paper"] == []


def test_peers_without_the_papers_tables_are_refused(refused, run_dir):
    assert "--paper, which is not given" in refused("eval", "--run_dir", run_dir, "--peers")
