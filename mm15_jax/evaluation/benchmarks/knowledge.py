"""Knowledge: diagrams, science, college subjects and mathematics; table 5 of the paper."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "ai2d",
        "knowledge",
        "paper",
        "options named rightly",
        metrics=("multiple_choice",),
        max_new_tokens=16,
    ),
    Benchmark(
        "scienceqa",
        "knowledge",
        "paper",
        "options named rightly, of questions with a picture",
        metrics=("multiple_choice",),
        split="test_image",
        max_new_tokens=16,
    ),
    Benchmark(
        "mmmu",
        "knowledge",
        "paper",
        "options named rightly, open answers with the truth in them",
        metrics=("mmmu_choice", "mmmu_open"),
        split="validation",
        aggregate="mmmu",
        max_new_tokens=128,
    ),
    Benchmark(
        "mathvista",
        "knowledge",
        "paper",
        "options, numbers and lists equal to the truth; read from the answer by rule",
        metrics=("mathvista",),
        split="testmini",
        max_new_tokens=128,
    ),
)
