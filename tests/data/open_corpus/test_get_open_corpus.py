"""The script that obtains the packages, with stand-ins for apt-get, apt-cache and dpkg-deb."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[3] / "scripts" / "get_open_corpus.sh"
TOOLS = {
    "apt-cache": '[ -e "$STATE/lists/$3" ]',
    "apt-get": 'for p; do :; done; echo "$p" >> "$STATE/downloads"; echo deb > "$p.deb"',
    "dpkg-deb": (
        'case "$1" in\n'
        "  -f) echo 1.0 ;;\n"
        '  -x) mkdir -p "$3/usr/share"; basename "$2" .deb >> "$3/usr/share/unpacked" ;;\n'
        "esac"
    ),
}
REQUIRED = [
    "tuxpaint-stamps-default",
    "developers-reference",
    "debian-policy",
    "kgeography-data",
    "debian-handbook",
]


@pytest.fixture
def machine(tmp_path):
    for name, body in TOOLS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    (tmp_path / "lists").mkdir()
    for name in REQUIRED:
        (tmp_path / "lists" / name).touch()
    return tmp_path


def run(machine, *arguments):
    path = f"{machine / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        [SCRIPT, *arguments],
        env={"PATH": path, "STATE": str(machine)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_unpacks_what_there_is_and_says_what_was_left_out(machine):
    result = run(machine, str(machine / "out"))
    assert result.returncode == 0, result.stderr
    assert (machine / "out/usr/share/unpacked").read_text().split() == REQUIRED
    assert "left out" in result.stdout
    assert "debian-faq" in result.stdout
    assert not list((machine / "out/.packages").glob("download*"))


def test_a_second_run_downloads_nothing(machine):
    run(machine, str(machine / "out"))
    before = (machine / "downloads").read_text()
    result = run(machine, str(machine / "out"))
    assert result.returncode == 0
    assert (machine / "downloads").read_text() == before
    assert "debian-policy: there already (1.0)" in result.stdout


def test_empty_package_lists_point_to_apt_get_update(machine):
    for path in (machine / "lists").iterdir():
        path.unlink()
    result = run(machine, str(machine / "out"))
    assert result.returncode == 1
    assert "apt-get update" in result.stderr
    assert "tuxpaint-stamps-default" in result.stderr


def test_a_machine_without_apt_is_told_what_to_use(machine):
    (machine / "bin/apt-get").unlink()
    for tool in ("sh", "sed"):
        (machine / "bin" / tool).symlink_to(f"/bin/{tool}")
    result = subprocess.run(
        [SCRIPT, str(machine / "out")],
        env={"PATH": str(machine / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "no apt-get here" in result.stderr


def test_a_missing_argument_is_one_sentence(machine):
    result = run(machine)
    assert result.returncode == 1
    assert result.stderr == (
        "get_open_corpus: expected one argument, the directory to fill; got 0\n"
    )
