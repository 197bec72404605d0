"""Prepared data sets as SeqIO tasks, mixtures as SeqIO mixtures, our metrics as SeqIO's."""

from __future__ import annotations

import collections
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from mm15_jax import config as config_lib
from mm15_jax.config.mixtures import dataset_names
from mm15_jax.config.schema import ExperimentConfig
from mm15_jax.data import storage
from mm15_jax.data.inventory import dataset_counts
from mm15_jax.data.permutation import derive_seed, permute
from mm15_jax.data.planning import weigh_mixture
from mm15_jax.data.records import MANIFEST, Dataset, decode_example, open_dataset
from mm15_jax.evaluation.metrics import mean_and_error, score_answer
from mm15_jax.inputs.example import Example, Image
from mm15_jax.inputs.formatting import format_example
from mm15_jax.inputs.rendering import load_example
from mm15_jax.inputs.tokenizer import Tokenizer, load_tokenizer

PREFIX = "mm15_"  # of the names of our tasks and mixtures


def register(config: ExperimentConfig, data_dir: Path | str) -> str:
    """Puts prepared data sets and an experiment's mixture into SeqIO's registries.

    A task `mm15_<data set>` for each that is prepared, and the mixture `mm15_<mixture>`; those of
    the same names are replaced. A task's features are those of our own pipeline:

    * inputs: int32[P], the example up to where the model answers; empty for a document.
    * targets: int32[L], the rest. One image token stands for each vision token.
    * loss_weights: float32[L], of predicting the targets.
    * tiles: uint8[n, r, r, 3]; tile k's vision tokens are the image tokens k T to k T + T - 1.

    Args:
      config: of the experiment: its mixture, tokenizer, splitting and resolution.
      data_dir: where `mm15 prepare` put the data sets.

    Returns:
      The mixture's name.

    Raises:
      ValueError: if a data set of the mixture is missing and `data.allow_missing` is not set, or
        the objective is not of next tokens.
    """
    if config.inputs.objective != "next_token":
        raise ValueError(
            f"SeqIO's tasks have inputs and targets, which objective {config.inputs.objective!r} "
            "has not; expected 'next_token'"
        )
    groups = config_lib.mixture(config)
    counts = dataset_counts(
        dataset_names(groups), data_dir, allow_missing=config.data.allow_missing
    )
    weights, _ = weigh_mixture(groups, counts, data_dir, config)
    root = storage.to_path(data_dir)
    for directory in (root / name for name in sorted(storage.folder_names(root))):
        found = sorted(storage.folder_names(directory))
        splits = [split for split in found if storage.size_of(directory / split / MANIFEST)]
        if splits:
            _add_task(config, directory, splits)
    name = PREFIX + config.data.mixture
    if name in seqio.MixtureRegistry.names():
        seqio.MixtureRegistry.remove(name)
    rates = [(PREFIX + dataset, weight) for dataset, weight in weights.items()]
    seqio.MixtureRegistry.add(name, rates)
    return name


def _add_task(config: ExperimentConfig, directory: Path, splits: Sequence[str]) -> None:
    vocabulary = TokenizerVocabulary(load_tokenizer(config.inputs.tokenizer))
    source = PreparedSource({split: open_dataset(directory / split) for split in splits})
    name = PREFIX + directory.name
    if name in seqio.TaskRegistry.names():
        seqio.TaskRegistry.remove(name)
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=[functools.partial(_formatted, config=config)],
        output_features={
            "inputs": seqio.Feature(vocabulary, add_eos=False),
            "targets": seqio.Feature(vocabulary, add_eos=False),
            **{
                name: seqio.ContinuousFeature(dtype=spec.dtype, rank=spec.rank)
                for name, spec in FeatureConverter.TASK_FEATURES.items()
                if name not in ("inputs", "targets")
            },
        },
        postprocess_fn=answer_or_example,
        metric_fns=[metric_scores] if source.is_scored else [],
        shuffle_buffer_size=None,  # the source shuffles
    )


class PreparedSource(seqio.DataSource):
    """A prepared data set as SeqIO's source of {"record": a serialised Example}."""

    def __init__(self, datasets: Mapping[str, Dataset]):
        """Takes the open splits by name."""
        self._datasets = dict(datasets)
        super().__init__(
            splits=self._datasets,
            num_input_examples={split: len(dataset) for split, dataset in datasets.items()},
            performs_internal_shuffling=True,
        )

    @property
    def is_scored(self) -> bool:
        """Whether examples name the metric that scores their answers; judged by the first ones."""
        firsts = [dataset[0] for dataset in self._datasets.values() if len(dataset)]
        return any("metric" in example.metadata for example in firsts)

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """Records are read one by one, so any number of shards will do."""
        return True

    def list_shards(self, split: str) -> Sequence[str]:
        """The files of a split."""
        return [shard.file for shard in self._datasets[split].manifest.shards]

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        **_: Any,
    ) -> tf.data.Dataset:
        """Records in order, or shuffled over the whole split; a curriculum is always in order."""
        dataset = self._datasets[split]
        records = len(dataset)
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        seed = derive_seed("seqio", int(seed), split)
        if dataset.manifest.ordered:
            shuffle = False

        def read(position: np.ndarray) -> bytes:
            if shuffle:
                position = permute(position[np.newaxis], records, seed)[0]
            return dataset.record(int(position))

        positions = tf.data.Dataset.range(records)
        if shard_info is not None and shard_info.num_shards > 1:
            positions = positions.shard(shard_info.num_shards, shard_info.index)

        def element(position: tf.Tensor) -> dict[str, tf.Tensor]:
            record = tf.numpy_function(read, [position], tf.string)
            record.set_shape(())
            return {"record": record}

        return positions.map(element, num_parallel_calls=tf.data.AUTOTUNE)


def _formatted(dataset: tf.data.Dataset, *, config: ExperimentConfig) -> tf.data.Dataset:
    """SeqIO preprocessor: from serialised Examples to the features that `register` describes."""
    inputs, r = config.inputs, config.model.encoder.resolution
    tokenizer = load_tokenizer(inputs.tokenizer)
    format_it = functools.partial(
        format_example,
        tokenizer=tokenizer,
        inputs=inputs,
        tokens_per_tile=config.model.connector.tokens,
        resolution=r,
    )

    def arrays(record: bytes) -> tuple:
        example = decode_example(record)
        whole = format_it(example)
        prompt = format_it(example, for_generation=True)
        # The prompt ends with the mark of an answer, which an example without one has not.
        cut = min(len(prompt.tokens), len(whole.tokens))
        assert (whole.tokens[:cut] == prompt.tokens[:cut]).all(), example.key
        tiles = load_example(example, whole)
        return (
            whole.tokens[:cut],
            whole.tokens[cut:],
            whole.loss_weights[cut:],
            np.concatenate([np.zeros((0, r, r, 3), np.uint8), *tiles]),
            tokenizer.decode(whole.tokens[:cut].tolist()),
            tokenizer.decode(whole.tokens[cut:].tolist()),
            _without_pixels(example),
        )

    features = {
        "inputs": (tf.int32, (None,)),
        "targets": (tf.int32, (None,)),
        "loss_weights": (tf.float32, (None,)),
        "tiles": (tf.uint8, (None, r, r, 3)),
        "inputs_pretokenized": (tf.string, ()),
        "targets_pretokenized": (tf.string, ()),
        "example": (tf.string, ()),
    }

    def element(element: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        types = [dtype for dtype, _ in features.values()]
        values = tf.numpy_function(arrays, [element["record"]], types)
        for value, (_, shape) in zip(values, features.values(), strict=True):
            value.set_shape(shape)
        return dict(zip(features, values, strict=True))

    return dataset.map(element, num_parallel_calls=tf.data.AUTOTUNE)


def _without_pixels(example: Example) -> str:
    """What scoring an answer needs of an example, as JSON."""
    sizes = [(s.height, s.width) for s in example.segments if isinstance(s, Image)]
    fields = (sizes, example.source, example.key, example.category, dict(example.metadata))
    return json.dumps(fields)


def answer_or_example(decoded: str, *, example: Mapping[str, Any], is_target: bool) -> Any:
    """SeqIO's postprocess_fn: a target becomes its Example (no pixels), a prediction its text."""
    if not is_target:
        return decoded.strip()
    text = example["example"]
    sizes, *fields = json.loads(text.decode() if isinstance(text, bytes) else text)
    return Example(tuple(Image(b"", *size) for size in sizes), *fields)


def metric_scores(targets: Sequence[Example], predictions: Sequence[str]) -> dict[str, float]:
    """SeqIO's metric_fn: the mean, 0 to 1, of each metric that the examples name."""
    scores = collections.defaultdict(list)
    for target, prediction in zip(targets, predictions, strict=True):
        if "metric" in target.metadata:
            scores[target.metadata["metric"]].append(score_answer(prediction, target))
    return {name: mean_and_error(values)[0] for name, values in scores.items()}


class FeatureConverter(seqio.FeatureConverter):
    """Our tasks' four features, padded to the lengths asked for; for `seqio.Evaluator` too.

    SeqIO's own converters work with `seqio.get_dataset`, and leave tiles and loss weights out.
    """

    TASK_FEATURES = {  # noqa: RUF012 (SeqIO's interface)
        "inputs": seqio.FeatureConverter.FeatureSpec(dtype=tf.int32),
        "targets": seqio.FeatureConverter.FeatureSpec(dtype=tf.int32),
        "loss_weights": seqio.FeatureConverter.FeatureSpec(dtype=tf.float32),
        "tiles": seqio.FeatureConverter.FeatureSpec(dtype=tf.uint8, rank=4),
    }
    MODEL_FEATURES = TASK_FEATURES
    PACKING_FEATURE_DTYPES = None

    def __init__(self):
        """Never packs: rows of tokens and tiles are our pack plan's business."""
        super().__init__(pack=False)

    def get_model_feature_lengths(self, task_feature_lengths: Mapping[str, int]) -> dict[str, int]:
        """The same lengths."""
        return dict(task_feature_lengths)

    def _convert_features(
        self, ds: tf.data.Dataset, task_feature_lengths: Mapping[str, int]
    ) -> tf.data.Dataset:
        padded = self._pack_or_pad(ds, task_feature_lengths)
        return padded.map(lambda element: {name: element[name] for name in self.MODEL_FEATURES})


class TokenizerVocabulary(seqio.Vocabulary):
    """One of our tokenizers as SeqIO's vocabulary."""

    def __init__(self, tokenizer: Tokenizer):
        """Wraps a tokenizer."""
        super().__init__()
        self.tokenizer = tokenizer

    @property
    def eos_id(self) -> int:
        """Ends an answer."""
        return self.tokenizer.eos_id

    @property
    def unk_id(self) -> None:
        """Our decoders pass over ids that they do not know."""
        return None

    @property
    def _base_vocab_size(self) -> int:
        return self.tokenizer.vocab_size

    def _encode(self, s: str) -> list[int]:
        return self.tokenizer.encode(s)

    def _decode(self, ids: Iterable[int]) -> str:
        return self.tokenizer.decode([int(i) for i in ids])

    def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        def encode(text: bytes | np.ndarray) -> np.ndarray:
            text = text if isinstance(text, bytes) else text.item()  # eager: an array of one
            return np.array(self._encode(text.decode()), np.int32)

        ids = tf.numpy_function(encode, [s], tf.int32)
        ids.set_shape((None,))
        return ids

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        def decode(ids: np.ndarray) -> np.ndarray:
            rows = [self._decode(row) for row in ids.reshape(-1, ids.shape[-1])]
            return np.array(rows, object).reshape(ids.shape[:-1])

        text = tf.numpy_function(decode, [ids], tf.string)
        text.set_shape(ids.shape[:-1])
        return text

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TokenizerVocabulary)
            and other.tokenizer.fingerprint == self.tokenizer.fingerprint
        )

    def __hash__(self) -> int:
        return hash(self.tokenizer.fingerprint)
