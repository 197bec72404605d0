"""What tests of the harnesses' adapters share: an untrained run, local data, their commands."""

import io
import json
import os
import pathlib
import subprocess

import jax
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image as Picture

from mm15_jax.checkpoint import run
from mm15_jax.checkpoint.manager import Checkpoints
from mm15_jax.inputs.tokenizer import load_tokenizer
from mm15_jax.model import mllm
from mm15_jax.train.state import optimizer_of
from tests import tiny

ROOT = pathlib.Path(__file__).parents[2]


def write_run(directory):
    """A run of `tiny.experiment()` at its first parameters."""
    # With tied embeddings such a model repeats its last token.
    config = tiny.experiment(**{"model.decoder.tie_embeddings": False})
    run.open_for_training(directory, config)
    params = mllm.init_params(config.model, jax.random.key(0))
    # Words in its answers, not an end at once.
    table = jax.random.normal(jax.random.key(1), params["decoder"]["output_embedding"].shape)
    eos_id = load_tokenizer(config.inputs.tokenizer).eos_id
    params["decoder"]["output_embedding"] = table.at[eos_id].set(0)
    # Layers that count beside the last token's embedding: answers differ from question to question.
    params["decoder"]["embedding"] = params["decoder"]["embedding"] * 0.02
    checkpoints = Checkpoints(directory / run.CHECKPOINTS, config.checkpoint)
    checkpoints.save(1, params, optimizer_of(config).init(params), {})
    checkpoints.wait()
    checkpoints.close()
    return directory


def python_of(harness):
    """The interpreter of a harness's environment; skips the test where there is none."""
    folder = pathlib.Path(os.environ.get("MM15_HARNESS_ENVS", ROOT / ".venvs"))
    if not (folder / harness / f".complete-{harness}").exists():
        pytest.skip(
            f"no environment with {harness}: make it by scripts/make_harness_env.sh {harness}"
        )
    return folder / harness / "bin" / "python"


def call(python, *arguments, cwd):
    """Runs a harness's command offline; its output, if it went well."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "HF_HOME": str(cwd / "hub"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
    }
    done = subprocess.run(
        [str(python), *map(str, arguments)],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def picture(seed, height=30, width=40):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return Picture.fromarray(pixels)


def write_parquet(path, columns, pictures=()):
    """A data set's file; columns named in `pictures` hold PIL images, as the hub writes them."""
    arrays, features = {}, {}
    for name, values in columns.items():
        if name in pictures:
            cells = []
            for value in values:
                data = io.BytesIO()
                value.save(data, "PNG")
                cells.append({"bytes": data.getvalue(), "path": None})
            kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
            arrays[name] = pyarrow.array(cells, kind)
            features[name] = {"_type": "Image"}
        else:
            arrays[name] = pyarrow.array(values)
            features[name] = _feature(values[0])
    table = pyarrow.table(arrays)
    info = json.dumps({"info": {"features": features}})
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": info}), path)


def _feature(value):
    if isinstance(value, dict):
        return {name: _feature(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return {"feature": _feature(value[0]), "_type": "List"}
    return {"dtype": {str: "string", int: "int64"}[type(value)], "_type": "Value"}
