"""Memory and cycles of the image encoder, forward and backward, compiled for a TPU topology.

    python benchmarks/attention_encoder.py --remat context --topology v5p:2x2x1

It needs no TPU, but libtpu (`pip install mm15_jax[tpu]`), about 70 CPU seconds and 2 GB. Cycles are
XLA's own estimate for one layer and leave the attention kernel itself out; memory is exact.
"""

import argparse
import collections
import json
import os
import re
import time

os.environ.update(
    TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1", JAX_PLATFORMS="cpu"
)  # before JAX is imported

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from mm15_jax.config import DecoderConfig, EncoderConfig, MeshConfig, ModelConfig
from mm15_jax.config.schema import REMAT_POLICIES
from mm15_jax.model import mllm
from mm15_jax.model.vit import Encoder
from mm15_jax.parallel.mesh import make_mesh
from mm15_jax.parallel.rules import RULES, use_rules


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topology", default="v5p:2x2x1")
    parser.add_argument("--tensor", type=int, default=1, help="devices that share a tile")
    parser.add_argument("--tiles", type=int, default=20, help="tiles a device")
    parser.add_argument("--resolution", type=int, default=672)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--no_class_token", action="store_true")
    parser.add_argument("--remat", default="full", choices=REMAT_POLICIES)
    parser.add_argument("--dump", help="file for the compiled program's text")
    return parser.parse_args()


def lower(args: argparse.Namespace) -> jax.stages.Lowered:
    """The gradient of the encoder's parameters, divided over the topology's devices."""
    devices = topologies.get_topology_desc(platform="tpu", topology_name=args.topology).devices
    mesh = make_mesh(MeshConfig(fsdp=len(devices) // args.tensor, tensor=args.tensor), devices)
    rules = RULES["fsdp"]
    encoder = EncoderConfig(
        resolution=args.resolution,
        layers=args.layers,
        remat=args.remat,
        class_token=not args.no_class_token,
    )
    model = ModelConfig(encoder=encoder, decoder=DecoderConfig(layers=0))
    shapes = jax.eval_shape(lambda: mllm.init_params(model, jax.random.key(0)))["encoder"]
    shardings = jax.tree.map(
        lambda x, axes: rules.parameter(mesh, axes, x.shape),
        shapes,
        mllm.logical_axes(model)["encoder"],
    )
    params = jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        shapes,
        shardings,
    )
    r = args.resolution
    tiles = jax.ShapeDtypeStruct(
        (args.tiles * len(devices) // args.tensor, r, r, 3),
        jnp.uint8,
        sharding=rules.sharding(mesh, ("tiles", None, None, None)),
    )

    def loss(params, tiles):
        with use_rules(mesh, rules):
            features = Encoder(encoder, jnp.bfloat16).apply({"params": params}, tiles)
        return jnp.mean(features.astype(jnp.float32) ** 2)

    step = jax.jit(jax.value_and_grad(loss), out_shardings=(None, shardings))
    return step.lower(params, tiles)


def cycles_by_computation(text: str) -> dict[str, int]:
    """Estimated cycles of each computation of a compiled program, loop bodies counted once."""
    cycles: collections.Counter[str] = collections.Counter()
    current = ""
    for line in text.splitlines():
        if header := re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            current = header.group(1)
        if estimate := re.search(r'"estimated_cycles":"(\d+)"', line):
            cycles[current] += int(estimate.group(1))
    return dict(cycles.most_common(3))


def main() -> None:
    """Compiles and prints one JSON object."""
    args = parse()
    lowered = lower(args)
    start = time.monotonic()
    compiled = lowered.compile()
    seconds = time.monotonic() - start
    text, memory = compiled.as_text(), compiled.memory_analysis()
    if args.dump:
        with open(args.dump, "w") as file:
            file.write(text)
    net = memory.peak_memory_in_bytes - memory.argument_size_in_bytes
    result = {
        **vars(args),
        "arguments_gib": round(memory.argument_size_in_bytes / 2**30, 3),
        "net_gib": round(net / 2**30, 3),
        "bytes_accessed_gb": round(compiled.cost_analysis()["bytes accessed"] / 1e9, 2),
        "cycles": cycles_by_computation(text),
        "collectives": {
            kind: len(re.findall(rf" {kind}(?:-start)?\(", text))
            for kind in ("all-gather", "reduce-scatter", "all-reduce", "all-to-all")
        },
        "compile_seconds": round(seconds, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
