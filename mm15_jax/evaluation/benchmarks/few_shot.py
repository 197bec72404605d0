"""The few-shot benchmarks by which MM1 judges pre-training (arXiv 2403.09611).

MM1 scores VQAv2 and VizWiz on test-dev, whose answers are not public: validation stands in for it.
"""

from mm15_jax.evaluation.benchmarks.row import Benchmark

SHOTS = (0, 4, 8)
_CAPTIONS = {"coco": "test", "nocaps": "validation", "textcaps": "validation"}
_QUESTIONS = ("vqav2", "textvqa", "vizwiz", "okvqa")


def _captions(name: str, split: str, shots: int) -> Benchmark:
    return Benchmark(
        f"{name}_{shots}_shot",
        "captions",
        "few_shot",
        f"CIDEr of captions, {shots} shots",
        data=f"mm1_{name}",
        split=split,
        aggregate="cider",
        shots=shots,
        max_new_tokens=32,
    )


def _questions(name: str, shots: int) -> Benchmark:
    return Benchmark(
        f"{name}_{shots}_shot",
        "general",
        "few_shot",
        f"VQA accuracy over ten annotators, {shots} shots",
        data=f"mm1_{name}",
        split="validation",
        shots=shots,
        max_new_tokens=16,
    )


BENCHMARKS: tuple[Benchmark, ...] = tuple(
    row
    for shots in SHOTS
    for row in (
        *(_captions(name, split, shots) for name, split in _CAPTIONS.items()),
        *(_questions(name, shots) for name in _QUESTIONS),
    )
)
