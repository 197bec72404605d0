"""From a mixture's name to a plan: which data sets are there, what they weigh, what fits a row."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mm15_jax import config as config_lib
from mm15_jax.config.mixtures import Mixture, dataset_names, dataset_weights, group_weights
from mm15_jax.config.schema import ExperimentConfig
from mm15_jax.data.index import Index, load_index
from mm15_jax.data.inventory import dataset_counts
from mm15_jax.data.pack_plan import PackPlan, Plan, PlanSource
from mm15_jax.data.plan_items import Budgets, Items, load_items
from mm15_jax.data.records import Dataset, open_dataset
from mm15_jax.data.storage import to_path
from mm15_jax.inputs import formatting
from mm15_jax.inputs.example import Example
from mm15_jax.inputs.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from mm15_jax.data.streams import Stream

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counted:
    """A prepared data set with its index, and the items it makes under the budgets of a row."""

    dataset: Dataset
    index: Index
    items: Items


def budgets_of(config: ExperimentConfig) -> Budgets:
    """The budgets of a row in an experiment."""
    cut = config.data.long_documents == "split" and config.inputs.objective == "next_token"
    return Budgets(config.inputs.sequence_length, config.inputs.tiles_per_row, cut)


def count_dataset(
    name: str,
    data_dir: Path | str,
    config: ExperimentConfig,
    *,
    split: str = "train",
) -> Counted:
    """Opens `<data_dir>/<name>/<split>` with its items; ValueError if it is not prepared."""
    dataset = open_dataset(to_path(data_dir) / name / split)
    index = load_index(dataset, config.inputs, **_sizes(config))
    return Counted(dataset, index, load_items(index, budgets_of(config)))


def _sizes(config: ExperimentConfig) -> dict[str, int]:
    return {
        "tokens_per_tile": config.model.connector.tokens,
        "resolution": config.model.encoder.resolution,
    }


def weigh_mixture(
    groups: Mixture,
    counts: Mapping[str, int],
    data_dir: Path | str,
    config: ExperimentConfig,
    *,
    split: str = "train",
) -> tuple[dict[str, float], dict[str, Counted]]:
    """Share of each data set in the items that a mixture draws, and these data sets, counted.

    Natural sizes are of items: a text that is cut counts with its pieces, a record that no row can
    hold not at all. So the data sets of a group without shares end their epochs together.

    Args:
      groups: of the mixture.
      counts: records of the data sets that are there.
      data_dir: where they are.
      config: of the experiment; `data.weigh_by` says what the groups' weights count.
      split: such as "train".

    Raises:
      ValueError: if none of a data set's examples fits a row.
    """
    wanted = [name for name, weight in dataset_weights(groups, counts).items() if weight]
    counted = {name: count_dataset(name, data_dir, config, split=split) for name in wanted}
    for name, found in counted.items():
        if not len(found.items):
            lines = " ".join(describe_left_out(found, budgets_of(config)))
            raise ValueError(f"no example of the data set {name!r} fits a row. {lines}".rstrip())
    sizes = {name: len(found.items) for name, found in counted.items()}
    if config.data.weigh_by == "examples":
        return dataset_weights(groups, sizes), counted
    lengths = {name: found.items.mean_tokens for name, found in counted.items()}
    weights = dataset_weights(groups, sizes, lengths)
    for line in describe_conversion(weights, lengths):
        log.info("%s", line)
    return weights, counted


def make_plan(
    weights: Mapping[str, float], counted: Mapping[str, Counted], config: ExperimentConfig
) -> PackPlan:
    """The pack plan of data sets under an experiment's budgets.

    Args:
      weights: share of the examples of each data set, above 0.
      counted: those data sets.
      config: of the experiment.

    Raises:
      ValueError: if none of a data set's examples fits a row.
    """
    sources = []
    for name, weight in weights.items():
        items, manifest = counted[name].items, counted[name].dataset.manifest
        sources.append(
            PlanSource(
                name,
                items,
                weight,
                manifest.ordered,
                _checksum(manifest.checksum, items.totals.counts),
                version=manifest.version,
                records=manifest.checksum,
            )
        )
    return PackPlan(sources, budgets_of(config), window=config.data.window, seed=config.train.seed)


def _checksum(*words: str) -> str:
    """Of a data set in a plan: its records and their counts, not the code that counted them.

    So a new release of that code resumes a run wherever it counts the same.
    """
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def plan_mixture(
    config: ExperimentConfig, data_dir: Path | str, *, split: str = "train"
) -> tuple[Plan, list[Dataset | Stream]]:
    """The plan of an experiment's mixture, and its data sets in the plan's order.

    What the mixture lacks, what it then weighs, and which records no row can hold is logged.

    Raises:
      ValueError: if the data directory is empty, or a data set is missing and may not be
        (`data.allow_missing`), or has no example that fits a row.
    """
    groups = config_lib.mixture(config)
    streams: dict[str, Stream] = {}
    if config.data.streams:
        from mm15_jax.data.streams import open_streams  # it imports every converter

        streams = open_streams(config.data, groups, split)
    names = [name for name in dataset_names(groups) if name not in streams]
    allow_missing = config.data.allow_missing
    counts = dataset_counts(names, data_dir, split, allow_missing=allow_missing) if names else {}
    counts |= dict.fromkeys(streams, 1)  # none of them shares its group's weight by size
    for line in describe_missing(groups, counts):
        log.warning("%s", line)
    if config.data.packing == "late":
        weights = dataset_weights(groups, counts)
        return _plan_late(weights, data_dir, config, split, streams)
    weights, counted = weigh_mixture(groups, counts, data_dir, config, split=split)
    plan = make_plan(weights, counted, config)
    for name in weights:
        for line in describe_left_out(counted[name], plan.budgets):
            log.warning("%s", line)
    return plan, [counted[name].dataset for name in weights]


def _plan_late(
    weights: Mapping[str, float],
    data_dir: Path | str,
    config: ExperimentConfig,
    split: str,
    streams: Mapping[str, Stream],
) -> tuple[Plan, list[Dataset | Stream]]:
    from mm15_jax.data.late_packing import LatePlan, LateSource  # Grain takes a second to import

    log.warning(
        "data.packing=late: rows are packed as examples are read; they fill worse, and a run that "
        "goes on reads again what it has read"
    )
    datasets: list[Dataset | Stream] = []
    sources = []
    for name, weight in weights.items():
        if name in streams:
            datasets.append(stream := streams[name])
            sources.append(LateSource(name, stream, weight, checksum=stream.checksum))
        elif weight:
            datasets.append(dataset := open_dataset(to_path(data_dir) / name / split))
            facts = dataset.manifest
            sources.append(LateSource(name, dataset, weight, facts.ordered, facts.checksum))
    tokenizer = load_tokenizer(config.inputs.tokenizer)

    def measure(example: Example) -> tuple[int, int]:
        return formatting.measure(example, tokenizer, config.inputs, **_sizes(config))

    plan = LatePlan(
        sources,
        budgets_of(config),
        measure,
        window=config.data.window,
        seed=config.train.seed,
        max_bad_fraction=config.data.max_bad_fraction,
    )
    return plan, datasets


def describe_missing(groups: Mixture, counts: Mapping[str, int]) -> list[str]:
    """What a mixture lacks, and the weights that its categories have without it; none if whole."""
    missing = [name for name in dataset_names(groups) if name not in counts]
    if not missing:
        return []
    lines = [f"not prepared, left out with their weight: {', '.join(missing)}"]
    for category, (whole, present) in group_weights(groups, counts).items():
        lines.append(f"weight of {category}: {present:.2%}, {whole:.2%} in the whole mixture")
    return lines


def describe_conversion(weights: Mapping[str, float], lengths: Mapping[str, float]) -> list[str]:
    """A line a data set: its share of the tokens, and of the examples, in a mixture by tokens."""
    total = sum(weight * lengths[name] for name, weight in weights.items())
    return [
        f"mixture by tokens: {name} {weight * lengths[name] / total:.2%} of the tokens, "
        f"{lengths[name]:,.1f} tokens an example by its index, so {weight:.2%} of the examples"
        for name, weight in weights.items()
    ]


def describe_left_out(counted: Counted, budgets: Budgets) -> list[str]:
    """A line for each reason for which records of a data set never enter a row, or are cut."""
    dataset, totals = counted.dataset, counted.items.totals
    lines = []
    for reason, words in (
        ("too_long", f"have more than {budgets.tokens} tokens"),
        ("too_many_tiles", f"have more than {budgets.tiles} tiles"),
        ("unusable", "cannot be read or formatted"),
    ):
        found = totals.left_out.get(reason)
        if found and found.records:
            names = ", ".join(_key(dataset, record) for record in found.first)
            more = ", ..." if found.records > len(found.first) else ""
            lines.append(
                f"{dataset.name}: {found.records} of {len(dataset)} examples {words} and are left "
                f"out: {names}{more}"
            )
    if totals.cut:
        lines.append(
            f"{dataset.name}: {totals.cut} of {len(dataset)} texts have more than {budgets.tokens} "
            "tokens and are cut into pieces (data.long_documents)"
        )
    return lines


def _key(dataset: Sequence, record: int) -> str:
    try:
        return dataset[record].key
    except ValueError:
        return f"record {record}"
