"""Hosts of TPU VMs as folders, on which `worker.sh` sets up a stand-in of mm15."""

import os
import pathlib

# `python3 -m pip install --target tools uv` leaves a uv, and that makes an environment with mm15.
_PYTHON = """#!/bin/bash
echo "python3 $*" >> "$HOME/set_up"
mkdir -p tools/bin
cat > tools/bin/uv <<'UV'
#!/bin/bash
echo "uv $*" >> "$HOME/set_up"
mkdir -p venv/bin
cp "$MM15_TEST_PROGRAMS/mm15" venv/bin/mm15
UV
chmod +x tools/bin/uv
"""
# Ends with the first code of a file; where that says "wait" it runs until it is told to stop, or
# until the test has ended: a host that was taken back tells nothing.
_MM15 = """#!/bin/bash
echo "ran $* with A=$A in $(basename "$PWD")"
code=$(head -n 1 "$HOME/codes"); sed -i 1d "$HOME/codes"
if [[ $code == wait ]]; then
  trap 'echo saved; exit 143' TERM
  echo "mm15 3/10 eta 7s"
  until [[ -e "$MM15_TEST_PROGRAMS/ended" || ! -d "$MM15_TEST_PROGRAMS" ]]; do sleep 0.1; done
  exit 1
fi
exit "${code:-0}"
"""
_HOSTNAME = """#!/bin/bash
basename "$HOME"
"""


def programs(folder: pathlib.Path) -> dict[str, str]:
    """Writes the programs that hosts have; the environment of a host's commands."""
    folder.mkdir(exist_ok=True)
    for name, text in (("python3", _PYTHON), ("mm15", _MM15), ("hostname", _HOSTNAME)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "MM15_TEST_PROGRAMS": str(folder)}


def prepare(home: pathlib.Path, codes: list) -> None:
    """Makes a host, whose runs end with these codes, one after the other."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "codes").exists():
        (home / "codes").write_text("".join(f"{code}\n" for code in codes))


def end_all(folder: pathlib.Path) -> None:
    """Ends what still waits, or begins to, on hosts that have their programs in a folder."""
    (folder / "ended").touch()
