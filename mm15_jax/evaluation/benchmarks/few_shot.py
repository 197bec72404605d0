"""The few-shot benchmarks by which MM1 judges pre-training (arXiv 2403.09611)."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = ()
