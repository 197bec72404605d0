"""Learning from examples in the prompt: VL-ICL at four shots, table 8 of the paper.

The shots are in the data: VL-ICL says which are shown.
"""

from mm15_jax.evaluation.benchmarks.row import Benchmark

_MEASURES = "answers equal to the truth after four shots"
_TASKS = {
    "clevr": "icl_exact",
    "matching_miniimagenet": "icl_contains",
    "open_miniimagenet": "icl_exact",
    "operator_induction": "icl_number",
    "operator_induction_interleaved": "icl_number",
    "textocr": "icl_exact",
}

BENCHMARKS: tuple[Benchmark, ...] = tuple(
    # 15 new tokens, as VL-ICL's I2T_inference.py.
    Benchmark(
        f"vl_icl_{task}",
        "in_context",
        "paper",
        _MEASURES,
        metrics=(metric,),
        max_new_tokens=15,
    )
    for task, metric in _TASKS.items()
)
