"""Golden texts: resolved configs, initialisation, weight decay and trainability, launches.

`make goldens` renews them; a change of an experiment shows as a diff of text files.
"""

import dataclasses
import pathlib

from mm15_jax import config
from mm15_jax.experiments import ablation_base, ablations
from mm15_jax.model import mllm
from mm15_jax.train import optimizer
from tests.launch import rendered

FOLDER = pathlib.Path(__file__).parent


def texts() -> dict[str, str]:
    """File name to what it should hold."""
    found = rendered.texts()
    described = {}
    for name in config.experiments():
        if name in ablations.EXPERIMENTS:
            continue
        experiment = config.load(name)
        found[f"configs/{name}.txt"] = config.to_text(experiment) + "\n"
        key = (experiment.model, experiment.optimizer.name, experiment.optimizer.frozen)
        if key not in described:
            described[key] = _parameters(experiment)
        found[f"parameters/{name}.txt"] = described[key]
    for scale in ablation_base.SCALES:
        found[f"ablations/{scale}.txt"] = _rows(scale)
    return found


def _rows(scale: str) -> str:
    """Rows of ablations at a scale, each by what differs from the family's SFT."""
    # Meshes are the family's own: other resolutions and budgets want others.
    sft = dataclasses.replace(config.load(f"mm15_{scale}_sft"), meshes=())
    family = set(config.to_text(sft).splitlines())
    names = [
        name
        for key, make in ablations.ABLATIONS.items()
        if scale in ablations.scales_of(key)
        for name in make(scale).experiments
        if name in ablations.EXPERIMENTS
    ]
    text = ""
    for name in names:
        lines = config.to_text(config.load(name)).splitlines()
        changed = [line for line in lines if line not in family and not line.startswith("name =")]
        text += "".join(f"{line}\n" for line in [f"# {name}", *changed, ""])
    return text


def _parameters(experiment: config.ExperimentConfig) -> str:
    decisions = dict(optimizer.describe(experiment.optimizer, experiment.model))
    lines = []
    for path, shape, axes, initializer in mllm.describe_parameters(experiment.model):
        sizes = " ".join(f"{axis}={size}" for axis, size in zip(axes, shape, strict=True))
        lines.append(f"{path}: [{sizes}] {initializer}; {decisions[path]}\n")
    return "".join(lines)


def renew() -> None:
    """Writes every golden text, and removes those of experiments that are gone."""
    wanted = texts()
    for name, text in wanted.items():
        path = FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for path in FOLDER.glob("*/*.txt"):
        if str(path.relative_to(FOLDER)) not in wanted:
            path.unlink()


if __name__ == "__main__":
    renew()
