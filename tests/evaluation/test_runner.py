import dataclasses
import json
import random
import shutil

import pytest
import rich.console

from mm15_jax.data import miniature
from mm15_jax.data.records import write_dataset
from mm15_jax.evaluation import report, runner
from mm15_jax.evaluation.gallery import build_gallery
from mm15_jax.evaluation.metrics import references_of
from mm15_jax.evaluation.results import BenchmarkResult, Results, read_scores
from mm15_jax.evaluation.score_table import print_scores
from mm15_jax.train.metrics import read_rows

NAMES = ["mini_scene_qa", "mini_grounding", "mini_compare"]
COUNT = 12


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    for name in NAMES:
        write_dataset(
            directory / name / "test", miniature.SETS[name].examples("test", range(COUNT))
        )
    return directory


class Oracle:
    """Answers rightly, but for every third key; finishes batches in another order than asked."""

    def __init__(self, name="one", stop_after=None):
        self.name, self.stop_after, self.asked = name, stop_after, []

    def fingerprint(self):
        return self.name

    def stream(self, examples, *, max_new_tokens, batch_size, stops):
        order = list(range(len(examples)))
        random.Random(batch_size).shuffle(order)
        for index in order:
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(examples[index].key)
            wrong = sum(map(ord, examples[index].key)) % 3 == 0
            yield index, "wrong" if wrong else references_of(examples[index].metadata)[0]


def run(generator, data_dir, out_dir, **kwargs):
    kwargs = {"baselines": {"mini_scene_qa": 20.0}, **kwargs}
    return runner.evaluate(generator, data_dir, NAMES, out_dir=out_dir, **kwargs)


def test_scores_and_rows_are_those_of_the_answers(data_dir, tmp_path):
    results = run(Oracle(), data_dir, tmp_path)
    for row in results.benchmarks:
        lines = read_rows(tmp_path / "eval" / f"{row.name}.jsonl")
        right = [line["answer"] != "wrong" for line in lines]
        assert [line["score"] for line in lines] == [float(r) for r in right]
        assert row.score == pytest.approx(100 * sum(right) / COUNT) and 0 < row.score < 100
        assert row.count == len(lines) == COUNT
        assert [line["index"] for line in lines] == list(range(COUNT))
        assert {"question", "answer", "truth", "score", "key"} <= set(lines[0])
    assert results.benchmarks[0].baseline == 20.0 and results.benchmarks[1].baseline is None
    saved = json.loads((tmp_path / "scores.json").read_text())
    averages = saved["averages"]["mini"]
    keys = {"general", "text_rich", "knowledge", "refer_ground", "multi_image", "mmbase"}
    assert keys <= set(averages) and averages["mmbase"] is None
    assert averages["missing"]["text_rich"][0] == "mini_word_qa"
    assert read_scores(tmp_path) == results


def test_answers_do_not_depend_on_batch_size(data_dir, tmp_path):
    files = []
    for batch_size in (1, 5):
        run(Oracle(), data_dir, tmp_path / str(batch_size), batch_size=batch_size)
        folder = tmp_path / str(batch_size) / "eval"
        files.append({path.name: path.read_text() for path in folder.glob("*.jsonl")})
    assert files[0] == files[1]


def test_a_stopped_evaluation_asks_only_what_is_missing(data_dir, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Oracle(stop_after=COUNT + 4), data_dir, tmp_path)
    torn = tmp_path / "eval" / "mini_grounding.jsonl"
    torn.write_text(torn.read_text()[:-20])  # the last line was cut by the crash
    again = Oracle()
    results = run(again, data_dir, tmp_path)
    assert len(again.asked) == 3 * COUNT - COUNT - 3
    straight = run(Oracle(), data_dir, tmp_path / "straight")
    assert [r.score for r in results.benchmarks] == [r.score for r in straight.benchmarks]
    third = Oracle()
    run(third, data_dir, tmp_path)
    assert third.asked == []


def test_another_model_or_other_examples_are_asked_anew(data_dir, tmp_path):
    run(Oracle(), data_dir, tmp_path)
    other = Oracle("two")
    run(other, data_dir, tmp_path)
    assert len(other.asked) == 3 * COUNT
    longer = Oracle("two")
    run(longer, data_dir, tmp_path, max_new_tokens=9)
    assert len(longer.asked) == 3 * COUNT


def test_scores_of_one_model_gather_and_another_model_starts_over(data_dir, tmp_path):
    def names(model, benchmark):
        baselines = {"mini_scene_qa": 20.0}
        results = runner.evaluate(
            Oracle(model), data_dir, [benchmark], out_dir=tmp_path, baselines=baselines
        )
        return [row.name for row in results.benchmarks]

    assert names("one", "mini_compare") == ["mini_compare"]
    assert names("one", "mini_scene_qa") == ["mini_scene_qa", "mini_compare"]
    assert names("two", "mini_grounding") == ["mini_grounding"]


def test_another_split_leaves_the_test_scores_alone(data_dir, tmp_path):
    run(Oracle(), data_dir, tmp_path / "run")
    before = (tmp_path / "run" / "scores.json").read_text()
    examples = miniature.SETS["mini_compare"].examples("validation", range(3))
    write_dataset(tmp_path / "data" / "mini_compare" / "validation", examples)
    results = runner.evaluate(
        Oracle("two"),
        tmp_path / "data",
        ["mini_compare"],
        split="validation",
        out_dir=tmp_path / "run",
        baselines={},
    )
    assert (tmp_path / "run" / "scores.json").read_text() == before
    assert read_scores(tmp_path / "run", "validation") == results
    assert len(read_rows(tmp_path / "run" / "eval_validation" / "mini_compare.jsonl")) == 3
    assert len(read_rows(tmp_path / "run" / "eval" / "mini_compare.jsonl")) == COUNT


def test_limit_takes_the_first_examples(data_dir, tmp_path):
    results = run(Oracle(), data_dir, tmp_path, limit=5)
    assert [row.count for row in results.benchmarks] == [5, 5, 5]
    more = Oracle()
    run(more, data_dir, tmp_path, limit=7)
    assert len(more.asked) == 3 * 2
    with pytest.raises(ValueError, match="limit of examples is 0"):
        run(Oracle(), data_dir, tmp_path, limit=0)


def test_a_limit_takes_no_answer_and_no_score_away(data_dir, tmp_path, caplog):
    caplog.set_level("INFO", logger="mm15_jax")
    full = run(Oracle(), data_dir, tmp_path)
    paths = sorted((tmp_path / "eval").glob("*.jsonl"))
    before = [read_rows(path) for path in paths]
    few = run(Oracle(), data_dir, tmp_path, limit=5)
    assert [(r.count, r.score) for r in few.benchmarks] == [
        (r.count, r.score) for r in full.benchmarks
    ]
    assert few == read_scores(tmp_path) and "the score of 12 questions stays" in caplog.text

    def facts(rows):
        return [(row["key"], row["answer"], row["score"]) for row in rows]

    after = [read_rows(path) for path in paths]
    assert list(map(facts, after)) == list(map(facts, before))
    again = Oracle()
    run(again, data_dir, tmp_path)
    assert again.asked == []
    other = run(Oracle("two"), data_dir, tmp_path, limit=5)  # another model's go
    assert [r.count for r in other.benchmarks] == [5, 5, 5]
    assert all(len(read_rows(path)) == 5 for path in paths)


def test_a_score_whose_questions_are_others_now_does_not_stay(tmp_path):
    def evaluate(numbers, **kwargs):
        examples = miniature.SETS["mini_compare"].examples("test", numbers)
        named = [dataclasses.replace(e, key=str(i)) for i, e in enumerate(examples)]
        write_dataset(tmp_path / "data" / "mini_compare" / "test", named)
        return runner.evaluate(
            Oracle(), tmp_path / "data", ["mini_compare"], out_dir=tmp_path, baselines={}, **kwargs
        ).benchmarks[0]

    assert evaluate(range(12)).count == 12
    assert evaluate(range(100, 112), limit=5).count == 5
    assert len(read_rows(tmp_path / "eval" / "mini_compare.jsonl")) == 5
    assert evaluate(range(100, 112)).count == 12
    assert evaluate(range(100, 108)).count == 8  # all there are


def test_the_gallery_counts_what_the_score_is_of(data_dir, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Oracle(stop_after=9), data_dir, tmp_path)
    run(Oracle(), data_dir, tmp_path, limit=5)
    assert len(read_rows(tmp_path / "eval" / "mini_scene_qa.jsonl")) >= 9
    assert "of 5 answers are not fully right" in build_gallery(tmp_path).read_text()


def test_what_is_scored_stays_when_the_next_benchmark_stops(data_dir, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Oracle(stop_after=COUNT + 4), data_dir, tmp_path)
    assert [row.name for row in read_scores(tmp_path).benchmarks] == ["mini_scene_qa"]


def test_no_process_goes_before_the_scores_are_written(data_dir, tmp_path, monkeypatch):
    """JAX ends all of them a minute after one that does, also the first, which asks a judge."""
    written = []
    monkeypatch.setattr(
        runner, "wait_for_all", lambda what: written.append((tmp_path / "scores.json").is_file())
    )
    run(Oracle(), data_dir, tmp_path)
    assert written == [True]


def test_what_is_not_prepared_is_told_before_anything_is_answered(data_dir, tmp_path):
    generator = Oracle()
    with pytest.raises(ValueError, match="mm15 prepare mini_chart_qa"):
        runner.evaluate(generator, data_dir, ["mini_scene_qa", "mini_chart_qa"], out_dir=tmp_path)
    assert generator.asked == []
    with pytest.raises(ValueError, match="does not exist"):
        runner.evaluate(generator, tmp_path / "no", ["mini_scene_qa"], out_dir=tmp_path)
    with pytest.raises(ValueError, match="mm15 eval"):
        read_scores(tmp_path / "nothing")


def test_the_report_is_one_self_contained_page(data_dir, tmp_path):
    results = run(Oracle(), data_dir, tmp_path, progress=lambda *args: None)
    for number, stage in enumerate(["sft", "pretrain"]):
        folder = tmp_path / f"mm15_nano_{stage}"
        folder.mkdir()
        rows = [
            {"step": s, "stage": stage, "loss": 3 / s, "tokens_per_second": 9,
             "seconds_per_step": 2, "loss/general": 2 / s, "loss/text": 4 / s}
            for s in range(1, 40 + number)
        ]  # fmt: skip
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = report.build_report(
        tmp_path,
        command="mm15 <train>",
        parameters={"encoder": 1234567},
        started_from=["encoder: shipped"],
        timings={"set-up": 75.0},
    )
    page = path.read_text()
    assert page.index("Pre-training") < page.index("Supervised fine-tuning")  # in training's order
    assert page.count("<svg") == 2 and page.count("<polyline") == 2 * 4
    assert "mm15 &lt;train&gt;" in page and "1,234,567" in page and "encoder: shipped" in page
    assert "1 min 15 s" in page and "1 min 20 s" in page
    for forbidden in ("http://", "https://", "<script", "<link", 'src="/'):
        assert forbidden not in page.replace("http://www.w3.org/2000/svg", "")
    cards = page.count('<article class="card')
    assert cards == 3 * 8
    assert page.count("data:image/") == 8 * 2 + 8 * 2  # one picture each, two in mini_compare
    assert page.count("✗ wrong") > 0 and page.count("✓ right") > 0
    assert f"{results.benchmarks[1].score:.1f}" in page
    assert "Knowledge has no average" not in page  # nothing of it was asked for
    assert "MMBase has no value" in page


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing to report"):
        report.build_report(tmp_path)


def test_the_terminal_table_has_scores_beside_baselines(data_dir, tmp_path, capsys):
    print_scores(run(Oracle(), data_dir, tmp_path))
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if "mini_scene_qa" in line)
    assert "20.0" in line and str(COUNT) in line


def test_the_terminal_table_names_judges_and_what_was_not_read_of_them(capsys):
    judge_a = "a[/4bit]"  # a server calls its models as it likes: no markup of the terminal's
    facts = ("general", "paper", "points", 50.0, 1.0, 9, None, 0.0, 9)
    rows = [
        BenchmarkResult(name, *facts, judge=judge, failures=failures)
        for name, judge, failures in (
            ("mm_vet", judge_a, 2),
            ("llava_w", judge_a, 0),
            ("pope", "", 0),
        )
    ]
    print_scores(Results(tuple(rows), "test", "model"), rich.console.Console(width=200))
    printed = capsys.readouterr().out
    assert (
        "Judged by a[/4bit]: mm_vet, llava_w; replies without a score, which count 0: 2 of mm_vet."
        in printed
    )


def test_the_gallery_shows_wrong_answers_alone(data_dir, tmp_path):
    results = run(Oracle(), data_dir, tmp_path)
    page = build_gallery(tmp_path, mistakes=3).read_text()
    wrong = [round(row.count * (1 - row.score / 100)) for row in results.benchmarks]
    assert page.count('<article class="card') == sum(min(count, 3) for count in wrong)
    assert "✗ wrong" in page and "✓ right" not in page
    for count in wrong:
        assert f"{count} of {COUNT} answers are not fully right" in page
    for forbidden in ("http://", "https://", "<script", "<link", 'src="/'):
        assert forbidden not in page
    with pytest.raises(ValueError, match="mm15 eval"):
        build_gallery(tmp_path / "nothing")


def test_the_gallery_does_without_pictures_that_were_deleted(data_dir, tmp_path):
    results = run(Oracle(), data_dir, tmp_path)
    shutil.rmtree(tmp_path / "eval" / "pictures" / results.benchmarks[0].name)
    page = build_gallery(tmp_path, mistakes=3).read_text()
    wrong = [round(row.count * (1 - row.score / 100)) for row in results.benchmarks]
    assert wrong[0] and page.count('<article class="card') == sum(min(n, 3) for n in wrong[1:])


def test_of_a_group_what_is_prepared_is_run_and_the_rest_is_named(data_dir, tmp_path, capsys):
    results = runner.evaluate(Oracle(), data_dir, ["mini"], out_dir=tmp_path, baselines={})
    assert [row.name for row in results.benchmarks] == NAMES
    assert "mini_chart_qa" in results.absent and not set(NAMES) & set(results.absent)
    print_scores(results)
    assert "Not prepared: mini_word_qa" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ValueError, match="mm15 prepare open_stamps"):
        runner.evaluate(Oracle(), data_dir, ["open"], out_dir=tmp_path / "other")
