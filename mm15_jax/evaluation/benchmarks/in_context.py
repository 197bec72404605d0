"""Learning from examples in the prompt: VL-ICL at four shots, table 8 of the paper.

The shots are in the data: VL-ICL says which are shown.
"""

from mm15_jax.evaluation.benchmarks.row import Benchmark

_MEASURES = "answers equal to the truth after four shots"
_TASKS = (
    "clevr",
    "matching_miniimagenet",
    "open_miniimagenet",
    "operator_induction",
    "operator_induction_interleaved",
    "textocr",
)

BENCHMARKS: tuple[Benchmark, ...] = tuple(
    # 15 new tokens, as VL-ICL's I2T_inference.py.
    Benchmark(
        f"vl_icl_{task}",
        "in_context",
        "paper",
        _MEASURES,
        max_new_tokens=15,
        oracle="VL-ICL: evals/eval.py",
    )
    for task in _TASKS
)
