"""Generation beside transformers' on the same weights: new tokens a second on this CPU.

Usage: benchmarks/transformers.sh FOLDER
       python benchmarks/generation.py FOLDER/bin/python [--sizes small,medium] [--rounds 5]

A decoder of ours is transformers' Qwen3 (RMSNorm, SwiGLU, grouped queries, QK-norm). Both get the
same random weights in float32 and the same prompts, choose the likeliest token, and must write the
same tokens. They run in turn, each with all cores, ours by the generator that `mm15 eval` uses,
theirs by `model.generate` with its defaults; a round is one call, prefill included, and the best
round of each counts. CPU seconds are measured too: they tell less of what else the machine did.
Rows go to benchmarks/results.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np

from mm15_jax.config.schema import (
    ConnectorConfig,
    DecoderConfig,
    EncoderConfig,
    InputsConfig,
    ModelConfig,
)
from mm15_jax.infer.generate import Generator
from mm15_jax.inputs.example import Example, Text
from mm15_jax.inputs.tokenizer import Tokenizer
from mm15_jax.model import mllm

HERE = pathlib.Path(__file__).parent
PROMPT, NEW = 128, 128  # tokens
BATCHES = (1, 8)
SIZES = {
    "small": DecoderConfig(
        vocab_size=4096, width=256, layers=4, ffn_width=1024, heads=4, kv_heads=2, head_dim=64
    ),
    "medium": DecoderConfig(
        vocab_size=16384, width=768, layers=12, ffn_width=2048, heads=12, kv_heads=4, head_dim=64
    ),
}


class Numbers(Tokenizer):
    """Texts are numbers of tokens: the same ids go to both."""

    pad_id, eos_id, image_id = 0, 1, 2
    role_ids = {"document": (), "user": (), "assistant": (), "system": ()}  # noqa: RUF012
    fingerprint = "numbers"

    def __init__(self, vocab_size: int):
        self.vocab_size = vocab_size

    def encode(self, text: str) -> list[int]:
        """The numbers that a text is of."""
        return [int(word) for word in text.split()]

    def decode(self, ids) -> str:
        """A text of numbers."""
        return " ".join(map(str, ids))


def weights_of(decoder: DecoderConfig) -> dict:
    """Random parameters whose answers vary and never end."""
    model = model_of(decoder)
    params = mllm.init_params(model, jax.random.key(0))
    rng = np.random.default_rng(0)

    def draw(path, x):
        name = jax.tree_util.keystr(path)
        if "scale" in name:
            return np.ones(x.shape, np.float32)
        deviation = 0.05 if "embedding" in name else 1.5 / np.sqrt(x.shape[-2])
        return rng.normal(0, deviation, x.shape).astype(np.float32)

    params["decoder"] = jax.tree_util.tree_map_with_path(draw, params["decoder"])
    params["decoder"]["embedding"][Numbers.eos_id] = 0
    return params


def model_of(decoder: DecoderConfig) -> ModelConfig:
    """The decoder behind an encoder that is never run."""
    encoder = EncoderConfig(resolution=16, patch_size=8, width=16, layers=1, heads=2, mlp_width=16)
    return ModelConfig(encoder, ConnectorConfig(kind="linear", tokens=4), decoder)


class Ours:
    """The generator of `mm15 eval`, on text."""

    def __init__(self, decoder: DecoderConfig, params: dict):
        inputs = InputsConfig(sequence_length=PROMPT + NEW)
        tokenizer = Numbers(decoder.vocab_size)
        self._generator = Generator(params, model_of(decoder), inputs, tokenizer)

    def run(self, prompts: np.ndarray) -> dict:
        """Tokens int[B, NEW] after prompts int[B, PROMPT], and what they took."""
        examples = [
            Example((Text(" ".join(map(str, row)), role="document"),), "", str(i), "", {})
            for i, row in enumerate(prompts)
        ]
        began, cpu = time.perf_counter(), time.process_time()
        answers = self._generator.generate(examples, max_new_tokens=NEW, batch_size=len(prompts))
        spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
        return spent | {"tokens": [[int(word) for word in answer.split()] for answer in answers]}


class Theirs:
    """generation_peer.py in the environment of transformers."""

    def __init__(self, python: str, folder: str):
        command = [python, str(HERE / "generation_peer.py"), folder, str(NEW)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin and self._process.stdout  # both are piped
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self.versions = json.loads(self._answers.readline())

    def run(self, prompts: np.ndarray) -> dict:
        """As of `Ours`."""
        self._questions.write(json.dumps(prompts.tolist()) + "\n")
        self._questions.flush()
        return json.loads(self._answers.readline())

    def close(self) -> None:
        """Ends the process."""
        self._questions.close()
        self._process.wait()


def compare(size: str, python: str, rounds: int) -> list[dict]:
    """A row a batch size."""
    decoder, rows = SIZES[size], []
    params = weights_of(decoder)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        flat = {
            "/".join(str(key.key) for key in path): np.asarray(x)
            for path, x in jax.tree_util.tree_leaves_with_path(params["decoder"])
        }
        np.savez(f"{folder}/weights.npz", allow_pickle=False, **flat)
        pathlib.Path(folder, "sizes.json").write_text(json.dumps(dataclasses.asdict(decoder)))
        with contextlib.closing(Theirs(python, folder)) as theirs:
            ours = Ours(decoder, params)
            for batch in BATCHES:
                prompts = rng.integers(8, decoder.vocab_size, (batch, PROMPT))
                found = {"ours": [ours.run(prompts)], "theirs": [theirs.run(prompts)]}  # warm-up
                assert found["ours"][0]["tokens"] == found["theirs"][0]["tokens"], size
                for _ in range(rounds):
                    found["ours"].append(ours.run(prompts))
                    found["theirs"].append(theirs.run(prompts))
                rows.append(_row(size, batch, found, theirs.versions))
                print(json.dumps(rows[-1]), flush=True)
    return rows


def _row(size: str, batch: int, found: dict, versions: dict) -> dict:
    best = {
        who: {key: min(run[key] for run in runs[1:]) for key in ("seconds", "cpu_seconds")}
        for who, runs in found.items()
    }
    return {
        "what": "generation",
        "size": size,
        "batch": batch,
        "date": datetime.date.today().isoformat(),
        "tokens_per_second": {w: round(batch * NEW / b["seconds"], 1) for w, b in best.items()},
        "tokens_per_cpu_second": {
            w: round(batch * NEW / b["cpu_seconds"], 1) for w, b in best.items()
        },
        "ratio": round(best["theirs"]["seconds"] / best["ours"]["seconds"], 2),
        "cpu_ratio": round(best["theirs"]["cpu_seconds"] / best["ours"]["cpu_seconds"], 2),
        "same_tokens": True,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "versions": {"jax": jax.__version__, **versions},
    }


def main() -> None:
    """Measures sizes and adds rows to results.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("python", help="of an environment with transformers")
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    unknown = set(arguments.sizes.split(",")) - set(SIZES)
    if unknown:
        sys.exit(f"no size {', '.join(unknown)}; expected some of {', '.join(SIZES)}")
    with (HERE / "results.jsonl").open("a") as file:
        for size in arguments.sizes.split(","):
            for row in compare(size, arguments.python, arguments.rounds):
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
