"""Steps of a tiny experiment on eight virtual devices; prints what the tests compare, as JSON.

A program of its own, as the number of devices is decided before JAX starts.
Usage: JAX_NUM_CPU_DEVICES=8 python -m tests.parallel.on_eight_devices CASE ...
"""

import dataclasses
import functools
import json
import re
import sys

import jax
import numpy as np

from mm15_jax.config import MeshConfig
from mm15_jax.data.batch import BatchShape, empty_batch
from mm15_jax.model import mllm
from mm15_jax.parallel.feeding import process_rows, to_devices
from mm15_jax.parallel.mesh import make_mesh
from mm15_jax.parallel.rules import RULES, LogicalRules, use_rules
from mm15_jax.train.state import abstract_batch, abstract_params, abstract_state, optimizer_of
from mm15_jax.train.step import TrainState, build_step
from tests import tiny

ROWS, LENGTH, TILES, CATEGORIES = 32, 32, 2, 3
CASES = {
    "one": (MeshConfig(data=1), {}),
    "data8": (MeshConfig(), {}),
    "fsdp8": (MeshConfig(data=1, fsdp=8), {}),
    "fsdp4_tensor2": (MeshConfig(data=1, fsdp=4, tensor=2), {}),
    "slice2_fsdp4": (MeshConfig(slice=2, data=1, fsdp=4), {}),
    "everywhere": (MeshConfig(slice=2, data=2, fsdp=2, strategy="fsdp_everywhere"), {}),
    "accumulation2": (MeshConfig(data=2, fsdp=4), {"train.accumulation": 2}),
    "accumulation4": (MeshConfig(data=8), {"train.accumulation": 4}),
    "chunks": (MeshConfig(data=2, fsdp=2, tensor=2), {"train.loss_chunk": 40}),
    "adafactor": (
        MeshConfig(data=1, fsdp=4, tensor=2),
        {"optimizer.name": "adafactor", "optimizer.b1": 0.0},
    ),
}
_COLLECTIVE = re.compile(
    r"= .*?\b(all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)


def experiment(mesh: MeshConfig, changes: dict):
    return tiny.experiment(
        **{
            "train.batch_rows": ROWS,
            "inputs.sequence_length": LENGTH,
            "inputs.tiles_per_row": TILES,
            "model.decoder.width": 32,
            "model.decoder.kv_heads": 2,
            "optimizer.name": "adamw",
            "mesh": mesh,
            **changes,
        }
    )


@functools.cache
def batches() -> list[dict[str, np.ndarray]]:
    """Two batches of noise: two segments a row, and loss weights that differ from row to row."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(2):
        batch = empty_batch(BatchShape(ROWS, LENGTH, TILES, 4, 48))
        tokens = (ROWS, LENGTH)
        batch["tokens"][:] = random.integers(3, 300, tokens)
        batch["segment_ids"][:] = 1 + (np.arange(LENGTH) >= LENGTH // 2)
        batch["positions"][:] = np.arange(LENGTH) % (LENGTH // 2)
        batch["vision_index"][:, 1:9] = np.arange(8)
        batch["category_ids"][:] = random.integers(0, CATEGORIES, tokens)
        weights = random.random(tokens) * np.arange(ROWS)[:, None] ** 2
        batch["loss_weights"][:] = weights * (random.random(tokens) < 0.4)
        batch["tiles"][:] = random.integers(0, 256, batch["tiles"].shape)
        batch["tile_valid"][:] = True
        found.append(batch)
    return found


def steps(name: str) -> dict:
    """Losses of three steps, how the state lies, and the collectives of the program."""
    mesh_config, changes = CASES[name]
    config = experiment(mesh_config, changes)
    mesh = make_mesh(config.mesh, jax.devices()[:1] if name == "one" else None)
    abstract = abstract_state(config, mesh)
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    init = jax.jit(mllm.init_params, static_argnums=0, out_shardings=shardings.params)
    params = init(config.model, jax.random.key(0))
    opt_state = jax.jit(optimizer_of(config).init, out_shardings=shardings.opt_state)(params)
    state = TrainState(jax.device_put(np.int32(0), shardings.step), params, opt_state)
    program = build_step(config, mesh, CATEGORIES)
    program = program.lower(abstract, abstract_batch(config, mesh)).compile()
    rows = process_rows(mesh, ROWS)
    metrics = []
    for batch in (*batches(), batches()[0]):
        old = state
        state, found = program(state, to_devices(batch, mesh, ROWS, rows))
        metrics.append(jax.tree.map(lambda x: np.asarray(x).tolist(), found))
    lines = [line for line in program.as_text().splitlines() if _COLLECTIVE.search(line)]
    one_device = jax.tree.map(lambda x: x.addressable_shards[0].data.size, state)
    return {
        "metrics": metrics,
        "collectives": len(lines),
        "at_place_vision": sum("place_vision" in line for line in lines),
        "donated": old.params["decoder"]["embedding"].is_deleted(),
        "specs": _specs(state),
        "sizes": {
            "params": [
                sum(x.size for x in jax.tree.leaves(state.params)),
                sum(jax.tree.leaves(one_device.params)),
            ],
            "opt_state": [
                sum(x.size for x in jax.tree.leaves(state.opt_state)),
                sum(jax.tree.leaves(one_device.opt_state)),
            ],
        },
    }


def _specs(state) -> dict[str, str]:
    leaves = jax.tree.leaves_with_path(state)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): str(x.sharding.spec)
        for path, x in leaves
    }


def embedding_collectives(rules: LogicalRules) -> int:
    """Collectives between tiles and tokens and the decoder's input, parameters being whole."""
    config = experiment(MeshConfig(data=2, fsdp=4, strategy="replicated"), {})
    mesh = make_mesh(config.mesh)

    def embedded(params, batch):
        with use_rules(mesh, rules):
            return mllm.embed_batch(params, batch, config.model, np.float32)

    abstract = abstract_params(config.model, mesh, "replicated"), abstract_batch(config, mesh)
    text = jax.jit(embedded).lower(*abstract).compile().as_text()
    assert "gather" in text
    return len(_COLLECTIVE.findall(text))


EMBEDDINGS = {
    "embedding": RULES["replicated"],
    # Tiles that do not follow their rows: what the count is worth.
    "scattered_tiles": dataclasses.replace(RULES["replicated"], tiles=("fsdp", "data")),
}


if __name__ == "__main__":
    print(
        json.dumps(
            {
                name: embedding_collectives(EMBEDDINGS[name]) if name in EMBEDDINGS else steps(name)
                for name in sys.argv[1:]
            }
        )
    )
