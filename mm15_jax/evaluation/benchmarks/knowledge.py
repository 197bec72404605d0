"""Knowledge: diagrams, science, college subjects and mathematics; table 5 of the paper."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "ai2d",
        "knowledge",
        "paper",
        "options named rightly",
        max_new_tokens=16,
    ),
    Benchmark(
        "scienceqa",
        "knowledge",
        "paper",
        "options named rightly, of questions with a picture",
        split="test_image",
        max_new_tokens=16,
    ),
    Benchmark(
        "mmmu",
        "knowledge",
        "paper",
        "options named rightly, open answers with the truth in them",
        split="validation",
        aggregate="mmmu",
        max_new_tokens=128,
        oracle="lmms-eval 0.7.3: mmmu",
    ),
    Benchmark(
        "mathvista",
        "knowledge",
        "paper",
        "options, numbers and lists equal to the truth; read from the answer by rule",
        split="testmini",
        max_new_tokens=128,
        oracle="lmms-eval 0.7.3: mathvista",
    ),
)
