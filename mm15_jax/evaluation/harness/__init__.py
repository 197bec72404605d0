"""A run as a model of public evaluation harnesses; each module imports its own harness."""

from typing import Any


def lmms_eval_manifest() -> Any:
    """What lmms-eval finds by its entry points: where the model "mm15" is."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("mm15", chat_class_path=f"{__name__}.lmms_eval.MM15")
