"""What preparing a split came to: counts, sizes, and what could not become an example, and why."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mm15_jax.data import storage
from mm15_jax.data.parts import RECEIPTS, Receipt
from mm15_jax.data.records import Manifest
from mm15_jax.data.tally import TILE, Tally

REPORT = "report.json"
_NAMED = 20  # bad records that a report names; all of them are in the receipts
_KEYS = 3  # of each kind of reason
_FORGIVEN = 10  # bad records of a small split, if they are not half of it
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\d+(?:\.\d+)?")


@dataclasses.dataclass(frozen=True)
class SplitReport:
    """What a prepared split holds."""

    name: str
    split: str
    directory: str
    records: int
    bad: int  # records that gave no example
    bad_within: int  # pieces left out of records that gave one, such as a box of a picture
    bad_records: tuple[dict[str, str], ...]  # part, key and reason of the first ones
    bad_reasons: tuple[dict[str, Any], ...]  # reason, count, keys: most frequent first
    bytes: int
    categories: dict[str, int]
    characters: int  # of all texts
    tokens: dict[str, int]  # of all texts, by tokenizer, where one was named
    images: int
    videos: int
    tiles: int  # of 672 pixels, as the final recipe splits pictures
    widths: dict[str, int] | None  # min, median (to 1 %), max in pixels
    heights: dict[str, int] | None
    checksum: str  # of the records
    shards: int
    shards_kept: int  # made by an earlier run
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON."""
        return dataclasses.asdict(self)

    def as_text(self) -> str:
        """A line for the split, one for its pictures, and one for each kind of bad record."""
        kept = " (already prepared)" if self.shards_kept == self.shards else ""
        text = f"{self.characters:,} characters"
        text = "".join(f"{n:,} tokens ({name}), " for name, n in self.tokens.items()) + text
        bad = f"{self.bad:,} bad"
        if self.bad_within:
            bad += f" and {self.bad_within:,} pieces of others"
        lines = [
            f"{self.name} {self.split}: {self.records:,} examples, {bad}, {text}, "
            f"{self.bytes / 1e6:.1f} MB, {self.seconds:.1f} s{kept}"
        ]
        if self.widths and self.heights:
            low, middle, high = (
                f"{self.widths[key]} x {self.heights[key]}" for key in ("min", "median", "max")
            )
            videos = f"{self.videos:,} videos" if self.videos else ""
            images = f"{self.images:,} pictures" if self.images or not videos else ""
            shown = " and ".join(filter(None, (images, videos)))
            lines.append(
                f"  {shown}: {low} to {high} pixels, median {middle}; {self.tiles:,} tiles of "
                f"{TILE} pixels"
            )
        for group in self.bad_reasons:
            lines.append(
                f"  {group['count']:,} bad: {group['reason']} ({', '.join(group['keys'])})"
            )
        if self.bad + self.bad_within > len(self.bad_records):
            lines.append(f"  all bad records: {storage.to_path(self.directory) / RECEIPTS}")
        return "\n".join(lines)


def report_of(
    manifest: Manifest, receipts: Sequence[Receipt], directory: Path, kept: int, seconds: float
) -> SplitReport:
    """The report of a whole split; its tokens are those that an earlier report has counted."""
    tally = Tally.of(receipt.tally for receipt in receipts)
    named = [
        {"part": receipt.part, "key": bad.key, "reason": bad.reason}
        for receipt in receipts
        for bad in receipt.bad
    ]
    bad = sum(receipt.bad_records for receipt in receipts)
    return SplitReport(
        name=manifest.name,
        split=manifest.split,
        directory=str(directory),
        records=manifest.records,
        bad=bad,
        bad_within=len(named) - bad,
        bad_records=tuple(named[:_NAMED]),
        bad_reasons=_grouped(named),
        bytes=sum(shard.bytes for shard in manifest.shards),
        categories=manifest.categories,
        characters=tally.characters,
        tokens=_tokens_before(directory, manifest.checksum),
        images=tally.images,
        videos=tally.videos,
        tiles=tally.tiles,
        widths=tally.widths.summary(),
        heights=tally.heights.summary(),
        checksum=manifest.checksum,
        shards=len(receipts),
        shards_kept=kept,
        seconds=round(seconds, 3),
    )


def _grouped(named: Sequence[dict[str, str]]) -> tuple[dict[str, Any], ...]:
    """Reasons that differ in names and numbers only are one kind, told by its first one."""
    groups: dict[str, dict[str, Any]] = {}
    for bad in named:
        kind = _VARIABLE.sub("*", bad["reason"])
        group = groups.setdefault(kind, {"reason": bad["reason"], "count": 0, "keys": []})
        group["count"] += 1
        if len(group["keys"]) < _KEYS:
            group["keys"].append(bad["key"])
    return tuple(sorted(groups.values(), key=lambda group: -group["count"]))


def _tokens_before(directory: Path, checksum: str) -> dict[str, int]:
    """What was counted before, in these very records."""
    try:
        fields = json.loads((directory / REPORT).read_text())
        return dict(fields["tokens"]) if fields["checksum"] == checksum else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def write_report(report: SplitReport) -> None:
    """Puts the report beside the manifest."""
    text = json.dumps(report.as_dict(), indent=1, ensure_ascii=False)
    storage.write_atomically(storage.to_path(report.directory) / REPORT, text.encode())


def bad_allowed(fraction: float, seen: float) -> float:
    """How many of so many records may be bad.

    A fraction of a small number is less than one: a split of any size is forgiven ten bad records,
    but not half of itself; and none where the fraction is 0.
    """
    return max(fraction * seen, min(_FORGIVEN, seen / 2)) if fraction else 0.0


def too_many_bad(name: str, split: str, receipts: Sequence[Receipt], fraction: float) -> ValueError:
    """The error that names how many are bad, and one of the most frequent kind."""
    named = [
        {"key": bad.key, "reason": bad.reason}
        for receipt in receipts
        for bad in receipt.bad
        if not bad.within
    ]
    worst = _grouped(named)[0]
    return ValueError(
        f"{len(named):,} records of {name!r} ({split}) are bad, more than --max_bad_fraction "
        f"{fraction:g} allows; {worst['count']:,} of them like {worst['keys'][0]}: "
        f"{worst['reason']}"
    )
