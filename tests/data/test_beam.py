"""Runs in an environment with Apache Beam, which cannot be that of training; docs/prepare.md."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from mm15_jax.cli import main
from mm15_jax.data import parts, registry
from mm15_jax.data.prepare import prepare
from mm15_jax.data.prepare_report import REPORT
from mm15_jax.data.source import Source

try:
    import apache_beam  # noqa: F401

    ABSENT = ""
except ImportError:
    ABSENT = "apache_beam is not installed: it wants an environment of its own (docs/prepare.md)"
needs_beam = pytest.mark.skipif(bool(ABSENT), reason=ABSENT)


def quiet(event):
    pass


def files(directory):
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.name != REPORT}


@pytest.mark.skipif(not ABSENT, reason="Apache Beam is installed")
def test_without_beam_one_sentence_says_what_to_install(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.main(["prepare", "mini_text", "--runner=beam", "--", "--streaming"]) == 2
    assert "pip install '.[beam]'" in capsys.readouterr().err


def test_options_of_beam_without_beam_are_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.main(["prepare", "mini_text", "--", "--project=p"]) == 2
    assert "--project=p" in capsys.readouterr().err


def test_tasks_go_through_a_file(tmp_path):
    source = Source(tmp_path)
    for given in (None, source):
        tasks = parts.tasks_of(registry.get("mini_text"), "train", given, tmp_path / "out")
        parts.write_tasks(tmp_path / "tasks", tasks)
        assert list(parts.read_tasks(str(tmp_path / "tasks"))) == tasks


def test_beam_refuses_a_preparation_that_its_workers_would_not_find(tmp_path, monkeypatch):
    from mm15_jax.data.beam import in_pipeline

    monkeypatch.setitem(sys.modules, "apache_beam", types.ModuleType("apache_beam"))
    preparation = dataclasses.replace(registry.get("mini_text"), version=99)
    with pytest.raises(ValueError, match="'mini_text' is not the registry's: prepare it without"):
        prepare(preparation, tmp_path, ["test"], runner=in_pipeline(), progress=quiet)


@needs_beam
@pytest.mark.parametrize("limit", [None, 300])
def test_beam_makes_what_processes_make(tmp_path, limit):
    from mm15_jax.data.beam import in_pipeline

    preparation, reports = registry.get("mini_text"), {}
    for name, runner in (("processes", None), ("beam", in_pipeline())):
        (reports[name],) = prepare(
            preparation, tmp_path / name, ["test"], workers=1, limit=limit, runner=runner,
            progress=quiet,
        )  # fmt: skip
    one, two = (tmp_path / name / "mini_text" / "test" for name in reports)
    assert files(one) == files(two)
    assert reports["processes"].checksum == reports["beam"].checksum


@needs_beam
def test_the_command_passes_options_to_beam_and_changes_nothing_the_second_time(tmp_path, capsys):
    command = ["prepare", "mini_text", "--split", "test", "--out", str(tmp_path), "--json"]
    options = ["--runner=beam", "--", "--direct_num_workers=2", "--direct_running_mode"]
    for kept in (0, 2):
        assert main.main([*command, *options, "multi_processing"]) == 0
        (report,) = json.loads(capsys.readouterr().out)
        assert (report["records"], report["shards_kept"]) == (512, kept)


KILLED = """
import os, pathlib, signal, sys
sys.path[:0] = [sys.argv[1]]
from mm15_jax.data import parts, registry
from mm15_jax.data.beam import in_pipeline
from mm15_jax.data.prepare import prepare

make_part = parts.make_part

def make_and_die(preparation, task):
    made = make_part(preparation, task)
    os.kill(os.getpid(), signal.SIGKILL)

parts.make_part = make_and_die
prepare(registry.get("mini_text"), sys.argv[2], ["test"], runner=in_pipeline())
"""


@needs_beam
def test_processes_go_on_where_a_killed_pipeline_stopped(tmp_path):
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", KILLED, root, str(tmp_path / "killed")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    reports = {}
    for name in ("killed", "straight"):
        (reports[name],) = prepare(
            registry.get("mini_text"), tmp_path / name, ["test"], workers=1, progress=quiet
        )
    assert (reports["killed"].shards_kept, reports["straight"].shards_kept) == (1, 0)
    one, two = (tmp_path / name / "mini_text" / "test" for name in reports)
    assert files(one) == files(two) and os.listdir(one)
