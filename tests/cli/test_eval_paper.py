import json

import pytest

from mm15_jax.checkpoint import run
from mm15_jax.cli import eval_command
from mm15_jax.evaluation.benchmarks import find
from mm15_jax.evaluation.results import BenchmarkResult, Results
from tests import tiny

EVAL = ("eval", "--run_dir", "r", "--benchmarks", "mini_word_qa")


@pytest.fixture
def scored(monkeypatch, mm15, tmp_path):
    """`mm15` with a run directory r whose evaluation gives a score of a benchmark at once."""
    run.open_for_training(tmp_path / "r", tiny.experiment())

    def call(benchmark, *flags):
        found = find(benchmark)
        row = BenchmarkResult(
            benchmark, found.category, found.suite, "", 55.55, 1.0, 64, None, 0.0, 0
        )
        asked = Results((row,), "test", "model")
        monkeypatch.setattr(eval_command, "evaluate_run", lambda *_, **__: asked)
        return mm15(*EVAL, *flags)

    return call


def test_scores_stand_in_the_papers_tables(scored, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    written = tmp_path / "r" / "paper_tables.md"
    assert "Table 6" not in scored("docvqa", "--nopaper").out and not written.exists()
    assert "Table" not in scored("mini_word_qa").out and not written.exists()
    text = scored("docvqa").out
    assert "Table 4: " in text and "Table 6: " in text and "Table 7: " not in text
    assert "MM1.5-30B" in text and "Cambrian" not in text
    assert "### Table 6: Text-rich" in written.read_text()
    assert "Cambrian-34B" in scored("docvqa", "--peers").out
    assert "Cambrian-34B" in written.read_text()


def test_json_holds_the_papers_tables(scored):
    assert "paper" not in json.loads(scored("docvqa", "--json", "--nopaper").out)
    tables = json.loads(scored("docvqa", "--json").out)["paper"]
    assert [table["table"] for table in tables] == [4, 6]
    ours = tables[1]["rows"][-1]
    assert ours["ours"] and ours["cells"]["docvqa"]["values"] == {"": 55.55}
    assert ours["name"] == tiny.experiment().name


def test_scores_of_the_miniature_are_in_no_table(scored):
    text = scored("mini_word_qa", "--paper").out
    assert "None of these scores is in tables 4 to 12 of the paper." in text
    assert json.loads(scored("mini_word_qa", "--paper", "--json").out)["paper"] == []


def test_peers_without_the_papers_tables_are_refused(scored, refused):
    assert "which --nopaper leaves out" in refused(*EVAL, "--peers", "--nopaper")
