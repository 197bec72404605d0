"""Screens of phones: table 12 of the paper."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

_PLATFORMS = ("ios", "android")

BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "screen2words",
        "ui",
        "ui",
        "CIDEr of summaries of screens, five references",
        metrics=("cider",),
        aggregate="cider",
        max_new_tokens=48,
    ),
    Benchmark(
        "widget_captioning",
        "ui",
        "ui",
        "CIDEr of captions of widgets, three references",
        metrics=("cider",),
        aggregate="cider",
        max_new_tokens=32,
    ),
    Benchmark(
        "taperception",
        "ui",
        "ui",
        "F1 of calling elements tappable that people take for it",
        metrics=("f1_yes_no",),
        aggregate="f1",
        max_new_tokens=8,
    ),
    *(
        Benchmark(
            f"ferret_ui_ref_{platform}",
            "ui",
            "ui",
            "texts, icons and kinds of widget named rightly, the mean of the three",
            metrics=("exact_match",),
            aggregate="subset_mean",
            max_new_tokens=32,
        )
        for platform in _PLATFORMS
    ),
    *(
        Benchmark(
            f"ferret_ui_grd_{platform}",
            "ui",
            "ui",
            "boxes of texts, icons and widgets with IoU above 0.5, the mean of the three",
            metrics=("iou",),
            aggregate="subset_mean",
            max_new_tokens=32,
        )
        for platform in _PLATFORMS
    ),
)
