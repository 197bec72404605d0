"""Figures 5 to 8: which categories of SFT data, and how much of each (section 3.2)."""

from mm15_jax.config.ablation import Ablation, AblationRow
from mm15_jax.experiments.ablation_base import row, sft
from mm15_jax.experiments.mixtures import ALPHAS, SHARES

_FOUR = ("text_rich", "knowledge", "general", "refer_ground")
_HELD = "equal steps"
_PREFIX = {"nano": "nano_"}  # of the names of a scale's mixtures


def _on(scale: str, mixture: str) -> dict[str, object]:
    return {"data.mixture": _PREFIX.get(scale, "") + mixture}


def fig5(scale: str) -> Ablation:
    """General data, and with one other category each."""
    rows = tuple(
        row("fig5", key, scale, title, sft(scale), _on(scale, f"fig5_{key}"))
        for key, title in (
            ("general", "general"),
            ("text_rich", "+ text-rich"),
            ("math", "+ math"),
            ("science", "+ science"),
            ("code", "+ code"),
            ("refer_ground", "+ refer & ground"),
        )
    )
    title = "Categories of SFT data beside general data"
    return Ablation("fig5", title, scale, "figure 5", rows, _FOUR, "bars", held=_HELD)


def _point(scale: str, figure: str, series: str, x: float) -> AblationRow:
    key = f"{series}_{x:g}"
    changes = _on(scale, f"{figure}_{key}")
    return row(figure, key, scale, f"{series} {x:g}", sft(scale), changes, x=x, series=series)


def fig6(scale: str) -> Ablation:
    """Ratio of a category to general data, on general and text-rich data."""
    rows = tuple(_point(scale, "fig6", name, x) for name, points in ALPHAS.items() for x in points)
    measures = ("mmbase", *_FOUR)
    title = "Ratio of a category to general data"
    return Ablation("fig6", title, scale, "figure 6", rows, measures, "sweep", held=_HELD)


def fig7(scale: str) -> Ablation:
    """Share of text-only and of multi-image data in the whole."""
    rows = tuple(_point(scale, "fig7", name, x) for name in ("text", "multi_image") for x in SHARES)
    measures = ("mmbase", "multi_image", *_FOUR[:3])
    title = "Share of text-only and of multi-image data"
    return Ablation("fig7", title, scale, "figure 7", rows, measures, "sweep", held=_HELD)


def fig8(scale: str) -> Ablation:
    """Base, Single-image and All mixtures."""
    rows = tuple(
        row("fig8", key, scale, title, sft(scale), _on(scale, f"sft_{key}"))
        for key, title in (("base", "Base"), ("single_image", "Single-image"), ("all", "All"))
    )
    measures = (*_FOUR, "multi_image", "average_of_five")
    title = "Mixtures of all SFT data"
    return Ablation("fig8", title, scale, "figure 8", rows, measures, "bars", held=_HELD)


ABLATIONS = {function.__name__: function for function in (fig5, fig6, fig7, fig8)}
