"""Meshes and settings by experiment and hardware; `mm15 plan --search --update` writes the table.

Each row is what the search found best among the programs it compiled; an experiment without a row
for some hardware takes its own `mesh` there.
"""

from mm15_jax.config.schema import HardwareMesh, MeshConfig

__all__ = ["TABLE", "MeshConfig"]  # a row names its mesh

TABLE: dict[str, tuple[HardwareMesh, ...]] = {}
