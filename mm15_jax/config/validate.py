"""Values of a config that contradict each other, found before anything is allocated."""

from __future__ import annotations

import math

from mm15_jax.config.names import unknown
from mm15_jax.config.schema import MOST_NEW_TOKENS, REMAT_POLICIES, STAGES, ExperimentConfig

_CHOICES = {
    "stage": STAGES,
    "model.encoder.stem": ("linear", "conv"),
    "model.encoder.activation": ("quick_gelu", "gelu"),
    "model.encoder.remat": REMAT_POLICIES,
    "model.decoder.remat": REMAT_POLICIES,
    "model.decoder.moe.dispatch": ("capacity", "dropless"),
    "model.connector.kind": ("c_abstractor", "linear"),
    "inputs.objective": ("next_token", "dense_labels"),
    "inputs.loss_balance": ("token", "square", "example"),
    "inputs.splitting.mode": ("none", "static", "dynamic"),
    "inputs.splitting.policy": ("equation", "smallest_cover"),
    "inputs.splitting.overview": ("after", "before", "none"),
    "inputs.splitting.indicator": ("none", "index", "seps"),
    "eval.during.split": ("validation", "test"),
    "eval.indicator": ("", "none", "index", "seps"),
    "data.weigh_by": ("examples", "tokens"),
    "data.packing": ("planned", "late"),
    "data.long_documents": ("split", "drop"),
    "data.on_change": ("stop", "continue"),
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
    "inputs.video.frames",
    "data.window",
    "data.prefetch",
    "eval.batch_size",
    "eval.max_new_tokens",
    "eval.during.examples",
    "model.encoder.resolution",
    "model.encoder.patch_size",
    "model.encoder.width",
    "model.encoder.heads",
    "model.encoder.mlp_width",
    "model.connector.tokens",
    "model.connector.hidden",
    "model.decoder.vocab_size",
    "model.decoder.width",
    "model.decoder.ffn_width",
    "model.decoder.heads",
    "model.decoder.kv_heads",
    "model.decoder.head_dim",
    "model.decoder.rope_theta",
    "optimizer.peak_learning_rate",
    "optimizer.clip_norm",
)
_NOT_NEGATIVE = (
    "inputs.tiles_per_row",
    "data.decode_threads",
    "eval.examples",
    "eval.n_min",
    "eval.n_max",
    "eval.during.every",
    "model.encoder.layers",
    "model.encoder.norm_eps",
    "model.connector.depth",
    "model.decoder.layers",
    "model.decoder.norm_eps",
    "optimizer.warmup_steps",
    "optimizer.end_ratio",
    "optimizer.weight_decay",
    "train.loss_chunk",
    "mesh.slice",
    "mesh.data",
    "mesh.fsdp",
    "mesh.expert",
    "mesh.tensor",
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
    for key in _NOT_NEGATIVE:
        if _get(config, key) < 0:
            raise ValueError(f"{key} is {_get(config, key)}; expected 0 or more")
    for key in ("optimizer.b1", "optimizer.b2"):
        if not 0 <= _get(config, key) < 1:
            raise ValueError(f"{key} is {_get(config, key)}; expected 0 or more and less than 1")
    if not -(2**63) <= config.train.seed < 2**63:
        raise ValueError(f"train.seed is {config.train.seed}; expected a number of 64 bits")
    if config.eval.max_new_tokens > MOST_NEW_TOKENS:
        raise ValueError(
            f"eval.max_new_tokens is {config.eval.max_new_tokens}; expected 1 to {MOST_NEW_TOKENS}"
        )
    if not 0 <= config.data.max_bad_fraction <= 1:
        raise ValueError(
            f"data.max_bad_fraction is {config.data.max_bad_fraction}; expected 0 to 1"
        )
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
    _validate_moe(config)
    if config.data.packing == "late" and config.data.weigh_by == "tokens":
        raise ValueError(
            "data.weigh_by=tokens needs the lengths of an index, and data.packing=late has none; "
            "expected data.weigh_by=examples"
        )
    for stream in config.data.streams:
        name, equals, where = stream.partition("=")
        if not (equals and name.strip() and where.strip()):
            raise ValueError(
                f"data.streams has {stream!r}; expected NAME=FOLDER_OR_URL, a data set of the "
                "mixture and its published files"
            )
    if config.data.streams and config.data.packing != "late":
        raise ValueError(
            "data.streams needs data.packing=late: a stream's lengths are not known beforehand"
        )
    splitting = config.inputs.splitting
    if not 1 <= splitting.n_min <= splitting.n_max:
        raise ValueError(
            f"inputs.splitting n_min {splitting.n_min}, n_max {splitting.n_max}: expected "
            "1 <= n_min <= n_max"
        )
    if splitting.mode == "static" and min(splitting.static_grid) < 1:
        raise ValueError(
            f"inputs.splitting.static_grid is {splitting.static_grid}; expected 1 or more rows and "
            "columns"
        )
    n_min, n_max = config.eval.n_min or splitting.n_min, config.eval.n_max or splitting.n_max
    if n_min > n_max:
        raise ValueError(
            f"answers are scored with n_min {n_min}, n_max {n_max}: expected eval.n_min <= "
            "eval.n_max, where 0 is that of inputs.splitting"
        )
    if config.train.batch_rows % config.train.accumulation:
        raise ValueError(
            f"train.batch_rows {config.train.batch_rows} is not a multiple of train.accumulation "
            f"{config.train.accumulation}"
        )


def _validate_moe(config: ExperimentConfig) -> None:
    """Raises ValueError where experts fit neither the decoder nor the mesh."""
    moe, layers = config.model.decoder.moe, config.model.decoder.layers
    if not moe.experts:
        return
    key = "model.decoder.moe"
    if moe.experts < 0 or not 1 <= moe.top_k <= moe.experts:
        raise ValueError(
            f"{key}.top_k is {moe.top_k} of {moe.experts} experts; expected 1 to the number of "
            "experts"
        )
    if moe.every < 1 or layers % moe.every:
        fitting = [n for n in range(1, layers + 1) if layers % n == 0]
        nearest = min(fitting, key=lambda n: abs(n - moe.every), default=1)
        raise ValueError(
            f"{key}.every {moe.every} does not divide the decoder's {layers} layers into groups; "
            f"the nearest that does is {nearest}"
        )
    if moe.capacity_factor <= 0:
        raise ValueError(f"{key}.capacity_factor is {moe.capacity_factor}; expected more than 0")
    for field in ("buffer_factor", "load_balance_weight", "router_z_weight"):
        if getattr(moe, field) < 0:
            raise ValueError(f"{key}.{field} is {getattr(moe, field)}; expected 0 or more")
    # A row of the table of hardware is held against the experts where it is chosen.
    expert = config.mesh.expert
    if expert and moe.experts % expert:
        fitting = [n for n in range(1, moe.experts + 1) if moe.experts % n == 0]
        nearest = min(fitting, key=lambda n: abs(n - expert))
        raise ValueError(
            f"mesh.expert {expert} does not divide {moe.experts} experts; the nearest that does "
            f"is {nearest}"
        )
