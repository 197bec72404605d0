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
        max_new_tokens=128,
        oracle="WikiTableQuestions' evaluator 1.0.2",
    ),
    Benchmark(
        "tabfact",
        "text_rich",
        "paper",
        "statements on tables told true from false",
        max_new_tokens=16,
    ),
    Benchmark(
        "ocrbench",
        "text_rich",
        "paper",
        "questions whose true answer occurs in the model's",
        aggregate="ocrbench",
        max_new_tokens=128,
        oracle="lmms-eval 0.7.3: ocrbench",
    ),
    Benchmark(
        "chartqa",
        "text_rich",
        "paper",
        "relaxed accuracy, numbers within 5%",
        max_new_tokens=32,
        oracle="lmms-eval 0.7.3: chartqa",
    ),
    Benchmark(
        "textvqa",
        "text_rich",
        "paper",
        "agreement with ten people, three make it whole",
        split="validation",
        max_new_tokens=32,
        oracle="lmms-eval 0.7.3: textvqa",
    ),
    Benchmark(
        "docvqa",
        "text_rich",
        "paper",
        _ANLS,
        split="validation",
        max_new_tokens=64,
        oracle="lmms-eval 0.7.3: anls",
    ),
    Benchmark(
        "infovqa",
        "text_rich",
        "paper",
        _ANLS,
        split="validation",
        max_new_tokens=64,
        oracle="lmms-eval 0.7.3: anls",
    ),
)
