"""In-context learning, VL-ICL with four shots: table 8 of the paper."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = ()
