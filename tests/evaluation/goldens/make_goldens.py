"""Writes metrics.json: scores that other people's evaluation code gives to many cases.

sh tests/evaluation/oracles/setup.sh DIR
python -m tests.evaluation.goldens.make_goldens DIR
"""

import json
import pathlib
import sys

from tests.evaluation.oracles.asking import ask
from tests.evaluation.oracles.cases import make_cases

SEED = 20250101


def main(directory: str) -> None:
    cases = make_cases(SEED)
    found = ask(directory, cases)
    lines = [f' "versions": {json.dumps(found["versions"])}', f' "seed": {SEED}']
    for name, answers in found["answers"].items():
        if answers.count(None) == len(answers):
            raise SystemExit(f"{name} has no answer: see setup.sh on what is missing")
        rows = ",\n  ".join(
            json.dumps([case, answer], ensure_ascii=False, separators=(",", ":"))
            for case, answer in zip(cases[name], answers, strict=True)
        )
        lines.append(f' "{name}": [\n  {rows}\n ]')
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    pathlib.Path(__file__).with_name("metrics.json").write_text(text)
    print({name: len(answers) for name, answers in found["answers"].items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
