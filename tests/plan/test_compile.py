"""Keeping results, ending compilers, and what the compiler's words mean; compiles nothing."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from mm15_jax.config import load, replace_nested
from mm15_jax.plan import compile as compiler
from mm15_jax.plan import meshes, report, search, table, worker
from mm15_jax.plan.topology import parse
from tests.plan.raw import raw, refused

TOPOLOGY = parse("v5p:4x4x4")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Requests that reached the compiler."""
    asked = []

    def run(request, *_):
        asked.append(request)
        return raw()

    monkeypatch.setenv(compiler.CACHE_DIR, str(tmp_path))
    monkeypatch.setattr(compiler, "_run", run)
    return asked


def test_a_result_is_kept_for_all_that_is_the_same_program(runs):
    config = load("mm15_1b_sft")
    assert not compiler.step_of(config, TOPOLOGY)["cached"]
    same = replace_nested(config, {"name": "other", "train.seed": 3, "checkpoint.every": 7})
    assert compiler.step_of(same, TOPOLOGY)["cached"]
    assert len(runs) == 1


def test_a_kept_result_that_was_cut_short_is_made_anew(runs, tmp_path):
    config = load("mm15_1b_sft")
    compiler.step_of(config, TOPOLOGY)
    (kept,) = tmp_path.glob("*.json")
    kept.write_text("")
    assert not compiler.step_of(config, TOPOLOGY)["cached"]
    assert compiler.step_of(config, TOPOLOGY)["cached"]


@pytest.mark.parametrize(
    "changes", [{"train.accumulation": 2}, {"model.encoder.remat": "none"}, {"mesh.fsdp": 64}]
)
def test_another_program_is_compiled(runs, changes):
    config = load("mm15_1b_sft")
    compiler.step_of(config, TOPOLOGY)
    assert not compiler.step_of(replace_nested(config, changes), TOPOLOGY)["cached"]
    compiler.step_of(config, parse("v5p:4x4x4", slices=2))
    compiler.step_of(config, TOPOLOGY, cache=False)
    assert len(runs) == 4


def test_other_versions_of_the_compiler_are_another_program(runs, monkeypatch):
    compiler.step_of(load("mm15_1b_sft"), TOPOLOGY)
    monkeypatch.setattr(compiler, "versions", lambda: {"libtpu": "99"})
    compiler.step_of(load("mm15_1b_sft"), TOPOLOGY)
    assert len(runs) == 2


def test_what_a_config_cannot_be_is_the_users_mistake(runs, monkeypatch):
    monkeypatch.setattr(compiler, "_run", lambda *_: {"error": "rows do not divide"})
    with pytest.raises(ValueError, match="rows do not divide"):
        compiler.step_of(load("mm15_1b_sft"), TOPOLOGY)


def test_several_go_on_where_one_fails(runs, monkeypatch):
    def run(request, *_):
        if request["topology"] == "v5p:8x8x8":
            raise compiler.CompileError("gave up")
        return raw()

    monkeypatch.setattr(compiler, "_run", run)
    config = load("mm15_1b_sft")
    requests = [(config, TOPOLOGY), (config, parse("v5p:8x8x8"))]
    first, second = compiler.steps_of(requests, jobs=2)
    assert "memory" in first
    assert str(second) == "gave up"


def test_a_compiler_that_takes_too_long_or_too_much_memory_is_told():
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert "time limit" in compiler._watch(sleeper, time.monotonic() - 1, 0)
        assert "host memory" in compiler._watch(sleeper, time.monotonic() + 60, 1)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_compiler_that_somebody_ends_is_told(monkeypatch):
    def end(process, *_):
        process.terminate()
        process.wait()
        return ""

    monkeypatch.setattr(compiler, "_watch", end)
    request = compiler._request(load("text_tiny"), TOPOLOGY)
    with pytest.raises(compiler.CompileError, match="text_tiny for v5p:4x4x4 was ended: by signal"):
        compiler._run(request, 60, 0)


def wait_until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds()


def test_an_interruption_ends_the_compilers_and_begins_no_other(tmp_path, monkeypatch):
    began = tmp_path / "began"
    began.touch()
    compiles = tmp_path / "compiles"
    compiles.write_text(f"#!/bin/sh\necho $$ >> {began}\nexec sleep 60\n")
    compiles.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(compiles))

    def interrupt():
        wait_until(lambda: len(began.read_text().split()) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        compiler.steps_of([(load("mm15_1b_sft"), TOPOLOGY)] * 4, jobs=2, cache=False)
    assert time.monotonic() - start < 50
    pids = began.read_text().split()
    assert len(pids) == 2
    assert not any(pathlib.Path("/proc", pid).exists() for pid in pids)


def test_a_compiler_ends_with_the_command_however_that_ends():
    command = (
        "from mm15_jax.config import load; from mm15_jax.plan import compile; "
        "from mm15_jax.plan.topology import parse; "
        "compile.step_of(load('mm15_30b_sft'), parse('v5p:4x4x4'), cache=False)"
    )
    parent = subprocess.Popen([sys.executable, "-c", command])
    children = pathlib.Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    try:
        assert wait_until(lambda: children.read_text().split())
        (child,) = children.read_text().split()
    finally:
        parent.kill()
        parent.wait()
    ended = wait_until(lambda: not pathlib.Path("/proc", child).exists())
    if not ended:
        os.kill(int(child), signal.SIGKILL)
    assert ended


def test_the_compilers_refusal_tells_bytes():
    said = "Ran out of memory in memory space hbm. Used 108.21G of 95.74G hbm. Exceeded by 12.47G."
    used, limit = worker.hbm_of_message(said, 2**30)
    assert used == int(108.21 * 2**30)
    assert limit == int(95.74 * 2**30)
    assert worker.hbm_of_message("something else", 2**30) is None


def test_a_refusal_for_temporaries_alone_counts_the_arguments_too():
    said = (  # libtpu 0.0.42
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
        "temporaries (417.52G) exceeds available HBM (15.75G)."
    )
    assert worker.hbm_of_message(said, 2**31) == (int(419.52 * 2**30), int(15.75 * 2**30))


def test_a_comment_or_a_docstring_makes_no_other_program():
    plain = "def f(x):\n    return x + 1\n"
    told = '"""Of f."""\n\n\ndef f(x):\n    """One more."""\n    return x + 1  # and no less\n'
    assert compiler._code_of(told) == compiler._code_of(plain)
    assert compiler._code_of(plain.replace("1", "2")) != compiler._code_of(plain)
    assert compiler._code_of('class A:\n    """Nothing else."""\n') == "class A:\n    pass"


def test_threads_may_ask_for_the_digest_at_once():
    path = pathlib.Path(compiler.__file__)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = set(pool.map(compiler._code_of, [path.read_text()] * 200))
    assert len(found) == 1


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A page of two rows, in a folder of its own."""
    wanted = [("mm15_1b_sft", parse("v5p:4x4x4")), ("mm15_3b_sft", parse("v5p:4x4x8", 2))]
    monkeypatch.setattr(table, "rows", lambda: wanted)
    monkeypatch.setattr(compiler, "source_digest", lambda: "now")
    monkeypatch.setattr(compiler, "versions", lambda: raw()["versions"])
    monkeypatch.setenv(compiler.CACHE_DIR, str(tmp_path / "plans"))
    return tmp_path / "scaling.md"


def giving(*results, asked=None, programs=None):
    """Stands for `steps_of`: gives these, and keeps which experiments it was asked for.

    Programs are by experiment; without, nothing may ask for them.
    """

    def compile_all(requests, found=None, ask=None, **_):
        if ask is compiler.program_of:
            return [{"program": programs[config.name]} for config, _ in requests]
        if asked is not None:
            asked.extend(config.name for config, _ in requests)
        for number, result in enumerate(results):
            found(number, result)

    return compile_all


def test_the_page_of_the_family_has_a_row_for_each(page):
    said = table.write(jobs=1, page=page, compile_all=giving(raw()))
    assert "1 rows, 0 failed" in said
    text = page.read_text()
    assert "1 rows more are to be compiled" in text and "mm15_3b_sft" not in text
    said = table.write(jobs=1, page=page, compile_all=giving(ValueError("a | b")))
    assert "1 rows, 1 failed" in said
    lines = page.read_text().splitlines()
    assert lines[-2].startswith("| `mm15_1b_sft` | 64 | v5p:4x4x4 |")
    assert "2 x v5p:4x4x8" in lines[-1] and "a / b" in lines[-1]
    assert lines[-1].count("|") == lines[-2].count("|")


def test_rows_of_earlier_sources_stay_marked_until_they_are_compiled_anew(page, monkeypatch):
    table.write(jobs=1, page=page, compile_all=giving(raw()))
    asked = []
    table.write(jobs=1, page=page, compile_all=giving(asked=asked))
    assert asked == ["mm15_3b_sft"]
    monkeypatch.setattr(compiler, "source_digest", lambda: "later")
    others = {"mm15_1b_sft": "another"}
    table.write(jobs=1, page=page, compile_all=giving(raw(), asked=asked, programs=others))
    assert asked == ["mm15_3b_sft", "mm15_3b_sft", "mm15_1b_sft"]  # what is missing comes first
    text = page.read_text()
    assert r"| `mm15_1b_sft` \* |" in text and r"| `mm15_3b_sft` |" in text
    assert "(1 of the rows)" in text
    table.write(jobs=1, page=page, compile_all=giving(raw(), programs=others))
    assert r"\*" not in page.read_text()
    monkeypatch.setattr(compiler, "versions", lambda: {"libtpu": "newer"})
    table.write(jobs=1, page=page, compile_all=giving())
    assert "(2 of the rows)" in page.read_text()


def test_a_row_whose_program_is_the_same_is_not_compiled_anew(page, monkeypatch):
    table.write(jobs=1, page=page, compile_all=giving(raw(), raw(program="q")))
    plans = page.with_suffix(".jsonl").read_text()
    monkeypatch.setattr(compiler, "source_digest", lambda: "later")
    asked, programs = [], {"mm15_1b_sft": "p", "mm15_3b_sft": "other"}
    table.write(jobs=1, page=page, compile_all=giving(asked=asked, programs=programs))
    assert asked == ["mm15_3b_sft"] and "(1 of the rows)" in page.read_text()
    first, second = page.with_suffix(".jsonl").read_text().splitlines()
    earlier = plans.splitlines()
    assert first == earlier[0].replace('"now"', '"later"') and second == earlier[1]


@pytest.mark.parametrize("changed", ["reading", "steps"])
def test_a_program_that_is_read_otherwise_or_runs_longer_is_compiled_anew(
    changed, page, monkeypatch
):
    """What a plan says is more than its program."""
    table.write(jobs=1, page=page, compile_all=giving(raw(), raw()))
    monkeypatch.setattr(compiler, "source_digest", lambda: "later")
    if changed == "reading":
        monkeypatch.setattr(compiler, "reading_digest", lambda: "other")
    else:
        config = replace_nested(load("mm15_1b_sft"), {"train.steps": 7})
        settled = meshes.settled
        monkeypatch.setattr(
            meshes, "settled", lambda c, t: settled(config if c.name == config.name else c, t)
        )
    asked, programs = [], {"mm15_1b_sft": "p", "mm15_3b_sft": "p"}
    table.write(jobs=1, page=page, compile_all=giving(asked=asked, programs=programs))
    assert asked == ["mm15_1b_sft", *(["mm15_3b_sft"] if changed == "reading" else [])]


def test_what_was_compiled_before_comes_first(page, monkeypatch):
    monkeypatch.setattr(compiler, "_run", lambda *_: raw())
    name, topology = table.rows()[1]
    compiler.step_of(meshes.settled(load(name), topology), topology)
    asked = []
    table.write(jobs=1, page=page, compile_all=giving(asked=asked))
    assert asked == ["mm15_3b_sft", "mm15_1b_sft"]


def test_meshes_of_the_page_that_fit_become_the_experiments_own(monkeypatch):
    config = load("mm15_1b_sft")

    def plan(topology, result, **changes):
        found = meshes.settled(replace_nested(config, {"meshes": ()}), parse(topology))
        return report.assemble(replace_nested(found, changes), parse(topology), result)

    kept = []
    monkeypatch.setattr(search, "keep", kept.append)
    fits = plan("v5p:4x4x4", raw())
    table.keep_meshes([fits, plan("v5e:4x8", refused(99, 15.75))])
    ((name, (row,)),) = kept[0].items()
    assert (name, row.topology, row.slices) == ("mm15_1b_sft", "v5p:4x4x4", 1)
    assert vars(row.mesh) == fits["mesh"] and row.settings == ()
    table.keep_meshes([plan("v5p:4x4x4", raw(), **{"train.accumulation": 4})])
    assert kept[1]["mm15_1b_sft"][0].settings == ("train.accumulation=4",)


def test_results_are_told_as_they_come_with_the_time_left(monkeypatch, capsys):
    def step_of(config, topology, **_):
        if topology.slices == 2:
            raise compiler.CompileError("no memory")
        return {"cached": False, "chips": topology.chips}

    monkeypatch.setattr(compiler, "step_of", step_of)
    config, told = load("text_tiny"), []
    requests = [(config, parse("v5p:4x4x4")), (config, parse("v5p:4x4x8", 2))]
    results = compiler.steps_of(requests, jobs=1, found=lambda *result: told.append(result))
    assert results[0]["chips"] == 64 and str(results[1]) == "no memory"
    assert dict(told) == {0: results[0], 1: results[1]}
    lines = capsys.readouterr().err.splitlines()
    assert "1/2  text_tiny on v5p:4x4x4" in lines[0] and "eta" in lines[0] and "2/2" in lines[1]


def test_the_family_is_planned_on_at_most_512_chips_and_on_two_slices():
    rows = table.rows()
    assert len({name for name, _ in rows}) >= 12
    assert all(topology.chips <= 512 for _, topology in rows)
    assert any(topology.slices == 2 for _, topology in rows)
