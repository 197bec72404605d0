"""Values of a config that contradict each other, found before anything is allocated."""

from __future__ import annotations

import math

from mm15_jax.config.names import unknown
from mm15_jax.config.schema import REMAT_POLICIES, STAGES, ExperimentConfig

_CHOICES = {
    "stage": STAGES,
    "model.encoder.stem": ("linear", "conv"),
    "model.encoder.activation": ("quick_gelu", "gelu"),
    "model.encoder.remat": REMAT_POLICIES,
    "model.decoder.remat": REMAT_POLICIES,
    "model.connector.kind": ("c_abstractor", "linear"),
    "inputs.objective": ("next_token", "dense_labels"),
    "inputs.loss_balance": ("token", "square", "example"),
    "inputs.splitting.mode": ("none", "static", "dynamic"),
    "inputs.splitting.policy": ("equation", "smallest_cover"),
    "inputs.splitting.overview": ("after", "before", "none"),
    "inputs.splitting.indicator": ("none", "index", "seps"),
    "optimizer.name": ("adafactor", "adamw", "muon"),
    "optimizer.schedule": ("cosine", "constant", "wsd"),
    "train.compute_dtype": ("auto", "bfloat16", "float32"),
    "mesh.strategy": ("fsdp", "fsdp_everywhere", "replicated"),
}
_POSITIVE = (
    "train.steps",
    "train.batch_rows",
    "train.log_every",
    "train.accumulation",
    "checkpoint.every",
    "checkpoint.keep",
    "inputs.sequence_length",
    "data.window",
    "data.decode_threads",
    "data.prefetch",
    "eval.batch_size",
    "eval.examples",
    "eval.max_new_tokens",
    "model.encoder.resolution",
    "optimizer.peak_learning_rate",
)


def _get(config, key: str):
    for part in key.split("."):
        config = getattr(config, part)
    return config


def validate(config: ExperimentConfig) -> None:
    """Raises ValueError, in one sentence, for the first value that cannot be meant."""
    for key, choices in _CHOICES.items():
        if _get(config, key) not in choices:
            raise unknown(f"value of {key}:", _get(config, key), choices)
    for key in _POSITIVE:
        if _get(config, key) <= 0:
            raise ValueError(f"{key} is {_get(config, key)}; expected more than 0")
    encoder, connector, decoder = config.model.encoder, config.model.connector, config.model.decoder
    if encoder.resolution % encoder.patch_size:
        raise ValueError(
            f"model.encoder.resolution {encoder.resolution} is not a multiple of the patch size "
            f"{encoder.patch_size}; the nearest below is "
            f"{encoder.resolution // encoder.patch_size * encoder.patch_size}"
        )
    if encoder.width % encoder.heads:
        raise ValueError(
            f"model.encoder.width {encoder.width} does not divide into {encoder.heads} heads"
        )
    side = math.isqrt(connector.tokens)
    if side * side != connector.tokens:
        raise ValueError(
            f"model.connector.tokens {connector.tokens} is not a square; "
            f"the nearest is {side * side}"
        )
    if connector.kind == "linear" and connector.tokens != encoder.grid**2:
        raise ValueError(
            f"a linear connector makes one token a patch: model.connector.tokens is "
            f"{connector.tokens}, the encoder has {encoder.grid**2} patches"
        )
    if decoder.layers and decoder.heads % decoder.kv_heads:
        raise ValueError(
            f"model.decoder.heads {decoder.heads} is not a multiple of kv_heads {decoder.kv_heads}"
        )
    splitting = config.inputs.splitting
    if not 1 <= splitting.n_min <= splitting.n_max:
        raise ValueError(
            f"inputs.splitting n_min {splitting.n_min}, n_max {splitting.n_max}: expected "
            "1 <= n_min <= n_max"
        )
    if config.train.batch_rows % config.train.accumulation:
        raise ValueError(
            f"train.batch_rows {config.train.batch_rows} is not a multiple of train.accumulation "
            f"{config.train.accumulation}"
        )
    if config.train.loss_chunk < 0:
        raise ValueError(f"train.loss_chunk is {config.train.loss_chunk}; expected 0 or more")
    if config.inputs.tiles_per_row < 0:
        raise ValueError(
            f"inputs.tiles_per_row is {config.inputs.tiles_per_row}; expected 0 or more"
        )
