"""What training will see: facts of planned rows, and some rows read as training reads them."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mm15_jax.config.schema import ExperimentConfig
from mm15_jax.data import batch as batch_lib
from mm15_jax.data.batch import Batch, BatchShape, Count
from mm15_jax.data.pack_plan import PackPlan, Plan, Row
from mm15_jax.data.pipeline import decode, example_of
from mm15_jax.data.records import Dataset
from mm15_jax.inputs.formatting import Formatted
from mm15_jax.inputs.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from mm15_jax.data.streams import Stream


@dataclass(frozen=True)
class Piece:
    """A run of an example's tokens that is one thing."""

    kind: str  # "text", "marker" (a role's or the end), "tile"
    text: str  # as the tokenizer gives it back; of a tile its place
    start: int  # first token in the row
    stop: int
    loss: bool  # whether it is learned


@dataclass(frozen=True)
class Picture:
    """A picture's tiles, as they stand in the batch."""

    grid: tuple[int, int]  # rows, columns
    size: tuple[int, int]  # height, width of the original
    cells: tuple[tuple[int, int], ...]  # of each tile; (0, 0) is the overview
    tiles: np.ndarray  # uint8[k, r, r, 3]


@dataclass(frozen=True)
class ReadExample:
    """An example of a row that was read."""

    source: str
    key: str
    category: str
    piece: int  # of a document that is cut
    tokens: int
    loss_tokens: int
    seconds: float  # of one core's time, to read, decode, tile and tokenise it
    pieces: tuple[Piece, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class ReadRow:
    """A row of a batch, and what it is made of."""

    number: int  # among the rows from the cursor on
    batch: Batch  # of one row
    examples: tuple[ReadExample, ...]
    bad: tuple[str, ...] = ()  # what could not be read, and why

    @property
    def seconds(self) -> float:
        """To read it on one core."""
        return sum(example.seconds for example in self.examples)


@dataclass
class Facts:
    """Sums over planned rows."""

    rows: int = 0
    by_source: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    longest: dict[str, tuple[int, int]] = field(default_factory=dict)  # most tokens, tiles of one
    token_fill: list[float] = field(default_factory=list)  # of each row
    tile_fill: list[float] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)

    @property
    def total(self) -> Count:
        """Over all sources."""
        total = Count()
        for count in self.by_source.values():
            total.add(count)
        return total


def plan_facts(rows: Sequence[Row], plan: Plan, names: Sequence[str]) -> Facts:
    """Facts of planned rows; nothing is read. Loss tokens are not planned, and stay 0."""
    facts = Facts(rows=len(rows))
    for row in rows:
        facts.token_fill.append(float(row.tokens.sum()) / plan.sequence_length)
        facts.tile_fill.append(float(row.tiles.sum()) / max(plan.tiles_per_row, 1))
        facts.segments.append(len(row.records))
        for s, tokens, tiles in zip(
            row.sources.tolist(), row.tokens.tolist(), row.tiles.tolist(), strict=True
        ):
            facts.by_source[names[s]].add(Count(1, tokens, tiles))
            most = facts.longest.get(names[s], (0, 0))
            facts.longest[names[s]] = max(most[0], tokens), max(most[1], tiles)
    return facts


def window_fill(plan: PackPlan, windows: Sequence[int]) -> list[tuple[int, float, float]]:
    """(window, token fill, tile fill) of whole windows."""
    found = []
    for window in windows:
        facts = plan_facts(plan.rows(window), plan, [s.name for s in plan.sources])
        found.append((window, float(np.mean(facts.token_fill)), float(np.mean(facts.tile_fill))))
    return found


def read_rows(
    rows: Mapping[int, Row], datasets: Sequence[Dataset | Stream], config: ExperimentConfig
) -> Iterator[ReadRow]:
    """Reads rows as training does, one after the other, and keeps what they are made of.

    Args:
      rows: by their number.
      datasets: of the plan.
      config: of the experiment.
    """
    sizes = {
        "tokens_per_tile": config.model.connector.tokens,
        "resolution": config.model.encoder.resolution,
    }
    inputs = config.inputs
    shape = BatchShape(1, inputs.sequence_length, inputs.tiles_per_row, **sizes)
    tokenizer = load_tokenizer(inputs.tokenizer)
    names = sorted({name for d in datasets for name in d.categories})
    category_ids = {name: number for number, name in enumerate(names)}
    for number, row in rows.items():
        decoded, facts, bad = [], [], []
        places = zip(row.sources.tolist(), row.records.tolist(), row.pieces.tolist(), strict=True)
        for i, (source, record, piece) in enumerate(places):
            # The CPU's time: what else the machine does, or a cold disk, is not the example's.
            key, began = f"record {record}", time.thread_time()
            try:
                example = example_of(row, i, datasets[source])
                key = example.key
                made = decode(example, tokenizer, inputs, **sizes, piece=piece)
            except ValueError as error:
                bad.append(f"{key} of {datasets[source].name}: {error}")
                continue
            decoded.append(made)
            facts.append((datasets[source].name, key, piece, time.thread_time() - began))
        batch = batch_lib.empty_batch(shape)
        laid = batch_lib.fill_row(
            batch,
            0,
            decoded,
            tokens_per_tile=shape.tokens_per_tile,
            category_ids=category_ids,
        )
        start, examples = 0, []
        for made, (name, key, piece, seconds), (_, _, count) in zip(
            decoded, facts, laid, strict=True
        ):
            examples.append(
                ReadExample(
                    name,
                    key,
                    made.category,
                    piece,
                    count.tokens,
                    count.loss_tokens,
                    seconds,
                    tuple(_pieces(made.formatted, start, tokenizer, shape.tokens_per_tile)),
                    tuple(
                        Picture(t.grid, (t.height, t.width), t.cells, np.asarray(tiles))
                        for t, tiles in zip(made.formatted.tilings, made.tiles, strict=True)
                    ),
                )
            )
            start += count.tokens
        yield ReadRow(number, batch, tuple(examples), tuple(bad))


def _pieces(
    formatted: Formatted, offset: int, tokenizer: Tokenizer, tokens_per_tile: int
) -> Iterator[Piece]:
    """Runs of an example's tokens: texts with and without loss, markers, tiles."""
    markers = {ids[0]: role for role, ids in tokenizer.role_ids.items() if len(ids) == 1}
    markers[tokenizer.eos_id] = "end"
    tokens = formatted.tokens
    tiles = np.where(formatted.vision_index >= 0, formatted.vision_index // tokens_per_tile, -1)
    loss = formatted.loss_weights > 0
    # Nothing before the first token could predict it; it is shown as what it begins.
    loss[:1] = loss[1:2]
    special = np.isin(tokens, list(markers)) & (tiles < 0)
    changes = (np.diff(tiles) != 0) | (np.diff(loss) != 0) | special[1:] | special[:-1]
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(tokens)]
    places = [(number, *cell) for number, t in enumerate(formatted.tilings) for cell in t.cells]
    for start, stop in itertools.pairwise(bounds):
        if tiles[start] >= 0:
            kind, text = "tile", "{},{},{}".format(*places[tiles[start]])
        elif special[start]:
            kind, text = "marker", markers[int(tokens[start])]
        else:
            kind, text = "text", tokenizer.decode(tokens[start:stop].tolist())
        yield Piece(kind, text, offset + start, offset + stop, bool(loss[start]))
