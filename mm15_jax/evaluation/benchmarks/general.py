"""General question answering: table 5 of the paper."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "mme",
        "general",
        "paper",
        "perception and cognition, of 2800 points: pictures with one or both questions right",
        metrics=("yes_no",),
        aggregate="mme",
        max_new_tokens=16,
    ),
    Benchmark(
        "seed_img",
        "general",
        "paper",
        "options named rightly, of pictures",
        metrics=("multiple_choice",),
        max_new_tokens=16,
    ),
    Benchmark(
        "pope",
        "general",
        "paper",
        "F1 of answering yes to objects that are there, mean of three subsets",
        metrics=("yes_no",),
        aggregate="pope_f1",
        max_new_tokens=16,
    ),
    Benchmark(
        "llava_w",
        "general",
        "paper",
        "a judge's points for the answer, relative to its points for GPT-4's",
        metrics=("judge",),
        aggregate="llava_w",
        judge="llava_w",
        max_new_tokens=1024,
    ),
    Benchmark(
        "mm_vet",
        "general",
        "paper",
        "a judge's points for what the answer has of the truth",
        metrics=("judge",),
        aggregate="mm_vet",
        judge="mm_vet",
        max_new_tokens=1024,
    ),
    Benchmark(
        "realworldqa",
        "general",
        "paper",
        "options named rightly, short answers equal to the truth",
        metrics=("multiple_choice", "exact_match"),
        max_new_tokens=16,
    ),
)
