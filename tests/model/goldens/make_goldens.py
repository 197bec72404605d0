"""Writes goldens.npz: what the oracles make of seeded weights and inputs.

Run in an environment with torch, transformers 5 and timm 0.9.8 (`pip install timm==0.9.8
--no-deps`, with huggingface_hub and safetensors); jax is not needed:

    python tests/model/goldens/make_goldens.py
"""

import json
import pathlib

import numpy as np
import torch
import transformers
from oracles import ORACLES

if __name__ == "__main__":
    arrays = {
        f"{oracle}/{name}": array.astype(np.float32)
        for oracle, run in ORACLES.items()
        for name, array in run().items()
    }
    import timm  # after the oracles: they put a stand-in for torchvision in its way

    versions = {m.__name__: m.__version__ for m in (torch, transformers, timm, np)}
    path = pathlib.Path(__file__).parent / "goldens.npz"
    np.savez_compressed(path, versions=json.dumps(versions), **arrays)
    print(path.name, versions, {name: array.shape for name, array in arrays.items()})
