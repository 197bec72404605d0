"""Records that cannot be read, examples that no row can hold, documents that are cut."""

import dataclasses
import logging

import pytest

from mm15_jax import config as config_lib
from mm15_jax.config.mixtures import Group
from mm15_jax.data.pipeline import decode
from mm15_jax.data.planning import budgets_of, count_dataset, describe_left_out, plan_mixture
from mm15_jax.data.records import open_dataset, write_dataset
from mm15_jax.inputs.example import Text
from mm15_jax.inputs.tokenizer import load_tokenizer
from tests.data.conftest import plain_text
from tests.data.pipelines import assert_equal_batches, plan_of, start, take


@pytest.fixture
def torn(tmp_path, data_dir):
    """ "pictures" of which number 7 cannot be decoded and number 11 has another size."""
    examples = list(open_dataset(data_dir / "pictures" / "train"))

    def with_image(example, **changes):
        image, *rest = example.segments
        return dataclasses.replace(example, segments=(dataclasses.replace(image, **changes), *rest))

    examples[7] = with_image(examples[7], data=examples[7].segments[0].data[:60])
    examples[11] = with_image(examples[11], height=examples[11].segments[0].height + 1)
    write_dataset(tmp_path / "pictures" / "train", examples)
    return tmp_path


def test_bad_records_are_left_out_and_named(config, torn, data_dir, caplog):
    only = {"pictures": 1.0}
    with caplog.at_level(logging.WARNING):
        changed = take(config, torn, 40, weights=only)
    straight = take(config, data_dir, 40, weights=only)
    bad = sum(stats.bad_records for _, stats, _ in changed)
    assert 2 <= bad <= 10
    assert "left out pictures/7 of pictures" in caplog.text
    assert "left out pictures/11 of pictures" in caplog.text
    assert sum(s.examples for _, s, _ in straight) == sum(s.examples for _, s, _ in changed) + bad
    for (a, _, cursor_a), (b, stats, cursor_b) in zip(straight, changed, strict=True):
        assert cursor_a == cursor_b
        if not stats.bad_records:
            assert_equal_batches(a, b)


def test_too_many_bad_records_stop_the_run(config, torn):
    strict = config_lib.replace_nested(config, {"data.max_bad_fraction": 0.0})
    with start(strict, torn, {"pictures": 1.0}) as pipeline:
        with pytest.raises(
            ValueError, match=r"max_bad_fraction 0 allows.*pictures/(7|11) of pictures"
        ):
            for _ in range(100):
                next(pipeline)
        with pytest.raises(ValueError, match="max_bad_fraction"):  # and it stays so
            next(pipeline)


@pytest.fixture
def long_texts(tmp_path):
    """Texts of 5, 400, 6 and 500 letters; a letter is at most one token, a row has 96."""
    examples = [
        dataclasses.replace(plain_text(i), segments=(Text("x" * length, loss=True),))
        for i, length in enumerate((5, 400, 6, 500))
    ]
    write_dataset(tmp_path / "texts" / "train", examples)
    return tmp_path


def test_examples_that_no_row_can_hold_are_named(config, long_texts):
    config = config_lib.replace_nested(config, {"data.long_documents": "drop"})
    (line,) = describe_left_out(count_dataset("texts", long_texts, config), budgets_of(config))
    assert line == (
        "texts: 2 of 4 examples have more than 96 tokens and are left out: texts/1, texts/3"
    )


@pytest.mark.parametrize("unit", ["examples", "tokens"])
def test_data_sets_of_natural_size_end_their_epochs_together(config, long_texts, monkeypatch, unit):
    short = [dataclasses.replace(plain_text(i), source="short") for i in range(40)]
    write_dataset(long_texts / "short" / "train", short)
    monkeypatch.setattr(
        config_lib, "mixture", lambda config: (Group("text", 1.0, ("texts", "short")),)
    )
    config = config_lib.replace_nested(config, {"data.weigh_by": unit})
    plan, _ = plan_mixture(config, long_texts)
    sizes = {source.name: len(source.items) for source in plan.sources}
    assert sizes["texts"] > 4 and sizes["short"] == 40  # two of the four texts are cut
    epoch = sum(sizes.values())
    drawn = dict(zip(sizes, plan.mixture.counts(epoch), strict=True))
    assert drawn == pytest.approx(sizes, abs=1)


def test_a_data_set_of_which_nothing_fits_is_named(config, long_texts, monkeypatch):
    monkeypatch.setattr(config_lib, "mixture", lambda config: (Group("text", 1.0, ("texts",)),))
    config = config_lib.replace_nested(
        config, {"data.long_documents": "drop", "inputs.sequence_length": 3}
    )
    with pytest.raises(ValueError, match=r"'texts' fits a row. texts: 4 of 4 .* than 3 tokens"):
        plan_mixture(config, long_texts)


def test_long_documents_come_in_pieces_that_predict_every_token_once(config, long_texts):
    counted = count_dataset("texts", long_texts, config)
    (line,) = describe_left_out(counted, budgets_of(config))
    assert "2 of 4 texts have more than 96 tokens and are cut into pieces" in line
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    whole = [
        decode(e, tokenizer, config.inputs, tokens_per_tile=4, resolution=16)
        for e in open_dataset(long_texts / "texts" / "train")
    ]
    expected = 0
    for example in open_dataset(long_texts / "texts" / "train"):
        expected += len(tokenizer.encode(example.segments[0].text)) + 1 - 1  # the end; the first
    # An epoch: as many examples as there are items.
    config = config_lib.replace_nested(config, {"data.window": len(counted.items)})
    plan, _ = plan_of({"texts": 1.0}, long_texts, config)
    rows = plan.rows(0)
    ((batch, stats, _),) = take(config, long_texts, 1, weights={"texts": 1.0}, rows=len(rows))
    assert stats.examples == len(counted.items) > 4
    assert stats.loss_tokens == expected and stats.tokens == counted.items.totals.tokens
    assert len(whole[1].formatted.tokens) == 96  # the first piece, where none is asked for
    assert (batch["loss_weights"].sum(axis=1) > 0).all()
