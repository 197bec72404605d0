"""Golden texts: resolved configs, initialisation, weight decay and trainability, launches.

`make goldens` renews them; a change of an experiment shows as a diff of text files.
"""

import pathlib

from mm15_jax import config
from mm15_jax.model import mllm
from mm15_jax.train import optimizer
from tests.launch import rendered

FOLDER = pathlib.Path(__file__).parent


def texts() -> dict[str, str]:
    """File name to what it should hold."""
    found = rendered.texts()
    described = {}
    for name in config.experiments():
        experiment = config.load(name)
        found[f"configs/{name}.txt"] = config.to_text(experiment) + "\n"
        key = (experiment.model, experiment.optimizer.name, experiment.optimizer.frozen)
        if key not in described:
            described[key] = _parameters(experiment)
        found[f"parameters/{name}.txt"] = described[key]
    return found


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
