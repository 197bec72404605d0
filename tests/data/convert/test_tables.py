"""Tables drawn as pictures, facts of PDF documents, and DocDownstream-1.0 of both."""

import io

import numpy as np
import PIL.Image
import pytest

from mm15_jax.data.convert import page_pictures, prompts
from mm15_jax.data.convert.pdf_forms import Form, facts_by_page
from mm15_jax.data.convert.table_picture import Span, draw_table
from mm15_jax.data.preparation import DataError
from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures.table_sets import FIXTURES, docdownstream
from tests.data.convert.pictures import write

SHORT = prompts.SHORT_ANSWER
MODULES = dict.fromkeys(FIXTURES, "tables") | dict.fromkeys(("kleister", "deepform"), "pdf_forms")


def made(name, root, split="train"):
    FIXTURES[name].make(root)
    return convert(MODULES[name], name, split, root)


def pixels(image):
    with PIL.Image.open(io.BytesIO(image.data)) as picture:
        return np.asarray(picture.convert("L"))


@pytest.mark.parametrize("name", FIXTURES)
def test_counts_of_good_and_bad_records(tmp_path, name):
    fixture = FIXTURES[name]
    fixture.make(tmp_path)
    for split, count in fixture.records.items():
        good, bad = convert(MODULES[name], name, split, tmp_path)
        assert (len(good), len(bad)) == (count, fixture.bad.get(split, 0)), (split, bad)


def test_a_table_is_as_large_as_its_print_and_ruled():
    narrow, wide = draw_table([["a"], ["b"]]), draw_table([["a" * 30], ["b"]])
    assert wide.width > narrow.width + 150 and wide.height == narrow.height
    assert draw_table([["word " * 30], ["b"]]).height > wide.height + 40  # wrapped
    assert draw_table([["a"], ["b"]], title="A title").height > narrow.height + 20
    sheet = pixels(narrow)
    assert sheet[0, 0] == 255 and sheet.min() < 60 and narrow.role == "user"


def test_short_rows_are_filled_and_merged_cells_have_no_rule_between_them():
    plain = pixels(draw_table([["a", "b"], ["c"]], header_rows=0))
    merged = pixels(draw_table([["a", "b"], ["c"]], header_rows=0, spans=[Span(1, 1, 0, 5)]))
    assert plain.shape == merged.shape
    middle = plain.shape[0] * 3 // 4
    rules = [np.flatnonzero(sheet[middle] == 130) for sheet in (plain, merged)]
    assert len(rules[0]) == 3 and len(rules[1]) == 2


def test_a_table_without_cells_or_beyond_measure_is_refused():
    with pytest.raises(DataError, match="without cells"):
        draw_table([[], []])
    with pytest.raises(DataError, match="too large"):
        draw_table([["x" * 30] * 300] * 600)


def test_wtq_questions_on_a_table_are_one_dialogue(tmp_path):
    good, bad = made("wtq", tmp_path)
    example = good["csv/204-csv/590"]
    assert turns(example) == [
        ("what was the last year?" + SHORT, "2004"),
        ("which teams won?", "France, Italy"),
    ]
    expected = draw_table(
        [["Year", "Team", "Note"], ["2004", "France", 'the "Cup"'], ["2000", "Italy", ""]]
    )
    assert example.segments[0] == expected
    assert turns(good["csv/203-csv/733"])[0][1] == "A|B"  # one answer that has a bar
    assert sorted(bad) == ["csv/999-csv/0.csv", next(k for k in sorted(bad) if "train.tsv@" in k)]


def test_wtq_answers_of_several_items_are_scored_by_denotation(tmp_path):
    good, _ = made("wtq", tmp_path, "test")
    metadata = good["nu-0"].metadata
    assert metadata == {"answer": ["France", "Italy"], "metric": "denotation"}
    assert turns(good["nu-0"])[0][1] == "France, Italy"


def test_wtq_tagged_questions_say_what_their_values_mean(tmp_path):
    FIXTURES["wtq"].make(tmp_path)
    names = "id utterance context targetValue tokens lemmaTokens posTags nerTags nerValues"
    canon = "2004-05-01|2005.0"
    lines = [
        [*names.split(), "targetCanon", "targetCanonType"],
        ["nu-0", "which days?", "csv/204-csv/590.csv", "May 1, 2004|2005", *".....", canon, "date"],
        ["nu-1", "which teams won?", "csv/204-csv/590.csv", "France"],
        ["nu-2", "which teams won?", "csv/204-csv/590.csv", "France", "."],
    ]
    text = "".join("\t".join(line) + "\n" for line in lines)
    write(tmp_path / "tagged/data/pristine-unseen-tables.tagged", text)
    good, bad = convert("tables", "wtq", "test", tmp_path)
    assert good["nu-0"].metadata["canon"] == ["2004-05-01", "2005.0"]
    assert good["nu-0"].metadata["answer"] == ["May 1, 2004", "2005"]
    assert "canon" not in good["nu-1"].metadata
    assert list(bad.values()) == ["5 columns, expected 4, or 11 of a tagged file"]


def test_tabfact_statements_are_true_or_false(tmp_path):
    good, bad = made("tabfact", tmp_path)
    assert set(good) == {"1-100", "2-300"}
    assert turns(good["1-100"]) == [
        (f"Does the table support this statement? tony won {n} times{prompts.YES_OR_NO}", answer)
        for n, answer in ((2, "Yes"), (3, "No"))
    ]
    assert len(bad) == 1 and "2-400.html.csv" in next(iter(bad))
    held_out, _ = convert("tables", "tabfact", "test", tmp_path)
    assert [e.metadata["answer"] for e in held_out.values()] == ["No", "Yes"]


def test_hitab_headings_are_merged(tmp_path):
    good, bad = made("hitab", tmp_path)
    assert turns(good["a2"])[0][1] == "men, women" and good["a1"].metadata["answer"] == "33.5"
    expected = draw_table(
        [["industry", "share", ""], ["", "men", "women"], ["agriculture", "33.5", "20.1"]],
        title="employment by industry",
        header_rows=2,
        header_columns=1,
        spans=[Span(0, 1, 0, 0), Span(0, 0, 1, 2)],
    )
    assert good["a1"].segments[0] == expected
    assert "data/tables/raw/77.json" in next(iter(bad.values()))


def test_finqa_has_the_sentences_around_its_table(tmp_path):
    good, bad = made("finqa", tmp_path)
    [(question, answer)] = turns(good["ETR/2016/page_23.pdf-2"])
    assert question.startswith("entergy corporation net revenue follows .\nthe volume variance")
    assert question.endswith("during 2015?" + SHORT) and answer == "94"
    assert turns(good["INTC/1.pdf-1"])[0][1] == "0.5"  # an empty answer: the program's result
    assert list(bad.values()) == ["a table without cells"]


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("wtq", "WikiTableQuestions"),
        ("tabfact", "TabFact"),
        ("kleister", "KleisterCharity"),
        ("deepform", "DeepForm"),
    ],
)
def test_docdownstream_serves_its_data_sets_with_its_pictures(tmp_path, name, dataset):
    docdownstream(tmp_path, dataset, "VisualMRC")
    good, bad = convert(MODULES[name], name, "train", tmp_path)
    answers = [turns(example) for example in good.values()]
    assert answers == [[("which is first?", "ASIN")], [("which is last?", "Bok")]]
    assert len(bad) == 1 and "nowhere.png" in next(iter(bad.values()))
    assert len(convert(MODULES[name], name, "validation", tmp_path)[0]) == 1
    [example] = convert(MODULES[name], name, "test", tmp_path)[0].values()
    assert example.metadata["answer"] == "2004" and turns(example) == [("when?", "2004")]


def test_kleister_asks_of_the_page_that_has_the_fact(tmp_path):
    good, bad = made("kleister", tmp_path)
    ask = "What is the value for the {}?"
    assert turns(good["documents/abe5/1"]) == [
        (ask.format("charity_name"), "Wesley Hall"),
        (ask.format("report_date"), "2016-03-31"),
    ]
    assert turns(good["documents/abe5/2"]) == [
        (ask.format("income_annually_in_british_pounds"), "10348000.00")
    ]
    page = good["documents/abe5/1"].segments[0]
    assert (page.width, page.height) == (1237, 1600)
    # A scan, where only OCR knows the pages.
    assert turns(good["documents/b1f0/1"]) == [(ask.format("charity_name"), "Jane Doe")]
    assert [answer for _, answer in turns(good["documents/b1f0/2"])] == ["LONDON", "2014-04-05"]
    assert not any("c2a1" in key for key in good)  # no page has its fact
    assert set(bad) == {"e4c3.pdf"} and "no file" in bad["e4c3.pdf"]


def test_deepform_facts_of_a_document(tmp_path):
    good, bad = made("deepform", tmp_path)
    assert [answer for _, answer in turns(good["pdfs/98905496/1"])] == [
        "Mike Bloomberg 2020, Inc.",
        "507337-1",
        "02/03/20",
        "03/29/20",
    ]
    assert [answer for _, answer in turns(good["pdfs/98905496/2"])] == ["$1,880.00"]
    assert set(bad) == {"pdfs/ffff.pdf"}  # 2a03d575 has no facts
    assert "not a readable PDF" in bad["pdfs/ffff.pdf"]
    # Only DocDownstream-1.0 has other splits of it.
    assert convert("pdf_forms", "deepform", "test", tmp_path) == ({}, {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2016-03-31", "year ended 31 March 2016"),
        ("2016-03-31", "March 31st, 2016"),
        ("2016-03-01", "01/03/16"),
        ("1590.50", "total 1,590.50 pounds"),
        ("1000000.00", "total £1,000,000"),
        ("St. Mary's", "of ST. MARY'S church"),
        ("2016-03-01", "to 01.03.16"),
    ],
)
def test_facts_are_found_in_their_usual_spellings(value, text):
    form = Form("a.pdf", (("key", value),))
    assert facts_by_page(form, ["nothing here", text]) == {1: [("key", value)]}


def test_a_number_within_a_longer_one_is_not_the_fact():
    form = Form("a.pdf", (("key", "1000.00"),))
    assert facts_by_page(form, ["11,000", "1,000.50 and 21000"]) == {}


def test_without_the_pdf_reader_the_user_is_told(tmp_path, monkeypatch):
    FIXTURES["deepform"].make(tmp_path)
    monkeypatch.setattr(page_pictures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        convert("pdf_forms", "deepform", "train", tmp_path)
