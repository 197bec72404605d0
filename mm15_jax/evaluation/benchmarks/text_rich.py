"""Pictures with text: table 6 of the paper.

The paper has DocVQA's and InfoVQA's test splits, whose answers only their server knows: here it is
validation, and figures are not to be compared to the paper's to the point.
"""

from mm15_jax.evaluation.benchmarks.row import Benchmark

_ANLS = "ANLS, similarity of the text to the truth; validation, for the test has no public answers"

BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "wtq",
        "text_rich",
        "paper",
        "answers that denote the truth's values",
        metrics=("denotation",),
        max_new_tokens=128,
    ),
    Benchmark(
        "tabfact",
        "text_rich",
        "paper",
        "statements on tables told true from false",
        metrics=("exact_match",),
        max_new_tokens=16,
    ),
    Benchmark(
        "ocrbench",
        "text_rich",
        "paper",
        "questions whose true answer occurs in the model's",
        metrics=("ocrbench", "ocrbench_hme"),
        aggregate="ocrbench",
        max_new_tokens=128,
    ),
    Benchmark(
        "chartqa",
        "text_rich",
        "paper",
        "relaxed accuracy, numbers within 5%",
        metrics=("relaxed_accuracy",),
        max_new_tokens=32,
    ),
    Benchmark(
        "textvqa",
        "text_rich",
        "paper",
        "agreement with ten people, three make it whole",
        metrics=("vqa_accuracy",),
        split="validation",
        max_new_tokens=32,
    ),
    Benchmark(
        "docvqa",
        "text_rich",
        "paper",
        _ANLS,
        metrics=("anls",),
        split="validation",
        max_new_tokens=64,
    ),
    Benchmark(
        "infovqa",
        "text_rich",
        "paper",
        _ANLS,
        metrics=("anls",),
        split="validation",
        max_new_tokens=64,
    ),
)
