"""Memory of a process that computes on a CPU: kept when it is freed, not given back each step.

A step's arrays are megabytes each. glibc's malloc maps such ones and unmaps them again, and arenas
of threads, 64 MiB each, always do; so the kernel zeroes every page of every step anew: a third of
the miniature's training (BUILD_NOTES). All of it in one arena that never shrinks costs nothing but
that the process holds what it once needed. The options are mallopt(3)'s.
"""

from __future__ import annotations

import ctypes
import os

# malloc.h of glibc. -1 is the largest number there is.
_OPTIONS = {
    "M_ARENA_MAX": (-8, 1),
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, -1),
    "M_TOP_PAD": (-2, 64 * 2**20),
}


def keep_freed_memory() -> bool:
    """Tells glibc's malloc to keep what is freed; before threads compute. Whether it was told.

    Where the environment has options of malloc of its own (`MALLOC_...`, `GLIBC_TUNABLES`), or the
    C library is another (musl, macOS), nothing is done.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return all(library.mallopt(option, value) for option, value in _OPTIONS.values())
