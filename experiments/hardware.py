"""Meshes and settings by experiment and hardware; `mm15 plan --search --update` writes the table.

Each row is what the search found best among the programs it compiled; an experiment without a row
for some hardware takes its own `mesh` there.
"""

from mm15_jax.config.schema import HardwareMesh, MeshConfig

__all__ = ["TABLE", "MeshConfig"]  # a row names its mesh

TABLE: dict[str, tuple[HardwareMesh, ...]] = {
    "mm15_1b_continual": (
        HardwareMesh(
            "v5e:4x8",
            1,
            MeshConfig(data=1, fsdp=32),
            ("train.accumulation=4",),
        ),
    ),
    "mm15_1b_pretrain": (
        HardwareMesh(
            "v5e:4x8",
            1,
            MeshConfig(data=1, fsdp=32),
            ("train.accumulation=4",),
        ),
    ),
    "mm15_1b_sft": (
        HardwareMesh(
            "v5e:4x8",
            1,
            MeshConfig(data=1, fsdp=32),
            ("train.accumulation=8",),
        ),
    ),
    "mm15_30b_continual": (
        HardwareMesh(
            "v6e:16x16",
            1,
            MeshConfig(data=1, fsdp=256),
        ),
    ),
    "mm15_30b_pretrain": (
        HardwareMesh(
            "v6e:16x16",
            1,
            MeshConfig(data=1, fsdp=256),
        ),
    ),
    "mm15_30b_sft": (
        HardwareMesh(
            "v6e:16x16",
            1,
            MeshConfig(data=1, fsdp=256),
        ),
    ),
    "mm15_3b_continual": (
        HardwareMesh(
            "v5e:16x16",
            1,
            MeshConfig(data=1, fsdp=256),
        ),
    ),
    "mm15_3b_moe_pretrain": (
        HardwareMesh(
            "v5p:4x8x8",
            1,
            MeshConfig(data=1, fsdp=8, expert=32),
            (
                "model.encoder.remat=matmuls",
                "model.decoder.remat=matmuls",
            ),
        ),
    ),
    "mm15_3b_pretrain": (
        HardwareMesh(
            "v5e:16x16",
            1,
            MeshConfig(data=1, fsdp=256),
        ),
    ),
    "mm15_3b_sft": (
        HardwareMesh(
            "v5e:16x16",
            1,
            MeshConfig(data=1, fsdp=256),
        ),
    ),
    "mm15_7b_continual": (
        HardwareMesh(
            "v6e:16x16",
            1,
            MeshConfig(data=1, fsdp=256),
        ),
    ),
    "mm15_7b_pretrain": (
        HardwareMesh(
            "v6e:16x16",
            1,
            MeshConfig(data=1, fsdp=256),
        ),
    ),
    "mm15_7b_sft": (
        HardwareMesh(
            "v6e:16x16",
            1,
            MeshConfig(data=1, fsdp=256),
        ),
    ),
}
