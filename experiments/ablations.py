"""Every table and figure of the paper that compares settings, by name and scale."""

from collections.abc import Callable

from mm15_jax.config import ExperimentConfig
from mm15_jax.config.ablation import Ablation
from mm15_jax.experiments import ablate_mixtures, ablate_scaling, ablate_splitting, ablate_stages
from mm15_jax.experiments.ablation_base import SCALES

ABLATIONS: dict[str, Callable[[str], Ablation]] = {
    **ablate_splitting.ABLATIONS,
    **ablate_mixtures.ABLATIONS,
    **ablate_stages.ABLATIONS,
    **ablate_scaling.ABLATIONS,
}

# Where not all scales have it: only dense 1B and 3B have models with experts, and the rows of
# "scaling" and "ui" are the large scales themselves.
_SCALES = {
    "scaling": ("nano", "3b"),
    "moe": ("nano", "1b", "3b"),
    "video": ("nano", "1b", "3b", "7b"),
    "ui": ("nano", "3b"),
}


def scales_of(name: str) -> tuple[str, ...]:
    """The scales that an ablation has."""
    return _SCALES.get(name, SCALES)


def _experiments() -> dict[str, ExperimentConfig]:
    made = (ABLATIONS[name](scale) for name in ABLATIONS for scale in scales_of(name))
    return {key: config for ablation in made for key, config in ablation.experiments.items()}


EXPERIMENTS = {
    name: (lambda config=config: config)
    for name, config in _experiments().items()
    if not name.startswith("mm15_")  # those of the family are there already
}
