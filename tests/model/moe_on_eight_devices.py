"""Steps of a tiny model with experts on eight virtual devices, as `parallel.on_eight_devices`.

Usage: JAX_NUM_CPU_DEVICES=8 python -m tests.model.moe_on_eight_devices DISPATCH CASE ...
"""

import json
import sys

from mm15_jax.config import MeshConfig, MoEConfig
from tests.parallel import on_eight_devices as eight

MESHES = {
    "one": MeshConfig(data=1),
    "expert4_fsdp2": MeshConfig(data=1, fsdp=2, expert=4),
    "expert2_fsdp2_tensor2": MeshConfig(data=1, fsdp=2, expert=2, tensor=2),
    "slice2_data2_expert2": MeshConfig(slice=2, data=2, expert=2),
    "fsdp8": MeshConfig(data=1, fsdp=8),
}

if __name__ == "__main__":
    dispatch, *names = sys.argv[1:]
    # Some choices are dropped by capacity: the same on every mesh.
    moe = MoEConfig(experts=8, every=1, dispatch=dispatch, capacity_factor=1.0)
    changes = {"model.decoder.moe": moe, "model.decoder.remat": "full"}
    eight.CASES.update({name: (MESHES[name], changes) for name in names})
    print(json.dumps({name: eight.steps(name) for name in names}))
