"""The miniature's benchmarks, and those of the open corpus."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

# What a point of the score means, and the metrics of the examples.
_EXACT = "answers equal to the truth", ("exact_match",)
_ANLS = "ANLS, similarity of the text to the truth", ("anls",)
_RELAXED = "relaxed accuracy, numbers within 5%", ("relaxed_accuracy",)
_OPTIONS = "options named rightly", ("multiple_choice",)
_EXACT_OR_OPTION = "answers equal to the truth, or the option", ("exact_match", "multiple_choice")
_BOX = "boxes with IoU above 0.5", ("iou",)
_BOX_OR_NAME = "boxes with IoU above 0.5, or the name", ("iou", "exact_match")
_NAMED = "texts, icons and kinds of widget named rightly, the mean of the three", ("exact_match",)
_FOUND = "boxes of texts, icons and widgets with IoU above 0.5, the mean of the three", ("iou",)

BENCHMARKS = (
    Benchmark("mini_scene_qa", "general", "mini", *_EXACT),
    Benchmark("mini_word_qa", "text_rich", "mini", *_EXACT),
    Benchmark("mini_document_qa", "text_rich", "mini", *_ANLS),
    Benchmark("mini_banner_qa", "text_rich", "mini", *_ANLS),
    Benchmark("mini_poster_qa", "text_rich", "mini", *_ANLS),
    Benchmark("mini_chart_qa", "text_rich", "mini", *_RELAXED),
    Benchmark("mini_table_qa", "text_rich", "mini", *_EXACT),
    Benchmark("mini_arithmetic_qa", "knowledge", "mini", *_EXACT),
    Benchmark("mini_diagram_qa", "knowledge", "mini", *_OPTIONS),
    Benchmark("mini_grounding", "refer_ground", "mini", *_BOX),
    Benchmark("mini_referring", "refer_ground", "mini", *_EXACT),
    Benchmark("mini_compare", "multi_image", "mini", *_EXACT),
    *(
        Benchmark(f"mini_video_{kind}", "video", "mini_video", *_EXACT)
        for kind in ("direction", "order", "count", "collide")
    ),
    *(
        Benchmark(f"mini_ui_{task}_{platform}", "ui", "mini_ui", *measures, aggregate="subset_mean")
        for task, measures in (("ref", _NAMED), ("grd", _FOUND))
        for platform in ("ios", "android")
    ),
    Benchmark("mini_ui_parts", "ui", "mini_ui", *_BOX_OR_NAME, averaged=False),
    Benchmark("mini_ui_describe", "ui", "mini_ui", *_EXACT),
    Benchmark("mini_ui_talk", "ui", "mini_ui", "last answers equal to the truth", _EXACT[1]),
    Benchmark("open_stamps", "general", "open", *_EXACT_OR_OPTION),
    Benchmark("open_lines", "text_rich", "open", *_EXACT),
    Benchmark("open_paragraphs", "text_rich", "open", *_ANLS, averaged=False),
    Benchmark("open_pages", "text_rich", "open", *_ANLS, averaged=False),
    Benchmark("open_maps", "refer_ground", "open", *_BOX_OR_NAME),
    Benchmark("open_regions", "refer_ground", "open", *_BOX_OR_NAME, averaged=False),
    Benchmark("open_flags", "knowledge", "open", *_OPTIONS),
    Benchmark("open_capitals", "knowledge", "open", *_EXACT_OR_OPTION, averaged=False),
    Benchmark("open_screens", "ui", "open", *_ANLS, averaged=False),
)
