"""Pages, tables and figures of results."""

import csv
import dataclasses
import io
import re

import cv2
import matplotlib.pyplot as plt
import pytest

from mm15_jax import paper
from mm15_jax.ablations import (
    catalog,
    paper_values,
    plot,
    publish,
    render,
    result_files,
    scatter,
    scoreboard,
)
from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.findings import FINDINGS, judge
from mm15_jax.ablations.results import Cell, Interval, Result
from mm15_jax.data.storage import to_path
from tests.ablations.results_made_up import FIG8, SEEDS, fig8, result, with_likelihoods


@pytest.fixture
def table3():
    ablation = catalog.find("table3", "nano")
    names = ("scene", "word", "document", "banner", "poster", "chart", "table", "arithmetic")
    sets = (*(f"mini_{n}_qa" for n in names), "mini_diagram_qa", "mini_grounding", "mini_referring")
    rows = {"1": dict.fromkeys(sets, 0.5), "4": dict.fromkeys(sets, 0.6)}
    return ablation, result("table3", rows, ablation.measures)


def test_a_page_has_the_papers_numbers_the_command_and_the_verdict(table3):
    text = render.markdown(*table3, "table3_nano.png")
    assert "mm15 ablate table3" in text and "![" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| 4 |")]
    assert line.count("±") == 7 and "(73.3)" in line and "(62.8)" in line
    assert "**F11**" in text and "| **holds** |" in text and "| **not run** |" in text


def test_the_papers_numbers_are_of_a_model_as_large():
    wanted = {
        ("table2", "nano", "1", "docvqa"): 73.2,
        ("table2", "7b", "1", "docvqa"): 77.0,
        ("table2", "7b", "5", "docvqa"): None,
        ("table2", "30b", "1", "docvqa"): None,
        ("table1", "3b", "4", "text_rich"): paper.table(1).cell("4", "text_rich").value,
        ("table1", "1b", "4", "text_rich"): None,
        ("fig9a", "nano", "1344", "mmbase"): 60.26,
        ("fig9a", "7b", "1344", "mmbase"): None,
        ("video", "nano", "sft", "activitynet_qa"): 57.9,
        ("video", "7b", "sft", "activitynet_qa"): 60.9,
    }
    found = {key: paper_values.paper_value(*key) for key in wanted}
    assert found == wanted
    moe = [paper_values.paper_value("moe", scale, "experts", "mmbase") for scale in ("1b", "3b")]
    assert moe == pytest.approx([64.2, 65.8], abs=0.05)


def test_pages_of_real_scales_show_all_of_their_scores(tmp_path, monkeypatch):
    ablation = catalog.find("ui", "3b")
    rows = {"ui_3b": dict.fromkeys(ablation.measures, 0.5)}
    found = dataclasses.replace(result("ui", rows, ablation.measures, scale="3b"), examples=0)
    assert ", all questions of each benchmark" in render.markdown(ablation, found)
    tops, save = [], plt.Figure.savefig

    def look(figure, *arguments, **more):
        tops.append(figure.axes[0].get_ylim()[1])
        save(figure, *arguments, **more)

    monkeypatch.setattr(plt.Figure, "savefig", look)
    plot.draw(ablation, found, tmp_path / "ui.png")
    assert tops[0] > 139  # CIDEr of widgets, of the paper


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-1.2, 0.7, "undecided, small"), (-1.2, 2.9, "undecided"), (0.1, 0.7, "holds")],
)
def test_what_is_undecided_says_whether_it_is_small(table3, monkeypatch, low, high, said):
    between = Interval((low + high) / 2, low, high, (2,))
    monkeypatch.setattr(Result, "difference", lambda *_: between)
    page, board = render.markdown(*table3), scoreboard.scoreboard([table3[1]])
    assert f"| **{said}** |" in page and f"| 4 above 1, Average | {said} |" in page
    (line,) = [line for line in board.splitlines() if line.startswith("| F11 |")]
    hint = ", a hint" if said == "holds" else ""  # of one start, and nothing else is known
    assert f"| {said}{hint} |" in line


def test_a_row_that_has_not_run_shows_the_paper_alone(table3):
    text = render.markdown(*table3)
    (line,) = [line for line in text.splitlines() if line.startswith("| 2 |")]
    assert "– (74.3)" in line


def test_a_page_names_rows_that_are_drawn_less_often(table3):
    ablation, found = table3
    text = render.markdown(ablation, found)
    assert ", 1 start of 2 seeds, up to 400 questions" in text and "what all rows have" not in text
    first, second = found.rows
    cells = second.draws[SEEDS[0]]
    more = dict.fromkeys([*SEEDS, Draw(1, 0), Draw(2, 0)], cells)
    rows = (dataclasses.replace(first, draws={SEEDS[0]: cells}), second)
    text = render.markdown(ablation, dataclasses.replace(found, rows=rows))
    assert ", 1 start of 2 seeds (row 1: 1 start of 1 seed), up to 400 questions" in text
    assert "Scores are of what all rows have, start 0 seed 0; differences" in text
    rows = (first, dataclasses.replace(second, draws=more))
    text = render.markdown(ablation, dataclasses.replace(found, rows=rows))
    assert ", 3 starts, 1 of 2 seeds and 2 of 1 (row 1: 1 start of 2 seeds), up to 400 q" in text


def test_a_page_without_the_papers_numbers_does_not_speak_of_brackets(table3):
    ablation = catalog.find("scaling", "nano")  # the paper's rows are other sizes
    rows = {row.key: {"mini_scene_qa": 0.5} for row in ablation.rows}
    text = render.markdown(ablation, result("scaling", rows, ablation.measures))
    assert "brackets" not in text and "brackets the paper (table 3)" in render.markdown(*table3)


def test_scores_are_of_draws_that_all_rows_have_and_differences_of_all(table3):
    """A draw that one row alone has would make rows differ by the draw."""
    ablation, found = table3
    first, second = found.rows
    easy = {name: dataclasses.replace(c, score=99.0) for name, c in first.draws[SEEDS[0]].items()}
    rows = (dataclasses.replace(first, draws={**first.draws, Draw(1, 0): easy}), second)
    more = dataclasses.replace(found, rows=rows)
    lines = (
        [line for line in render.markdown(ablation, one).splitlines() if line.startswith("| 1 |")]
        for one in (found, more)
    )
    assert next(lines) == next(lines)
    means = (
        [r["score"] for r in csv.DictReader(io.StringIO(text)) if r["seed"] == "mean"]
        for text in (render.comma_separated(ablation, one) for one in (found, more))
    )
    assert next(means) == next(means)
    assert more.score("1", "average") > found.score("1", "average") + 10
    assert "start 0 seeds 0 and 1;" in render.markdown(ablation, more)


def test_a_page_says_that_rows_have_no_draw_in_common(table3):
    ablation, found = table3
    first, second = found.rows
    moved = dict(zip((Draw(1, 0), Draw(1, 1)), second.draws.values(), strict=True))
    apart = dataclasses.replace(found, rows=(first, dataclasses.replace(second, draws=moved)))
    alone = dataclasses.replace(found, rows=(first,))
    said = ["no draw in common" in render.markdown(ablation, r) for r in (apart, found, alone)]
    assert said == [True, False, False]


def test_csv_has_a_line_for_each_draw(table3):
    rows = list(csv.DictReader(io.StringIO(render.comma_separated(*table3))))
    found = [r for r in rows if r["row"] == "4" and r["measure"] == "average"]
    assert [r["seed"] for r in found] == ["0", "1", "mean"]
    assert [r["start"] for r in found] == ["0", "0", "mean"]
    assert found[-1]["paper"] == "62.8" and float(found[-1]["error"]) > 0


@pytest.mark.parametrize("name", ["table3", "fig7"])
def test_figures_are_drawn(table3, name, tmp_path):
    ablation, found = table3
    if name == "fig7":
        ablation = catalog.find("fig7", "nano")
        rows = {row.key: {"mini_compare": 0.5, "mini_scene_qa": 0.5} for row in ablation.rows}
        found = result("fig7", rows, ablation.measures)
    plot.draw(ablation, found, tmp_path / "figure.png")
    assert cv2.imread(str(tmp_path / "figure.png")).std() > 5


def test_a_sweep_of_its_common_start_alone_has_no_panel(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plt, "close", drawn.append)
    ablation = catalog.find("fig7", "nano")
    ran = [ablation.row(key) for key in ("text_0", "multi_image_0", "multi_image_0.1")]
    found = result("fig7", {r.key: {"mini_compare": 0.5} for r in ran}, ablation.measures)
    rows = [
        dataclasses.replace(row, x=r.x, series=r.series)
        for row, r in zip(found.rows, ran, strict=True)
    ]
    found = dataclasses.replace(found, rows=tuple(rows))
    plot.draw(ablation, found, tmp_path / "figure.png")
    assert [axes.get_title(loc="left") for axes in drawn[0].axes] == ["multi image"]


def test_results_of_other_settings_than_there_are_now_say_so(table3):
    _, found = table3
    warned = "{} ran with other settings than the experiments"
    assert warned.format("Row 4") in render.markdown(*table3, changed=["4"])
    every = [row.key for row in found.rows]
    assert warned.format("All rows") in render.markdown(*table3, changed=every)
    assert "other settings" not in render.markdown(*table3)
    place = "[table3](ablations/table3_nano.md)"
    text = scoreboard.scoreboard([found], [("table3", "nano")])
    assert f"{place} \\* |" in text
    assert "Of 1, marked \\*, rows ran with other settings than they have now." in text
    text = scoreboard.scoreboard([found], [("table3", "3b"), ("fig8", "nano")])
    assert f"{place} |" in text and "rows ran with other settings" not in text


def test_the_scoreboard_has_every_finding(table3):
    text = scoreboard.scoreboard([table3[1]])
    assert text.count("\n| F") == len(FINDINGS) and "[table3](ablations/table3_nano.md)" in text
    assert "1 holds (1 as a hint)" in text  # one start, of which nothing is known
    assert "| holds, a hint |" in text and "From start to start" not in text


def test_pages_and_scoreboard_show_what_likelihoods_say(table3):
    """By scores row 4 is above row 1; by likelihoods, where they are known, it is below."""
    ablation, found = table3
    assert "likelihood" not in render.markdown(ablation, found)
    line = next(x for x in scoreboard.scoreboard([found]).splitlines() if x.startswith("| F11"))
    assert line.endswith("| – | – |") and "| holds, a hint |" in line
    found = with_likelihoods(found, {"1": 0.5, "4": 0.4}, SEEDS[:1])
    page = render.markdown(ablation, found)
    (line,) = [x for x in page.splitlines() if x.startswith("| 4 above 1")]
    # Boxes keep their scores, by which row 4 is above.
    assert re.search(
        r"\| holds \| \+9.* \| does not hold \| -7\.3 .* \| 1 start of 1 seed \|$", line
    )
    line = next(x for x in scoreboard.scoreboard([found]).splitlines() if x.startswith("| F11"))
    assert re.search(
        r"\| does not hold, a hint, 1 start of 1 seed \| -7\.3 .* \(\+0\.3\) \|$", line
    )


def test_the_scoreboard_knows_what_starts_scatter_by(table3):
    _, found = table3
    names = next(iter(found.rows[0].draws.values()))
    draws = (Draw(0, 0), Draw(1, 0), Draw(2, 0))
    again = result("table3", {"1": dict.fromkeys(names, 0.5), "4": dict.fromkeys(names, 0.6)},
                   found.measures, draws)  # fmt: skip
    text = scoreboard.scoreboard([again, found])
    known = scatter.learned([*judge(again), *judge(found)])
    said = (
        "From start to start a difference at scale nano moves by a standard deviation of "
        f"{known.deviation:.1f} points ({known.freedom} degrees of freedom), so its mean is known "
        f"to ± {known.margin(1):.1f} of one start, {known.margin(2):.1f} of two, "
        f"{known.margin(5):.1f} of five, {known.margin(12):.1f} of twelve."
    )
    assert said in " ".join(text.split())
    assert "| **holds** |" in text


def test_a_page_shows_what_its_files_keep(table3, tmp_path):
    ablation, found = table3
    # A score between the steps in which the file keeps it moves by as much when it is read.
    rows = [
        dataclasses.replace(row, draws={d: dict(c) for d, c in row.draws.items()})
        for row in found.rows
    ]
    for row in rows:
        for cells in row.draws.values():
            for name, cell in cells.items():
                questions = cell.questions * 0.3337
                cells[name] = Cell(100 * float(questions.mean()), 0.0, {}, questions)
    found = dataclasses.replace(found, rows=tuple(rows))
    shown = publish.write(ablation, found, tmp_path)
    again = publish.write(ablation, result_files.read(tmp_path, "table3", "nano"), tmp_path)
    assert shown == again and shown != render.markdown(ablation, found, "table3_nano.png")


def test_a_result_comes_back_from_a_bucket(table3, gs_prefix):
    ablation, found = table3
    text = publish.write(ablation, found, to_path(f"{gs_prefix}/table3"))
    again = result_files.read(to_path(f"{gs_prefix}/table3"), "table3", "nano")
    assert render.markdown(ablation, again, "table3_nano.png") == text
    assert len(again.row("4").draws[SEEDS[0]]["mini_word_qa"].questions) == 400


def test_a_page_says_no_longer_that_rows_are_older_once_they_are_not(tmp_path, monkeypatch):
    found = fig8([Draw(0, 0), Draw(1, 0)])
    publish.write(FIG8, found, tmp_path)
    page = tmp_path / "fig8_nano.md"
    written = page.read_text()
    for changed in (("all",), ()):
        monkeypatch.setattr(publish.join, "changed_rows", lambda *_, keys=changed: keys)
        told = []
        assert publish.renew_scoreboard(tmp_path, tmp_path / "findings.md", told.append) == 1
        assert bool(told) == bool(changed) == ("other settings" in page.read_text())
    assert page.read_text() == written
