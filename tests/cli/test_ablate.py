"""mm15 ablate: what it says before anything runs."""

import json
import subprocess
import sys

import pytest

from mm15_jax.ablations import result_files, results
from mm15_jax.ablations.draws import Draw
from mm15_jax.cli import main
from tests.ablations.results_made_up import fig8


def run(capsys, *words):
    code = main.main(["ablate", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_list_has_every_table_and_figure(capsys):
    code, out, _ = run(capsys, "--list", "--json")
    rows = {row["id"]: row for row in json.loads(out)}
    assert code == 0 and {"table1", "fig9b", "moe", "scaling"} <= set(rows)
    assert len(rows["table2"]["rows"]) == 10 and rows["table2"]["findings"] == [
        "F6",
        "F7",
        "F8",
        "F9",
    ]


def test_a_plan_for_pods_has_chip_hours(capsys, tmp_path):
    words = ("table2", "--scale", "3b", "--plan_only", "--json", "--run_dir", str(tmp_path))
    code, out, _ = run(capsys, *words)
    plan = json.loads(out)
    assert code == 0 and plan["topology"] == "v5p:4x4x4"
    assert plan["to_train"] == 9 and plan["to_score"] == 10
    assert sum(r["chip_hours"] for r in plan["runs"]) == pytest.approx(plan["chip_hours"], rel=0.01)
    assert all(r["command"].startswith("mm15 train ") for r in plan["runs"])


def test_a_plan_of_the_miniature_has_minutes(capsys, tmp_path):
    rows = ("--rows", "378,756,378", "--seeds", "2")
    code, out, _ = run(capsys, "fig9a", *rows, "--plan_only", "--run_dir", str(tmp_path))
    assert code == 0 and "9 runs to train, 4 to score" in out and "fig9a_378_nano_seed1" in out


def test_nothing_to_collect_is_no_success(capsys, tmp_path):
    code, out, err = run(capsys, "fig8", "--collect", "--run_dir", str(tmp_path))
    assert code == 1 and not out and f"no row of fig8 has a score yet in {tmp_path}" in err


def test_looking_for_accelerators_leaves_them_to_the_runs():
    script = (
        "from mm15_jax.cli import ablate_command\n"
        "found = ablate_command._has_accelerator()\n"
        "from jax._src import xla_bridge\n"
        "print(found, xla_bridge.backends_are_initialized())\n"
    )
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "takes one table or figure, was given none; one of table1"),
        (("tabel1",), "unknown ablation 'tabel1'; did you mean 'table1'"),
        (("table7",), "table7 is no ablation of its own; its rows are in scaling and moe"),
        (("table12",), "table12 is no ablation of its own; its rows are in ui"),
        (("table13",), "unknown ablation 'table13'; did you mean 'table3'"),
        (("table1", "--scale", "70b"), "table1 has no scale '70b'; it has nano, 1b"),
        (("table1", "--rows", "9"), "unknown row of table1 '9'"),
        (("fig8", "--scale", "3b"), "needs accelerators, and there are none here"),
        (("fig8", "--publish"), "--publish is for the repository"),
        (("fig8", "--workers", "-3"), "workers"),
        (("fig8", "--set", "train.seed=1"), "train.seed is what --starts and --seeds draw"),
        (
            ("fig10", "--seeds", "2"),
            "have not equally many: old_text_45_45_10 has 3, hq_text_50_10_40 has 1",
        ),
        (
            ("fig8", "--scale", "1b", "--topology", "v5e:1x1", "--plan_only"),
            "mm15_1b_pretrain does not fit v5e:1x1: ",
        ),
        (
            ("fig8", "--topology", "v5e:2x2"),
            "--topology v5e:2x2 is what chip-hours of 1b and larger",
        ),
        (("fig8", "--collect", "--join"), "puts draws beside those in docs/ablations: it needs"),
    ],
)
def test_mistakes_are_one_sentence(capsys, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *words)
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1


def test_publishing_beside_what_is_published(capsys, tmp_path, monkeypatch):
    """Each place has one draw; the page has what both have given."""
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    for start, more in ((0, ()), (1, ("--join",)), (2, ("--join",)), (3, ())):
        here = fig8([Draw(start, 0)])
        monkeypatch.setattr(results, "collect", lambda *_, here=here: here)
        code, out, _ = run(capsys, "fig8", "--collect", "--publish", *more)
        published = result_files.read("docs/ablations", "fig8", "nano")
        first = 0 if more else start
        assert code == 0 and published.draws == tuple(Draw(s, 0) for s in range(first, start + 1))
        assert out == (tmp_path / "docs/ablations/fig8_nano.md").read_text() + "\n"
    assert "F18" in (tmp_path / "docs/findings.md").read_text()
