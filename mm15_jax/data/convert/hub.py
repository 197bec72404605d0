"""Data sets as the Hugging Face hub holds them: parquet files with a row a question.

Rows have their pictures within. Columns are those of the data sets' cards, as the tasks of
lmms-eval (`doc_to_text`, `doc_to_visual`, `doc_to_target`) use them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mm15_jax.data.convert.parquet_files import picture_bytes
from mm15_jax.data.convert.published import files_of
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import (
    Reading,
    either,
    file_preparation,
    parquet,
    placed,
    uncounted,
)
from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.preparation import Preparation
from mm15_jax.inputs.example import Example, Image

Row = dict[str, Any]
# Of (maker, place of the row, row): one example, or those of a row that may have none.
RowExample = Callable[[Maker, str, Row], Example | Iterable[Example]]


def shards(split: str, *folders: str) -> str:
    """The pattern of a split's files, in the first of the folders that has any.

    The last resort is the folder that --source names, for who fetched the files alone.
    """
    names = [f"{folder}/{split}-*.parquet" for folder in folders or ("data",)]
    return "|".join([*names, f"{split}-*.parquet"])


def picture_of(cell: Any) -> Image:
    """The picture of a cell.

    Raises:
      DataError: if it has none, or training would refuse it.
    """
    return image_of(picture_bytes(cell))


def hub_reading(columns: Sequence[str], *, filters: bool = False) -> Reading:
    """Rows beside their places.

    Args:
      columns: what is read.
      filters: whether rows of other splits or subsets are among them.
    """
    reading = placed(parquet(*columns))
    return uncounted(reading) if filters else reading


def hub_preparation(
    *,
    name: str,
    category: str,
    description: str,
    licence: str,
    repository: str,
    files: Mapping[str, Sequence[str]],
    columns: Sequence[str],
    example: RowExample,
    filters: bool = False,
) -> Preparation:
    """A data set of the hub.

    Args:
      name: as in `Preparation`, and so are `category`, `description` and `licence`.
      category: of its examples.
      description: one sentence.
      licence: what the publisher states.
      repository: where it is, for users.
      files: patterns by split.
      columns: what is read of a row; another layout is refused with the names it has.
      example: makes the example of a row.
      filters: as in `hub_reading`.
    """
    return file_preparation(
        name=name,
        category=category,
        description=description,
        licence=licence,
        format="hub",
        layout=_layout(repository, files),
        files=files,
        reading=hub_reading(columns, filters=filters),
        example=lambda maker, record: example(maker, *record),
    )


def or_hub(
    preparation: Preparation,
    *,
    repository: str,
    files: Mapping[str, Sequence[str]],
    columns: Sequence[str],
    example: RowExample,
    filters: bool = False,
) -> Preparation:
    """The same data set; splits that --source has as the hub's copy are converted from that.

    Args:
      preparation: from the files of its own publisher.
      repository: as in `hub_preparation`, and so are the others.
      files: patterns by split; of splits that are not here the copy has none.
      columns: what is read of a row.
      example: makes the example of a row.
      filters: as in `hub_reading`.
    """
    facts = {name: getattr(preparation, name) for name in ("category", "description", "licence")}
    hub = hub_preparation(
        name=preparation.name,
        repository=repository,
        files=files,
        columns=columns,
        example=example,
        filters=filters,
        **facts,
    )
    return either(
        preparation, hub, lambda source, split: bool(files_of(source, files.get(split, ())))
    )


def _layout(repository: str, files: Mapping[str, Sequence[str]]) -> str:
    patterns = [pattern for patterns in files.values() for pattern in patterns]
    names = [" or ".join(pattern.split("|")[:-1]) for pattern in patterns]
    return f"of {repository} on the Hugging Face hub: {', '.join(dict.fromkeys(names))}"
