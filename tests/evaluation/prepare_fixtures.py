"""Prepares the fixture of every benchmark: small pictures, the published files' layout.

    python -m tests.evaluation.prepare_fixtures DIR
    mm15 eval --run_dir RUN --data_dir DIR --benchmarks paper,video,ui,few_shot

Scores on them mean nothing; they show that every benchmark can be asked, scored and tabulated.
"""

import sys
import tempfile
from pathlib import Path

from mm15_jax.evaluation import benchmarks
from tests.data.convert.fixtures import all_fixtures, prepare_fixture


def benchmark_data_sets() -> list[str]:
    """Data sets with a fixture that some benchmark asks about."""
    asked = dict.fromkeys(part.data_set for row in benchmarks.TABLE for part in row.data_sets)
    return [name for name in asked if name in all_fixtures()]


def main(out: str) -> None:
    """Prepares what is not there yet."""
    with tempfile.TemporaryDirectory() as sources:
        for name in benchmark_data_sets():
            if not (Path(out) / name).exists():
                prepare_fixture(name, Path(sources) / name, Path(out))
                print(name, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.evaluation.prepare_fixtures DIR")
    main(sys.argv[1])
