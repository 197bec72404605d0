"""Which scorers that nobody here wrote ours are held against (docs/metrics.md)."""

from __future__ import annotations

from mm15_jax.evaluation.benchmarks.row import Benchmark

LMMS_EVAL, LM_EVAL, COCO = "lmms-eval 0.7.3", "lm-eval 0.4.13", "pycocoevalcap 1.2"

# Name of the comparison (of its goldens) -> the scorer: the project, then where in it.
SCORERS = {
    "anls": f"{LMMS_EVAL}: anls",
    "exact_match": f"{LMMS_EVAL}: realworldqa",
    "multiple_choice": f"{LMMS_EVAL}: mcq_extract",
    "relaxed_pix2struct": f"{LMMS_EVAL}: chartqa",
    "relaxed_mistral": f"{LM_EVAL}: chartqa",
    "normalise_vqa": f"{LMMS_EVAL}: vqa_eval_metric",
    "vqa": f"{LMMS_EVAL}: textvqa, vqav2",
    "iou": f"{LMMS_EVAL}: refcoco",
    "point": f"{LMMS_EVAL}: screenspot",
    "pope": f"{LMMS_EVAL}: pope",
    "pope_f1": f"{LMMS_EVAL}: pope",
    "mme_answer": f"{LMMS_EVAL}: mme",
    "mme": f"{LMMS_EVAL}: mme",
    "mmmu_choice": f"{LMMS_EVAL}: mmmu",
    "mmmu_open": f"{LMMS_EVAL}: mmmu",
    "mmmu": f"{LMMS_EVAL}: mmmu",
    "ocrbench": f"{LMMS_EVAL}: ocrbench",
    "ocrbench_total": f"{LMMS_EVAL}: ocrbench",
    "mathvista_compare": f"{LMMS_EVAL}: mathvista",
    "mathvista": f"{LMMS_EVAL}: mathvista",
    "denotation": "WTQ 1.0.2: evaluator",
    "lvis_name": "Ferret: eval_lvis",
    "recall": "Ferret: eval_flickr_entities",
    "icl": "VL-ICL: evals/eval",
    "icl_contains": "VL-ICL: evals/eval",
    "ptb_tokens": f"{COCO}: ptbtokenizer",
    "cider_of_words": f"{COCO}: cider",
    "cider": f"{COCO}: cider, ptbtokenizer",
}

# Name of a metric or an aggregate -> the comparisons that hold it.
_METRICS = {
    "exact_match": ("exact_match",),
    "anls": ("anls",),
    "relaxed_accuracy": ("relaxed_pix2struct",),
    "relaxed_accuracy_mistral": ("relaxed_mistral",),
    "vqa_accuracy": ("vqa", "normalise_vqa"),
    "vqa_v2_accuracy": ("vqa", "normalise_vqa"),
    "multiple_choice": ("multiple_choice",),
    "mmmu_choice": ("mmmu_choice",),
    "mmmu_open": ("mmmu_open",),
    "mathvista": ("mathvista", "mathvista_compare"),
    "yes_no": ("mme_answer", "pope"),
    "f1_yes_no": ("mme_answer", "pope"),
    "denotation": ("denotation",),
    "ocrbench": ("ocrbench",),
    "ocrbench_hme": ("ocrbench",),
    "lvis_name": ("lvis_name",),
    "iou": ("iou",),
    "recall_iou": ("recall",),
    "point_in_box": ("point",),
    "icl_exact": ("icl",),
    "icl_number": ("icl",),
    "icl_contains": ("icl", "icl_contains"),
}
_AGGREGATES = {
    "mme": ("mme",),
    "pope_f1": ("pope_f1",),
    "f1": ("pope_f1",),
    "mmmu": ("mmmu",),
    "ocrbench": ("ocrbench_total",),
    "cider": ("cider", "cider_of_words"),
}


def comparisons_of_metric(metric: str) -> tuple[str, ...]:
    """Names of `SCORERS` that a metric is held against; none for `contains` and judges."""
    return _METRICS.get(metric, ())


def comparisons_of_aggregate(aggregate: str) -> tuple[str, ...]:
    """Names of `SCORERS` that an aggregate is held against; a mean needs none."""
    return _AGGREGATES.get(aggregate, ())


def oracles_of(benchmark: Benchmark) -> tuple[str, ...]:
    """The scorers that a benchmark's metrics and aggregate are held against; none for a judge."""
    found = [name for metric in benchmark.metrics for name in comparisons_of_metric(metric)]
    found += comparisons_of_aggregate(benchmark.aggregate)
    return tuple(dict.fromkeys(SCORERS[name] for name in found))
