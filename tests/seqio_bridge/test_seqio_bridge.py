"""Ours in SeqIO and SeqIO's in ours. SeqIO and TensorFlow are imported by the first test."""

import dataclasses
import importlib
import io
import shutil

import numpy as np
import PIL.Image
import pytest

from mm15_jax import config as config_lib
from mm15_jax.config.mixtures import dataset_names, dataset_weights
from mm15_jax.data.inventory import dataset_counts
from mm15_jax.data.pipeline import decode
from mm15_jax.data.planning import plan_mixture
from mm15_jax.data.prepare import prepare
from mm15_jax.data.records import open_dataset, write_dataset
from mm15_jax.inputs.example import Example, Image, Text
from mm15_jax.inputs.tokenizer import load_tokenizer
from tests import tiny


@pytest.fixture(scope="module")
def seqio():
    return importlib.import_module("seqio")


@pytest.fixture(scope="module")
def bridge():
    return importlib.import_module("mm15_jax.seqio_bridge")


@pytest.fixture(scope="module")
def name(bridge, data_dir):
    return bridge.register(tiny.experiment(), data_dir)


def features_of(seqio, name, split="train", **arguments):
    task = seqio.get_mixture_or_task(name)
    return list(task.get_dataset(split=split, shuffle=False, **arguments).as_numpy_iterator())


def test_a_task_has_the_pipelines_tokens_weights_and_tiles(seqio, name, data_dir):
    config = tiny.experiment()
    examples = open_dataset(data_dir / "mini_word_qa" / "train")
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    found = features_of(seqio, "mm15_mini_word_qa")
    assert len(found) == len(examples)
    for features, example in zip(found, examples, strict=True):
        expected = decode(example, tokenizer, config.inputs, tokens_per_tile=4, resolution=48)
        tokens = np.concatenate([features["inputs"], features["targets"]])
        np.testing.assert_array_equal(tokens, expected.formatted.tokens)
        cut = len(features["inputs"])
        assert not expected.formatted.loss_weights[:cut].any()
        np.testing.assert_array_equal(
            features["loss_weights"], expected.formatted.loss_weights[cut:]
        )
        np.testing.assert_array_equal(features["tiles"], np.concatenate(expected.tiles))
        assert (tokens == tokenizer.image_id).sum() == 4 * len(features["tiles"])
        assert features["targets"][-1] == tokenizer.eos_id


def test_the_mixture_has_our_weights_and_get_dataset_gives_it(seqio, name, data_dir):
    config = tiny.experiment()
    assert name == f"mm15_{config.data.mixture}"
    groups = config_lib.mixture(config)
    counts = dataset_counts(dataset_names(groups), data_dir)
    mixture = seqio.get_mixture_or_task(name)
    rates = {task.name: mixture.get_rate(task) for task in mixture.tasks}
    weights = dataset_weights(groups, counts)
    assert rates == pytest.approx({f"mm15_{name}": weight for name, weight in weights.items()})
    dataset = seqio.get_dataset(
        name,
        {"inputs": 64, "targets": 16},
        feature_converter=seqio.PrefixLMFeatureConverter(pack=False),
        shuffle=True,
        seed=1,
    )
    (batch,) = dataset.batch(4).take(1).as_numpy_iterator()
    assert batch["decoder_target_tokens"].shape == (4, 80)
    assert batch["decoder_loss_weights"].any()


def test_our_converter_pads_tokens_and_tiles(seqio, bridge, name):
    lengths = {"inputs": 64, "targets": 16, "loss_weights": 16, "tiles": 6}
    dataset = seqio.get_dataset(name, lengths, feature_converter=bridge.FeatureConverter())
    (batch,) = dataset.batch(8).take(1).as_numpy_iterator()
    assert batch["tiles"].shape == (8, 6, 48, 48, 3)
    assert {k: v.shape[1] for k, v in batch.items()} == lengths
    assert not batch["loss_weights"][batch["targets"] == 0].any()


def test_shuffling_is_of_the_whole_split_and_by_the_seed(seqio, name):
    task = seqio.get_mixture_or_task("mm15_mini_word_qa")

    def answers(**arguments):
        dataset = task.get_dataset(split="train", **arguments)
        return [features["example"] for features in dataset.as_numpy_iterator()]

    written = answers(shuffle=False)
    first, again, other = (answers(shuffle=True, seed=seed) for seed in (1, 1, 2))
    assert first == again != other != written
    assert sorted(first) == sorted(other) == sorted(written)


def test_shards_divide_a_split(seqio, name):
    whole = features_of(seqio, "mm15_mini_word_qa")
    parts = [
        features_of(seqio, "mm15_mini_word_qa", shard_info=seqio.ShardInfo(index, 3))
        for index in range(3)
    ]
    assert {len(part) for part in parts} == {len(whole) // 3}
    keys = sorted(features["example"] for part in parts for features in part)
    assert keys == sorted(features["example"] for features in whole)


@pytest.mark.parametrize("benchmark", ["mini_word_qa", "mini_grounding", "mini_diagram_qa"])
def test_the_evaluator_scores_with_our_metrics(seqio, bridge, name, benchmark):
    evaluator = seqio.Evaluator(
        f"mm15_{benchmark}",
        bridge.FeatureConverter(),
        eval_split="train",
        num_examples=8,
    )

    def right_for_the_first_half(dataset):
        rows = list(dataset.as_numpy_iterator())
        wrong = np.zeros_like(rows[0][1]["targets"])
        return [(int(i), row["targets"] if i < len(rows) // 2 else wrong) for i, row in rows]

    metrics, _ = evaluator.evaluate(compute_metrics=True, predict_fn=right_for_the_first_half)
    ((scores,),) = [metrics.result().values()]
    ((metric, score),) = scores.items()
    example = open_dataset_example(seqio, benchmark)
    assert metric == example.metadata["metric"] and score == 0.5


def open_dataset_example(seqio, benchmark):
    task = seqio.get_mixture_or_task(f"mm15_{benchmark}")
    (features,) = task.get_dataset(split="train", shuffle=False).take(1).as_numpy_iterator()
    return task.postprocess_fn("", example=features, is_target=True)


def test_a_missing_data_set_is_an_error_with_its_command(bridge, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="mm15 prepare mini_"):
        bridge.register(tiny.experiment(), tmp_path)


def test_dense_labels_are_refused(bridge, data_dir):
    config = tiny.experiment(**{"inputs.objective": "dense_labels"})
    with pytest.raises(ValueError, match="'dense_labels' has not; expected 'next_token'"):
        bridge.register(config, data_dir)


def test_the_vocabulary_is_our_tokenizer(seqio, bridge):
    import tensorflow as tf

    tokenizer = load_tokenizer(tiny.experiment().inputs.tokenizer)
    vocabulary = bridge.TokenizerVocabulary(tokenizer)
    ids = tokenizer.encode("what is it?")
    assert vocabulary.encode("what is it?") == ids
    assert vocabulary.encode_tf(tf.constant("what is it?")).numpy().tolist() == ids
    assert vocabulary.decode([*ids, tokenizer.eos_id, *ids]) == "what is it?"
    padded = tf.constant([[*ids, tokenizer.eos_id], [*ids[:-1], 0, 0]])
    assert vocabulary.decode_tf(padded).numpy().tolist() == [
        b"what is it?",
        tokenizer.decode(ids[:-1]).encode(),
    ]
    assert vocabulary == bridge.TokenizerVocabulary(tokenizer)
    assert vocabulary.vocab_size == tokenizer.vocab_size


def add_tasks(seqio):
    """A mixture of a text task of three files and a task with pixels; one example is empty."""
    import tensorflow as tf

    vocabulary = seqio.ByteVocabulary()
    features = {name: seqio.Feature(vocabulary) for name in ("inputs", "targets")}

    def sums(split, shuffle_files, seed=None):
        rows = {
            "inputs": [f"{i} + 1 =" for i in range(10)],
            "targets": [str(i + 1) if i != 4 else "" for i in range(10)],
        }
        return tf.data.Dataset.from_tensor_slices(rows)

    def colours(split, shuffle_files, seed=None):
        pixels = np.zeros((2, 6, 9, 3), np.uint8)
        pixels[1, ..., 0] = 255
        rows = {"image": pixels, "inputs": ["colour?"] * 2, "targets": ["black", "red"]}
        return tf.data.Dataset.from_tensor_slices(rows)

    for name, function in {"their_sums": sums, "their_colours": colours}.items():
        seqio.TaskRegistry.add(
            name,
            source=seqio.FunctionDataSource(function, splits=["train"]),
            preprocessors=[seqio.preprocessors.tokenize],
            output_features=features,
        )
    seqio.MixtureRegistry.add("theirs", [("their_sums", 3), ("their_colours", 1)])


@pytest.fixture(scope="module")
def theirs(seqio, bridge, tmp_path_factory):
    add_tasks(seqio)
    directory = tmp_path_factory.mktemp("theirs")
    for preparation in bridge.preparations("theirs", "general", licence="none"):
        prepare(preparation, directory, workers=1, max_bad_fraction=0.2)
    return directory


def test_a_mixture_by_tokens_has_the_rates_of_our_plan(seqio, bridge, data_dir):
    config = config_lib.replace_nested(tiny.experiment(), {"data.weigh_by": "tokens"})
    plan, _ = plan_mixture(config, data_dir)
    mixture = seqio.get_mixture_or_task(bridge.register(config, data_dir))
    rates = {task.name: mixture.get_rate(task) for task in mixture.tasks}
    assert rates == pytest.approx({f"mm15_{s.name}": s.weight for s in plan.sources})
    bridge.register(tiny.experiment(), data_dir)


def test_a_seqio_mixture_becomes_data_sets_of_ours(theirs):
    sums, colours = (open_dataset(theirs / n / "train") for n in ("their_sums", "their_colours"))
    assert len(sums) == 9 and len(colours) == 2  # one answer is empty: a bad record
    question, answer = sums[3].segments
    assert (question, answer) == (
        Text("3 + 1 =", role="user"),
        Text("4", role="assistant", loss=True),
    )
    assert sums[3].key == "train-00000-of-00001#3" and sums[3].category == "general"
    picture, question, answer = colours[1].segments
    assert isinstance(picture, Image) and (picture.height, picture.width) == (6, 9)
    assert (np.asarray(PIL.Image.open(io.BytesIO(picture.data))) == (255, 0, 0)).all()
    assert answer.text == "red"


def test_their_mixture_has_their_rates_in_ours(bridge, theirs):
    groups = bridge.mixture("theirs")
    counts = dataset_counts(dataset_names(groups), theirs)
    assert dataset_weights(groups, counts) == {"their_sums": 0.75, "their_colours": 0.25}
    with pytest.raises(ValueError, match="'their_sums' is a SeqIO task; expected a mixture"):
        bridge.mixture("their_sums")


def test_a_converter_of_ones_own(seqio, bridge, theirs, tmp_path):
    def only_targets(features, source, key):
        from mm15_jax.inputs.example import Example

        return Example(
            (Text(features["targets_pretokenized"].decode(), loss=True),), source, key, "text", {}
        )

    (preparation,) = bridge.preparations("their_sums", "text", convert=only_targets)
    prepare(dataclasses.replace(preparation, name="their_sums"), tmp_path, workers=1)
    assert open_dataset(tmp_path / "their_sums" / "train")[0].segments == (Text("1", loss=True),)


def test_every_prepared_split_is_in_a_task(seqio, bridge, data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path, dirs_exist_ok=True)
    words = (Text("q", role="user"), Text("a", role="assistant", loss=True))
    write_dataset(tmp_path / "own" / "testA", [Example(words, "own", "0", "text", {})])
    bridge.register(tiny.experiment(), tmp_path)
    assert list(seqio.TaskRegistry.get("mm15_own").splits) == ["testA"]
    bridge.register(tiny.experiment(), data_dir)
