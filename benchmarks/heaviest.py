"""Where the compiler's estimated cycles of a step are: its heaviest instructions, trips applied.

Usage: mm15 plan EXPERIMENT --topology v5p:4x4x4 --dump step.hlo --nocache
       python benchmarks/heaviest.py step.hlo [--count 40] [--chip v5p]

Beside each instruction stand the microseconds that its FLOPs and its traffic take at least: one
that takes many times the larger of the two is where to look. Attention's kernels have no cycles.
"""

import argparse
import pathlib

from mm15_jax.plan import hlo, work
from mm15_jax.plan.chips import CHIPS


def heaviest(path: pathlib.Path, chip: str) -> list[tuple]:
    """(cycles, runs, cycles of one run, us of FLOPs, us of traffic, name, op), heaviest first."""
    program = hlo.parse(path.read_text())
    rows = []
    for name, runs in program.runs.items():
        computation = program.computations[name]
        for instruction in computation.values():
            if not instruction.cycles:
                continue
            flops = work.flops_of(program, instruction, computation)
            traffic = work.traffic_of(program, instruction, computation)
            rows.append(
                (
                    runs * instruction.cycles,
                    runs,
                    instruction.cycles,
                    1e6 * flops / CHIPS[chip].peak_flops,
                    1e6 * traffic / CHIPS[chip].hbm_bandwidth,
                    instruction.name,
                    instruction.op_name,
                )
            )
    return sorted(rows, reverse=True)


def main() -> None:
    """Prints one line an instruction."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--chip", choices=CHIPS, default="v5p")
    args = parser.parse_args()
    if not args.program.is_file():
        parser.error(f"no file {args.program}: make it with `mm15 plan EXPERIMENT ... --dump FILE`")
    rows = heaviest(args.program, args.chip)
    print(f"{sum(row[0] for row in rows) / 1e6:.0f} million cycles")
    for cycles, runs, once, flops, traffic, name, op in rows[: args.count]:
        print(
            f"{cycles / 1e6:9.1f} M {runs:4} x {once:>12,}  {flops:6.0f} us {traffic:6.0f} us  "
            f"{name[:40]:40}  {op[-80:]}"
        )


if __name__ == "__main__":
    main()
