"""Token and tile counts of a simulated SFT mixture, by the product's own splitting.

No data set of the mixture is here, so pictures get the sizes that their publishers report (COCO
photographs 640 x 480, A4 pages at 150-200 dpi, charts 800 x 600, phone screens ...) and texts a
log-normal length; what a picture of a size costs is computed by `plan_tiling` as in training.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mm15_jax.config import SplittingConfig
from mm15_jax.inputs.image_splitting import plan_tiling

RESOLUTION, TOKENS_PER_TILE = 672, 144
INDICATOR_TOKENS = 7  # "(0,1,2)" as pieces
SEQUENCE_LENGTH = 4096


@dataclass(frozen=True)
class Kind:
    """Examples of one look: a share of the mixture, picture sizes, text lengths in tokens."""

    share: float
    sizes: tuple[tuple[int, int], ...]  # (width, height) that occur alike; () for text alone
    jitter: float  # standard deviation of log(size): crops and odd formats
    text: int  # median
    sigma: float  # of log(length)
    images: tuple[int, ...] = (1,)  # numbers of pictures that occur alike


# Shares as RECIPE's: text-rich 37.2%, refer & ground 22.5%, general 11.3%, math 5.6%, code 2.3%,
# science 1.1%, multi-image 10%, text 10%.
PHOTO = ((640, 480), (640, 427), (480, 640), (427, 640), (500, 375), (640, 640))
KINDS = (
    Kind(0.060, PHOTO, 0.08, 330, 0.5),  # LLaVA conversations, ShareGPT-4V
    Kind(0.053, PHOTO, 0.08, 90, 0.7),  # GQA, OK-VQA, captions: several short turns
    Kind(0.100, ((1700, 2200), (1240, 1754), (2200, 1700)), 0.1, 140, 0.8),  # pages
    Kind(0.110, ((350, 500), (330, 500), (400, 500)), 0.15, 120, 0.4),  # book covers: OCR-VQA
    Kind(0.090, ((800, 600), (850, 600), (600, 450), (480, 360)), 0.15, 110, 0.7),  # charts
    Kind(0.050, ((1024, 768), (1024, 683), (768, 1024)), 0.05, 80, 0.6),  # TextVQA, TextCaps
    Kind(0.022, ((1080, 1920), (1440, 2560), (800, 2600), (1000, 3200)), 0.1, 100, 0.6),  # tall
    Kind(0.225, PHOTO, 0.08, 190, 0.7),  # boxes and points on photographs
    Kind(0.056, ((320, 240), (480, 320), (600, 600), (400, 300)), 0.2, 120, 0.6),  # math
    Kind(0.023, ((1280, 900), (1024, 768), (1280, 2000)), 0.15, 900, 0.6),  # web pages to code
    Kind(0.011, ((600, 450), (800, 500)), 0.3, 160, 0.5),  # science
    Kind(0.100, PHOTO, 0.2, 170, 0.8, (2, 2, 2, 3, 4, 5, 8)),  # multi-image
    Kind(0.100, (), 0.0, 420, 0.8),  # text alone
)


def simulate(examples: int, *, seed: int = 0, policy: str = "equation"):
    """(tokens, tiles), int32[examples] each, of examples that fit a row of 4096 tokens."""
    rng = np.random.default_rng(seed)
    splitting = SplittingConfig(policy=policy)

    @functools.cache
    def tiles_of(width: int, height: int, images: int) -> int:
        tiling = plan_tiling(
            height, width, resolution=RESOLUTION, splitting=splitting, images_in_example=images
        )
        return tiling.num_tiles

    shares = np.array([kind.share for kind in KINDS])
    kinds = rng.choice(len(KINDS), examples, p=shares / shares.sum())
    tokens = np.empty(examples, np.int32)
    tiles = np.zeros(examples, np.int32)
    for i, number in enumerate(kinds.tolist()):
        kind = KINDS[number]
        length = int(kind.text * np.exp(kind.sigma * rng.standard_normal()))
        if kind.sizes:
            count = int(rng.choice(kind.images))
            for _ in range(count):
                width, height = kind.sizes[rng.integers(len(kind.sizes))]
                scale = np.exp(kind.jitter * rng.standard_normal(2))
                # To 8 pixels, so that sizes repeat and the cache of tilings serves.
                w, h = (
                    max(int(s * f) // 8 * 8, 32)
                    for s, f in zip((width, height), scale, strict=True)
                )
                found = tiles_of(w, h, count)
                tiles[i] += found
                length += found * TOKENS_PER_TILE + (INDICATOR_TOKENS * found if found > 1 else 0)
        tokens[i] = min(max(length, 8), SEQUENCE_LENGTH)
    return tokens, tiles
