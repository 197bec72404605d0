"""Configurations and inputs of the oracle comparisons, in numpy alone."""

import dataclasses

import numpy as np


def _grid(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class ClipSizes:
    resolution: int = 42
    patch_size: int = 14
    width: int = 32
    layers: int = 2
    heads: int = 4
    mlp_width: int = 48
    seed: int = 11
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])

    @property
    def shapes(self):
        W, F, L = self.width, self.mlp_width, self.layers
        places = (self.resolution // self.patch_size) ** 2 + 1
        shapes = {
            "class_token": (W,),
            "position_table": (places, W),
            "stem/kernel": (self.patch_size**2 * 3, W),
        }
        for name in ("pre_norm", "post_norm"):
            shapes |= {f"{name}/scale": (W,), f"{name}/bias": (W,)}
        for name in ("norm1", "norm2"):
            shapes |= {f"layers/{name}/scale": (L, W), f"layers/{name}/bias": (L, W)}
        for name in ("attention/q", "attention/k", "attention/v", "attention/o"):
            shapes |= {f"layers/{name}/kernel": (L, W, W), f"layers/{name}/bias": (L, W)}
        shapes |= {"layers/up/kernel": (L, W, F), "layers/up/bias": (L, F)}
        return shapes | {"layers/down/kernel": (L, F, W), "layers/down/bias": (L, W)}

    def tiles(self):
        rng = np.random.default_rng(self.seed + 1)
        return rng.integers(0, 256, (2, self.resolution, self.resolution, 3), dtype=np.uint8)


@dataclasses.dataclass(frozen=True)
class DecoderSizes:
    qk_norm: bool
    rope_theta: float
    seed: int
    vocab_size: int = 60
    width: int = 32
    layers: int = 2
    ffn_width: int = 48
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 8

    @property
    def shapes(self):
        L, D, F = self.layers, self.width, self.ffn_width
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        shapes = {"embedding": (self.vocab_size, D), "final_norm/scale": (D,)}
        shapes |= {"layers/attention_norm/scale": (L, D), "layers/mlp_norm/scale": (L, D)}
        if self.qk_norm:
            shapes["layers/attention/q_norm/scale"] = (L, self.head_dim)
            shapes["layers/attention/k_norm/scale"] = (L, self.head_dim)
        return shapes | {
            "layers/attention/q/kernel": (L, D, q),
            "layers/attention/k/kernel": (L, D, kv),
            "layers/attention/v/kernel": (L, D, kv),
            "layers/attention/o/kernel": (L, q, D),
            "layers/mlp/gate/kernel": (L, D, F),
            "layers/mlp/up/kernel": (L, D, F),
            "layers/mlp/down/kernel": (L, F, D),
        }

    def tokens(self):
        rng = np.random.default_rng(self.seed + 1)
        return rng.integers(0, self.vocab_size, (2, 40), dtype=np.int32)


@dataclasses.dataclass(frozen=True)
class ConnectorSizes:
    grid: int = 7
    width: int = 40
    hidden: int = 24
    depth: int = 2
    tokens: int = 9
    out: int = 32
    seed: int = 31

    @property
    def shapes(self):
        C = self.hidden
        shapes = {"position_table": (self.grid**2, self.width)}
        for stage in (1, 2):
            for i in range(self.depth):
                name = f"stage{stage}_block{i}"
                size = self.width if (stage, i) == (1, 0) else C
                shapes |= {
                    f"{name}/conv1/kernel": (size, C),
                    f"{name}/conv2/kernel": (9, C),
                    f"{name}/conv3/kernel": (C, C),
                    f"{name}/se/down/kernel": (C, round(size / 4)),
                    f"{name}/se/down/bias": (round(size / 4),),
                    f"{name}/se/up/kernel": (round(size / 4), C),
                    f"{name}/se/up/bias": (C,),
                }
                norms = ["norm1", "norm2", "norm3"]
                if size != C:
                    shapes[f"{name}/shortcut/kernel"] = (size, C)
                    norms.append("shortcut_norm")
                for norm in norms:
                    shapes |= {f"{name}/{norm}/scale": (C,), f"{name}/{norm}/bias": (C,)}
        shapes |= {"linear1/kernel": (C, self.out), "linear1/bias": (self.out,)}
        return shapes | {"linear2/kernel": (self.out, self.out), "linear2/bias": (self.out,)}

    def features(self):
        return _grid(self.seed + 1, 2, self.grid**2, self.width)


@dataclasses.dataclass(frozen=True)
class MixtralSizes:
    width: int = 32
    ffn_width: int = 24
    experts: int = 6
    seed: int = 41

    @property
    def shapes(self):
        D, F, E = self.width, self.ffn_width, self.experts
        return {
            "router/kernel": (D, E),
            "gate/kernel": (E, D, F),
            "up/kernel": (E, D, F),
            "down/kernel": (E, F, D),
        }

    def states(self):
        return _grid(self.seed + 1, 3, 24, self.width)


CLIP = ClipSizes()
QWEN = DecoderSizes(qk_norm=True, rope_theta=5e5, seed=21)
LLAMA = DecoderSizes(qk_norm=False, rope_theta=1e4, seed=22, heads=4, kv_heads=4)
CONNECTOR = ConnectorSizes()
MIXTRAL = MixtralSizes()
# (side in, side out): a grid [n, side, side, channels]
POOLS = {(i, o): _grid(100 * i + o, 1, i, i, 2) for i, o in ((27, 12), (48, 9), (48, 12), (27, 9))}
# (side in, side out, antialias): a table [side, side, channels]
RESIZES = {
    (i, o, a): _grid(100 * i + o, i, i, 2)
    for i, o in ((27, 48), (48, 27), (6, 12))
    for a in (True, False)
}
