"""The few-shot benchmarks by which MM1 judges pre-training (arXiv 2403.09611).

Averaged, as its figures are, over captions and questions at each number of shots.
MM1 scores VQAv2 and VizWiz on test-dev, whose answers are not public: validation stands in for it.
"""

from mm15_jax.evaluation.benchmarks.row import Benchmark

SHOTS = (0, 4, 8)
# Name -> data set, split.
_CAPTIONS = {
    "coco": ("coco_karpathy", "test"),
    "nocaps": ("nocaps_few_shot", "validation"),
    "textcaps": ("textcaps", "validation"),
}
_QUESTIONS = {
    "vqav2": "vqa_v2_accuracy",
    "textvqa": "vqa_accuracy",
    "vizwiz": "vqa_accuracy",
    "okvqa": "vqa_v2_accuracy",
}


def _captions(name: str, shots: int) -> Benchmark:
    data, split = _CAPTIONS[name]
    return Benchmark(
        f"{name}_{shots}_shot",
        f"{shots}_shot",
        "few_shot",
        f"CIDEr of captions, {shots} shots",
        metrics=("cider",),
        data=data,
        split=split,
        aggregate="cider",
        prompt="caption",
        shots=shots,
        max_new_tokens=32,
    )


def _questions(name: str, shots: int) -> Benchmark:
    return Benchmark(
        f"{name}_{shots}_shot",
        f"{shots}_shot",
        "few_shot",
        f"VQA accuracy over ten annotators, {shots} shots",
        metrics=(_QUESTIONS[name],),
        data=name,
        split="validation",
        prompt="question",
        shots=shots,
        max_new_tokens=16,
    )


BENCHMARKS: tuple[Benchmark, ...] = tuple(
    row
    for shots in SHOTS
    for row in (
        *(_captions(name, shots) for name in _CAPTIONS),
        *(_questions(name, shots) for name in _QUESTIONS),
    )
)
