"""What a data set holds, counted as it is written: mergeable over parts, in any order."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any

from mm15_jax.config.schema import SplittingConfig, VideoConfig
from mm15_jax.inputs.example import Example, Image, Text, Video
from mm15_jax.inputs.image_splitting import plan_tiling

_STEPS = 32  # bins an octave: the median is known to 1 %
TILE = 672  # pixels of a tile of the final recipe, which splits pictures into four to nine


@dataclasses.dataclass
class Spread:
    """Smallest, middle and largest of many whole numbers, from 1."""

    low: int = 0
    high: int = 0
    bins: dict[int, int] = dataclasses.field(default_factory=dict)  # how many, by logarithm

    def add(self, value: int) -> None:
        """Takes in one number."""
        self.low = min(self.low or value, value)
        self.high = max(self.high, value)
        logarithm = round(_STEPS * math.log2(max(value, 1)))
        self.bins[logarithm] = self.bins.get(logarithm, 0) + 1

    def merge(self, other: Spread) -> None:
        """Takes in the numbers of another spread."""
        self.low = min(self.low or other.low, other.low or self.low)
        self.high = max(self.high, other.high)
        for logarithm, count in other.bins.items():
            self.bins[logarithm] = self.bins.get(logarithm, 0) + count

    def summary(self) -> dict[str, int] | None:
        """`min`, `median` (to 1 %) and `max`; None of nothing."""
        left = sum(self.bins.values()) / 2
        for logarithm in sorted(self.bins):
            left -= self.bins[logarithm]
            if left <= 0:
                middle = min(max(round(2 ** (logarithm / _STEPS)), self.low), self.high)
                return {"min": self.low, "median": middle, "max": self.high}
        return None


@dataclasses.dataclass
class Tally:
    """Counts of the examples of a part, or of a split."""

    characters: int = 0  # of all texts
    images: int = 0
    videos: int = 0
    tiles: int = 0  # of images and videos, by the final recipe; an experiment's may differ
    widths: Spread = dataclasses.field(default_factory=Spread)  # pixels, of images and videos
    heights: Spread = dataclasses.field(default_factory=Spread)

    def add(self, example: Example) -> None:
        """Counts one example."""
        images = sum(isinstance(segment, Image) for segment in example.segments)
        for segment in example.segments:
            if isinstance(segment, Text):
                self.characters += len(segment.text)
            else:
                if isinstance(segment, Video):
                    self.videos += 1
                    self.tiles += min(segment.frames, VideoConfig().frames)
                else:
                    self.images += 1
                    self.tiles += _tiles(segment.height, segment.width, images)
                self.widths.add(segment.width)
                self.heights.add(segment.height)

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Tally:
        """The tally of `as_dict`, also from JSON, whose keys are text."""
        spreads = {}
        for name in ("widths", "heights"):
            low, high, bins = (fields[name][key] for key in ("low", "high", "bins"))
            spreads[name] = Spread(low, high, {int(k): n for k, n in bins.items()})
        # Receipts of earlier programs know no videos and no tiles.
        videos, tiles = fields.get("videos", 0), fields.get("tiles", 0)
        return cls(fields["characters"], fields["images"], videos, tiles, **spreads)

    @classmethod
    def of(cls, tallies: Iterable[Tally]) -> Tally:
        """The sum of tallies."""
        total = cls()
        for tally in tallies:
            total.characters += tally.characters
            total.images += tally.images
            total.videos += tally.videos
            total.tiles += tally.tiles
            total.widths.merge(tally.widths)
            total.heights.merge(tally.heights)
        return total


@functools.lru_cache(maxsize=65536)
def _tiles(height: int, width: int, images: int) -> int:
    """Tiles of a picture of an example with so many."""
    tiling = plan_tiling(
        height, width, resolution=TILE, splitting=SplittingConfig(), images_in_example=images
    )
    return tiling.num_tiles
