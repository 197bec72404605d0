"""Shuffling without memory: a pseudo-random permutation of n numbers, any element at a time.

A Feistel network permutes the numbers of 2k bits; numbers at or above n walk on along their cycle
until they fall below n, which leaves a permutation of n. Written here rather than taken from a
library because a run that is resumed, perhaps years later, must see the very same order, because
it takes whole windows of positions at once, and because numpy promises no stable `permutation`.
"""

from __future__ import annotations

import hashlib

import numpy as np

_ROUNDS = 6
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio, the step of splitmix64


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from anything with a stable `repr`, equal in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64, element by element."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def permute(positions: np.ndarray, n: int | np.ndarray, seed: int | np.ndarray) -> np.ndarray:
    """Where pseudo-random permutations of range(n) send some positions.

    Args:
      positions: int64[k], each in [0, n).
      n: size of the permuted range, at least 1, below 2**62; or int64[k], one for each position.
      seed: chooses the permutation, in [0, 2**63); or int64[k], one for each position.

    Returns:
      int64[k], each in [0, n); distinct for distinct positions of one n and seed.
    """
    n = np.broadcast_to(np.asarray(n, np.uint64), positions.shape)
    seed = np.broadcast_to(np.asarray(seed, np.uint64), positions.shape)
    values = positions.astype(np.uint64)
    assert (values < n).all()
    # Half as many bits as n - 1 has, rounded up; frexp is exact below 2**53 and errs upwards above.
    half = np.maximum((np.frexp((n - np.uint64(1)).astype(np.float64))[1] + 1) // 2, 1)
    half = half.astype(np.uint64)
    outside = np.arange(values.size)
    while outside.size:
        values[outside] = _encrypt(values[outside], half[outside], seed[outside])
        outside = outside[values[outside] >= n[outside]]
    return values.astype(np.int64)


def _encrypt(values: np.ndarray, half: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """A permutation of the numbers of 2 x half bits; uint64[k] each."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for r in range(1, _ROUNDS + 1):
        key = _mix(seed + np.uint64(_GOLDEN * r % 2**64))
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def shuffled(n: int, seed: int) -> np.ndarray:
    """int64[n]: the numbers below n in pseudo-random order."""
    return permute(np.arange(n), n, seed) if n else np.zeros(0, np.int64)
