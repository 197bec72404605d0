"""Video: tables 10 and 11 of the paper."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

_OPTIONS = "options named rightly"
_LONG = 1024  # tokens, as their publishers allow
_ACCEPTED = "answers that the judge gives 3 of 5 or more"
# Table 11: clips of the training data's kind, then others.
_LLAVA_HOUND = ("activitynet", "vidal", "webvid", "msvd", "msrvtt", "tgif", "ssv2")


def _choices(name: str, split: str = "test") -> Benchmark:
    return Benchmark(
        name,
        "video",
        "video",
        _OPTIONS,
        metrics=("multiple_choice",),
        split=split,
        max_new_tokens=16,
    )


BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "activitynet_qa",
        "video",
        "video",
        "answers that the judge calls right",
        metrics=("judge",),
        aggregate="activitynet_qa",
        judge="activitynet_qa",
        max_new_tokens=64,
    ),
    Benchmark(
        "vcgbench",
        "video",
        "video",
        "a twentieth of the judge's mean score of 5, over five aspects",
        metrics=("judge",),
        aggregate="vcgbench",
        judge="vcgbench",
        max_new_tokens=_LONG,
    ),
    _choices("videomme"),
    _choices("egoschema"),
    _choices("nextqa", "validation"),
    _choices("intentqa"),
    # The paper gives them in a table of their own, and no mean over both.
    *(
        Benchmark(
            f"llava_hound_{name}",
            "video",
            "video",
            _ACCEPTED,
            metrics=("judge",),
            aggregate="llava_hound",
            judge="llava_hound",
            max_new_tokens=_LONG,
            averaged=False,
        )
        for name in _LLAVA_HOUND
    ),
)
