"""Every command line of gcloud that is sent or documented, read by gcloud itself."""

import json
import shlex
import shutil
import subprocess

import pytest

from tests.docs.test_docs import ROOT, blocks
from tests.goldens.renew import FOLDER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not installed"),
]
PAGES = ("cloud", "pods")


def sent() -> set[str]:
    texts = (path.read_text() for path in (FOLDER / "launch").glob("tpu_vm*.txt"))
    return {line for text in texts for line in text.splitlines() if line.startswith("gcloud ")}


def documented() -> set[str]:
    texts = [(ROOT / "docs" / f"{page}.md").read_text() for page in PAGES]
    bodies = [body.replace("\\\n", " ") for text in texts for body in blocks(text, ("sh",))]
    lines = [line for body in bodies for line in body.splitlines()]
    return {shlex.join(shlex.split(line)) for line in lines if line.startswith("gcloud ")}


def quoted(line: str) -> str:
    """The line with quotes about the values of flags, as its reader wants them."""
    words = []
    for word in shlex.split(line):
        key, equals, value = word.partition("=")
        words.append(f"{key}={shlex.quote(value)}" if equals else shlex.quote(word))
    return " ".join(words)


def refused(lines: set[str], folder, environment) -> dict[str, str]:
    """What gcloud would not take, with what it says."""
    path = folder / "commands.json"
    path.write_text(json.dumps([{"command_string": quoted(line)} for line in sorted(lines)]))
    words = ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={path}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert len(found) == len(lines)
    return {row["command_string"]: row["error_message"] for row in found if not row["success"]}


@pytest.fixture
def environment(tmp_path):
    """Without the user's configuration and credentials."""
    return {
        "PATH": "/usr/bin:/bin:/usr/local/bin",
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
    }


def test_gcloud_takes_what_is_sent_and_what_the_pages_say(tmp_path, environment):
    lines = sent() | documented()
    assert len(lines) > 25
    assert refused(lines, tmp_path, environment) == {}


def test_a_mistyped_flag_would_be_found(tmp_path, environment):
    line = next(line for line in sorted(sent()) if "--spot" in line)
    assert refused({line.replace("--spot", "--spott")}, tmp_path, environment)
