"""Configuration: frozen dataclasses, experiments by name, typed overrides. No JAX."""

from mm15_jax.config.names import nearest, unknown
from mm15_jax.config.overrides import apply_overrides, keys, set_by_hand
from mm15_jax.config.registry import experiments, load, mixture
from mm15_jax.config.render import from_dict, to_dict, to_text
from mm15_jax.config.schema import (
    CheckpointConfig,
    ConnectorConfig,
    DataConfig,
    DecoderConfig,
    DuringConfig,
    EncoderConfig,
    EvalConfig,
    ExperimentConfig,
    HardwareMesh,
    InitFrom,
    InputsConfig,
    MeshConfig,
    ModelConfig,
    MoEConfig,
    OptimizerConfig,
    SplittingConfig,
    TrainConfig,
    VideoConfig,
    replace_nested,
)
from mm15_jax.config.validate import validate

__all__ = [
    "CheckpointConfig",
    "ConnectorConfig",
    "DataConfig",
    "DecoderConfig",
    "DuringConfig",
    "EncoderConfig",
    "EvalConfig",
    "ExperimentConfig",
    "HardwareMesh",
    "InitFrom",
    "InputsConfig",
    "MeshConfig",
    "MoEConfig",
    "ModelConfig",
    "OptimizerConfig",
    "SplittingConfig",
    "TrainConfig",
    "VideoConfig",
    "apply_overrides",
    "experiments",
    "from_dict",
    "keys",
    "load",
    "mixture",
    "nearest",
    "replace_nested",
    "set_by_hand",
    "to_dict",
    "to_text",
    "unknown",
    "validate",
]
