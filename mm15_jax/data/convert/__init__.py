"""Converters of published formats: one module a format, which serves every data set that has it."""

import importlib

# Each has `PREPARATIONS`, by which the registry finds its data sets.
MODULES = tuple(
    importlib.import_module(f"{__name__}.{name}")
    for name in (
        "ai2d",
        "benchmark_sets",
        "caption_benchmarks",
        "captions",
        "code_pictures",
        "comparisons",
        "detection",
        "docstruct4m",
        "document_tars",
        "donut",
        "ferret_evaluation",
        "ferret_ui_evaluation",
        "flickr30k_entities",
        "image_text_pairs",
        "instructions",
        "interleaved",
        "json_keyed",
        "json_questions",
        "knowledge_benchmarks",
        "llava",
        "multi_image_benchmarks",
        "mvbench",
        "pdf_forms",
        "problem_folders",
        "refcoco",
        "rico",
        "tables",
        "text",
        "text_vqa",
        "video_benchmarks",
        "video_sets",
        "visual_genome",
        "vl_icl",
        "vqa",
    )
)
