import io
import json

import pytest
import rich.console

from mm15_jax import paper
from mm15_jax.evaluation import paper_render
from mm15_jax.evaluation.aggregates import AGGREGATES
from mm15_jax.evaluation.benchmarks import TABLE
from mm15_jax.evaluation.paper_tables import lookup_of_results, paper_tables
from mm15_jax.evaluation.results import BenchmarkResult, Results


def result(name, score, count=100, **fields):
    return BenchmarkResult(
        name, "general", "paper", "", score, 1.0, count, None, 0.0, 0, **fields
    )  # fmt: skip


def results_of(*rows, split="test"):
    return Results(rows, split, "model")


def run_as(model):
    """The results of a run that scored what the paper prints of a model."""
    scale = {"vcgbench": 20.0}
    rows = []
    for number in range(5, 13):
        if model not in [row.key for row in paper.table(number).rows]:
            continue
        for column in paper.table(number).scores:
            values = paper.cell(number, model, column.key).values
            if not values or column.average:
                continue
            score = sum(values.values()) / (28 if column.key == "mme" else len(values))
            parts = values if column.parts != ("",) else {}
            rows.append(result(column.key, score * scale.get(column.key, 1), parts=parts))
    return results_of(*rows)


def line_of(table, key):
    (line,) = [line for line in table.lines if line.key == key]
    return line


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        ("mm15_3b", [4, 5, 6, 7, 8, 9, None]),
        ("mm15_30b", [4, 5, 6, 7, 8, 9, None]),
        ("mm15_video_3b_sft", [10, 11]),
        ("mm15_ui_7b", [12]),
    ],
)
def test_a_run_with_a_papers_scores_has_the_papers_line(model, numbers):
    tables = paper_tables(run_as(model))
    assert [table.number for table in tables] == numbers
    for table in tables:
        assert table.missing == ()
        if model not in [line.key for line in table.lines]:
            assert (model, table.number) == ("mm15_30b", 4)  # which has small models only
            continue
        theirs = line_of(table, model)
        differ = {
            key: (entry.text, theirs.entries[key].text)
            for key, entry in table.ours.entries.items()
            if entry.text != theirs.entries[key].text
        }
        # What the paper prints of table 8's 30B row is not the mean of its parts.
        wrong = {"vl_icl_avg": ("67.1", "77.6")} if (model, table.number) == ("mm15_30b", 8) else {}
        assert differ == wrong


def test_parts_are_printed_in_the_papers_units_and_what_is_missing_is_listed():
    tables = paper_tables(
        results_of(
            result("mme", 1873 / 28, parts={"perception": 1511.9, "cognition": 361.1}),
            result("refcoco", 80.0, parts={"testA": 82.04, "testB": 78.0}),
            result("refcoco_plus_testA", 70.0),
            result("refcocog_test", 77.0),
            result("lvis_ref", 60.0, parts={"box": 61.0, "point": 59.0}),
            result("vcgbench", 61.0),
            result("llava_w", None),
        )
    )
    found = {table.number: table for table in tables}
    assert list(found) == [4, 5, 7, 10]  # and no averages: none has all its members
    text = {n: {k: e.text for k, e in found[n].ours.entries.items()} for n in found}
    assert text[4]["mme"] == "1873.0" and text[5]["mme"] == "1511.9/361.1"
    assert text[5]["llava_w"] == "–" and "llava_w" in found[5].missing
    assert text[7] == {
        "refcoco": "82.0/78.0", "refcoco_plus": "70.0/–", "refcocog": "77.0", "flickr30k": "–",
        "lvis_ref": "61.0/59.0", "ferret_bench": "–",
    }  # fmt: skip
    assert found[7].missing == ("refcoco_plus.testB", "flickr30k", "ferret_bench")
    # RefCOCO's average needs all five splits.
    assert text[4]["refcoco_avg"] == "–" and text[4]["lvis_ref"] == "60.0"
    assert "refcoco_plus.testB" in found[4].missing and "mme" not in found[4].missing
    assert text[10]["vcgbench"] == "3.05"


def test_the_five_splits_of_refcoco_may_be_one_benchmark():
    parts = {
        "refcoco_testA": 92.0, "refcoco_testB": 86.1, "refcoco_plus_testA": 87.7,
        "refcoco_plus_testB": 75.9, "refcocog_test": 86.4,
    }  # fmt: skip
    tables = paper_tables(results_of(result("refcoco", 85.62, parts=parts)))
    found = {table.number: table.ours.entries for table in tables}
    assert list(found) == [4, 7]
    texts = [found[7][key].text for key in ("refcoco", "refcoco_plus", "refcocog")]
    assert texts == ["92.0/86.1", "87.7/75.9", "86.4"]
    assert found[4]["refcoco_avg"].text == "85.6"


def test_a_mean_alone_is_no_part():
    # A run that kept RefCOCO's mean only cannot fill testA and testB.
    tables = paper_tables(results_of(result("refcoco", 80.0), result("flickr30k", 60.0)))
    table = next(table for table in tables if table.number == 7)
    assert table.ours.entries["refcoco"].text == "–"
    assert table.missing[:2] == ("refcoco.testA", "refcoco.testB")


def test_peers_are_shown_on_request_in_the_papers_order():
    results = results_of(result("pope", 80.0))
    (few,) = paper_tables(results, numbers=[5])
    (many,) = paper_tables(results, numbers=[5], peers=True)
    assert [line.key for line in few.lines] == [
        "mm15_1b", "mm15_1b_moe", "mm15_3b", "mm15_3b_moe", "mm15_7b", "mm15_30b", "",
    ]  # fmt: skip
    assert [line.key for line in many.lines] == [*(r.key for r in paper.table(5).rows), ""]
    assert "† the sum of perception and cognition." in many.remarks
    assert not any("the sum" in remark for remark in few.remarks)
    assert line_of(many, "gpt_4o").entries["mme"].mark == "†"


def test_category_averages_stand_beside_those_of_the_papers_models():
    table = paper_tables(run_as("mm15_3b"))[-1]
    assert table.number is None
    ours = {key: entry.values[""] for key, entry in table.ours.entries.items()}
    lookup = paper.lookup_of_model("mm15_3b")
    assert ours == {key: pytest.approx(paper.evaluate(key, lookup).value) for key in ours}
    assert [line.key for line in table.lines] == [
        "mm15_1b", "mm15_1b_moe", "mm15_3b", "mm15_3b_moe", "mm15_7b", "mm15_30b", "",
    ]  # fmt: skip
    # Of a run that lacks one benchmark, MMBase and its category are dashes.
    rows = [row for row in run_as("mm15_3b").benchmarks if row.name != "wtq"]
    table = paper_tables(results_of(*rows))[-1]
    text = {key: entry.text for key, entry in table.ours.entries.items()}
    assert text["text_rich"] == text["mmbase"] == "–" and text["general"] == "65.9"
    assert table.missing == ("wtq",)


def test_remarks_say_what_hinders_comparing():
    judged = result("llava_w", 60.0, count=60, judge="some-judge", failures=2)
    (table,) = paper_tables(results_of(judged, result("pope", 80.0, count=9000)), numbers=[5])
    assert "llava_w: judged by some-judge; without a readable score, counted as 0: 2." in (
        table.remarks
    )
    assert "Examples scored: llava_w 60; pope 9,000." in table.remarks
    tables = paper_tables(results_of(result("pope", 80.0), split="validation"), numbers=[5])
    assert "This run was scored on the validation split." in tables[0].remarks
    table = next(t for t in paper_tables(run_as("mm15_30b")) if t.number == 8)
    assert any("MM1.5-30B, Avg.: the six parts have the mean 67.1" in r for r in table.remarks)


def test_another_split_than_the_papers_is_told(monkeypatch):
    from mm15_jax.evaluation import paper_tables as module
    from mm15_jax.evaluation.benchmarks import Benchmark

    rows = (
        Benchmark("docvqa", "text_rich", "paper", "", ("anls",), split="validation"),
        Benchmark("textvqa", "text_rich", "paper", "", ("anls",), split="validation"),
    )
    monkeypatch.setattr(module, "TABLE", rows)
    results = results_of(result("docvqa", 50.0), result("textvqa", 50.0))
    (table,) = paper_tables(results, numbers=[6])
    told = [remark for remark in table.remarks if "split" in remark]
    assert told == ["docvqa: the paper's is of the test split, ours of validation."]


def test_scores_that_no_table_has_give_none():
    assert paper_tables(results_of(result("mini_word_qa", 50.0), result("pope", None))) == []


def test_a_table_without_benchmarks_is_refused():
    with pytest.raises(ValueError, match="table 3 has no scores of benchmarks, expected 4 to 12"):
        paper_tables(results_of(result("pope", 80.0)), numbers=[5, 3])


def test_benchmarks_are_called_as_columns():
    rows = {row.name for row in TABLE if row.suite in ("paper", "video", "ui")}
    # One benchmark asks about all five splits of RefCOCO.
    assert set(paper.benchmarks()) - rows == {"refcoco_plus", "refcocog"}
    assert rows <= set(paper.benchmarks())
    (refcoco,) = [row for row in TABLE if row.name == "refcoco"]
    splits = [part.subset for part in refcoco.parts]
    members = paper.average("refcoco_avg").members
    assert splits == [*(m.replace(".", "_") for m in members[:4]), f"{members[4]}_test"]


def test_a_part_is_called_as_aggregates_call_it():
    rows = [
        {"score": 1.0, "subset": "refcocog_test", "answer": "", "truth": []},
        {"score": 0.0, "subset": "refcoco_testB", "answer": "", "truth": []},
    ]
    parts = AGGREGATES["subset_mean"](rows).parts
    lookup = lookup_of_results(results_of(result("refcoco", 50.0, parts=parts)))
    assert (lookup("refcocog", ""), lookup("refcoco", "testB")) == (100.0, 0.0)
    asked = [
        {"score": float(yes), "subset": f"{half}/{task}", "group": "one", "answer": "", "truth": []}
        for half, task in (("perception", "color"), ("cognition", "code_reasoning"))
        for yes in (1, 0)
    ]
    parts = AGGREGATES["mme"](asked).parts
    lookup = lookup_of_results(results_of(result("mme", 5.0, parts=parts)))
    assert (lookup("mme", "perception"), lookup("mme", "cognition")) == (50.0, 50.0)
    (table,) = paper_tables(results_of(result("mme", 5.0, parts=parts)), numbers=[5])
    assert "mme: 12 of 14 subtasks were not asked and count as 0." in table.remarks


@pytest.mark.parametrize("model", ["mm15_3b", "mm15_video_3b_sft", "mm15_ui_7b"])
def test_markdown_has_a_cell_for_every_head(model):
    for table in paper_tables(run_as(model), peers=True, name="a|b"):
        lines = paper_render.to_markdown(table).splitlines()
        assert lines[0] == f"### {paper_render.title_of(table)}"
        rows = [line.replace("\\|", "/") for line in lines if line.startswith("|")]
        assert len({line.count("|") for line in rows}) == 1
        size = len(table.columns) if table.turned else len(table.lines)
        over = len({c.group for c in table.columns}) > 1 and not table.turned
        assert len(rows) == 2 + over + size
        ours = [line for line in rows if "**" in line]
        assert len(ours) == (len(table.columns) if table.turned else 1)
        assert all("**" not in line for line in rows[:2])


def test_markdown_turns_table_4_and_prints_its_units():
    (table,) = paper_tables(results_of(result("pope", 80.04)), numbers=[4])
    lines = paper_render.to_markdown(table).splitlines()
    assert lines[2] == "| Capability | Benchmark | MM1.5-1B | MM1.5-1B-MoE | MM1.5-3B | this run |"
    assert lines[4] == "| GeneralVQA | MME (SUM) | 1611.4 | 1873.0 | 1798.0 | **–** |"
    assert lines[6] == "|  | POPE | 88.1% | 88.6% | 88.1% | **80.0%** |"
    assert "|  | †TabFact | 66.1% | 71.4% | 72.9% | **–** |" in lines


def test_the_terminal_shows_names_with_brackets_and_what_is_missing():
    console = rich.console.Console(file=io.StringIO(), width=160)
    tables = paper_tables(results_of(result("pope", 80.04)), name="run [x] of me")
    paper_render.print_tables(tables, console)
    text = console.file.getvalue()
    assert "Table 4: " in text and "Table 5: " in text and "Table 6" not in text
    assert text.count("run [x] of me") == 2 and "80.0" in text
    assert "Not scored: ai2d, scienceqa, mmmu, mathvista, mme.perception, mme.cognition" in text


def test_the_dict_is_json_and_complete():
    (table,) = paper_tables(results_of(result("refcoco_testB", 78.25)), numbers=[7], peers=True)
    fields = json.loads(json.dumps(paper_render.to_dict(table)))
    assert (fields["table"], len(fields["columns"]), len(fields["rows"])) == (7, 6, 22)
    ours = fields["rows"][-1]
    assert ours["ours"] and ours["model"] is None
    assert ours["cells"]["refcoco"] == {"text": "–/78.2", "mark": "", "values": {"testB": 78.25}}
    theirs = fields["rows"][-2]
    assert theirs["model"] == "mm15_30b" and not theirs["ours"]
    assert theirs["cells"]["lvis_ref"]["values"] == {"box": 84.9, "point": 61.4}
    assert "refcoco.testA" in fields["missing"]


def test_tables_are_written_beside_the_scores(tmp_path):
    tables = paper_tables(results_of(result("pope", 80.0)))
    paper_render.write_tables(tmp_path, tables, "test")
    paper_render.write_tables(tmp_path, tables[:1], "validation")
    assert (tmp_path / "paper_tables.md").read_text().count("### Table") == 2
    assert (tmp_path / "paper_tables_validation.md").read_text().count("### Table") == 1
    paper_render.write_tables(tmp_path / "none", [], "test")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("peers", [False, True])
@pytest.mark.parametrize("model", ["mm15_3b", "mm15_video_3b_sft", "mm15_ui_7b"])
def test_no_number_is_cut_at_80_columns(model, peers):
    console = rich.console.Console(file=io.StringIO(), width=80)
    tables = paper_tables(run_as(model), name="mm15_nano_sft", peers=peers)
    paper_render.print_tables(tables, console)
    text = console.file.getvalue()
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    for table in tables:
        for line in table.lines:
            for entry in line.entries.values():
                assert all(word in text for word in entry.text.split("/"))
