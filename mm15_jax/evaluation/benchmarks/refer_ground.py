"""Referring and grounding: table 7 of the paper."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = ()
