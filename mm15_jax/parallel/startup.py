"""What JAX is told before it is first used: one place for all commands."""

from __future__ import annotations

import os
import pathlib

import jax

CACHE_DIR = "MM15_COMPILE_CACHE"  # environment: folder of compiled programs


def start_jax() -> None:
    """Turns on the cache of compiled programs; a second run of a shape starts in seconds."""
    folder = os.environ.get(CACHE_DIR) or pathlib.Path("~/.cache/mm15_jax/compiled").expanduser()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
