"""Answers of one small model on several meshes; prints them as JSON.

A program of its own, as the number of devices is decided before JAX starts.
Usage: JAX_NUM_CPU_DEVICES=8 python -m tests.infer.on_devices CASE ..., also as one of several
processes with the environment of `parallel.startup.join_processes`.
"""

import json
import sys

import jax

from mm15_jax.config import MeshConfig
from mm15_jax.infer.generate import Generator
from mm15_jax.infer.score import Score, continue_prompt, score_prompts
from mm15_jax.model import mllm
from mm15_jax.parallel.feeding import replicate
from mm15_jax.parallel.mesh import make_mesh
from mm15_jax.parallel.startup import start_jax
from mm15_jax.train.state import abstract_params
from tests.infer import small

CASES = {
    "none": None,
    "data8": MeshConfig(),
    "fsdp8": MeshConfig(data=1, fsdp=8),
    "fsdp4_tensor2": MeshConfig(data=1, fsdp=4, tensor=2),
    "data2_fsdp4": MeshConfig(data=2, fsdp=4),
}


def generator_of(case: str) -> Generator:
    model = small.model()
    params = small.params(model)
    mesh = None if CASES[case] is None else make_mesh(CASES[case])
    if mesh is not None:
        abstract = abstract_params(model, mesh, "fsdp")
        params = replicate(params, jax.tree.map(lambda x: x.sharding, abstract))
    return Generator(params, model, small.inputs(), small.LetterTokenizer(), mesh=mesh)


def answers(case: str) -> dict:
    generator = generator_of(case)
    found = generator.generate(small.examples(), max_new_tokens=12, batch_size=4)
    return {
        "answers": found,
        "scores": [score.log_probability for score in scores(generator)],
        "fingerprint": generator.fingerprint(),
        "devices": jax.device_count(),
        "parameters": mllm.count_parameters(generator.model)["total"],
    }


def scores(generator: Generator) -> list[Score]:
    prompts = [
        continue_prompt(generator, example, f"answer {index}", index=index)
        for index, example in enumerate(small.examples())
    ]
    return score_prompts(generator, prompts, batch_size=4)


if __name__ == "__main__":
    start_jax(join=True)
    print(json.dumps({case: answers(case) for case in sys.argv[1:]}))
