import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mm15_jax.config.schema import MoEConfig
from mm15_jax.infer import batching
from mm15_jax.infer.generate import Generator
from mm15_jax.infer.score import (
    Score,
    answer_prompt,
    continue_prompt,
    score_prompts,
    token_prompt,
)
from mm15_jax.inputs.example import Example, Text
from mm15_jax.model import mllm
from tests.infer.small import make_example

CONTINUATIONS = ["yes", "no, it is not", "?", "a much longer text, of forty tokens or so", "12"]


@pytest.fixture(scope="module")
def generator(params, model, inputs, tokenizer):
    return Generator(params, model, inputs, tokenizer)


@pytest.fixture(scope="module")
def prompts(generator, examples):
    return [
        continue_prompt(generator, example, CONTINUATIONS[i % 5], index=i)
        for i, example in enumerate(examples)
    ]


@pytest.fixture(scope="module")
def scores(generator, prompts):
    return score_prompts(generator, prompts, batch_size=4)


def plain_score(generator, prompt):
    """One row without padding to a ladder, logits of all tokens at once: the definition."""
    size = prompt.length
    group = batching.Group(length=size, tiles=prompt.tiles, rows=1, prompts=(prompt,))
    batch = batching.build_batch(group, resolution=generator.model.encoder.resolution, pad_id=0)
    hidden, _ = mllm.forward(generator.params, batch, generator.model, dtype=jnp.float32)
    logits = mllm.unembed(generator.params, hidden, generator.model)[0]
    logs = np.asarray(jax.nn.log_softmax(logits, axis=-1))
    tokens = prompt.formatted.tokens
    scored = np.flatnonzero(prompt.formatted.loss_weights)
    total = math.fsum(logs[t - 1, tokens[t]] for t in scored)
    return Score(total, all(logs[t - 1].argmax() == tokens[t] for t in scored), len(scored))


def test_scores_are_those_of_a_plain_forward_pass(generator, prompts, scores):
    for prompt, score in zip(prompts, scores, strict=True):
        plain = plain_score(generator, prompt)
        assert score.log_probability == pytest.approx(plain.log_probability, abs=2e-4)
        assert (score.is_greedy, score.tokens) == (plain.is_greedy, plain.tokens)
        assert score.log_probability < 0 and score.tokens == len(CONTINUATIONS[prompt.index % 5])


def test_scores_do_not_depend_on_batches(generator, prompts, scores):
    again = score_prompts(generator, prompts, batch_size=2)
    assert [s.log_probability for s in again] == pytest.approx(
        [s.log_probability for s in scores], abs=1e-4
    )


def test_scores_of_a_model_with_experts_drop_nothing(model, inputs, tokenizer, examples):
    moe = MoEConfig(experts=8, every=model.decoder.layers, capacity_factor=0.1)
    tight = dataclasses.replace(model, decoder=dataclasses.replace(model.decoder, moe=moe))
    free = dataclasses.replace(moe, dispatch="dropless")
    dropless = dataclasses.replace(model, decoder=dataclasses.replace(model.decoder, moe=free))
    params = mllm.init_params(tight, jax.random.key(0))

    def scores_of(config, batch_size):
        generator = Generator(params, config, inputs, tokenizer)
        prompts = [
            continue_prompt(generator, example, "a text of some tokens", index=i)
            for i, example in enumerate(examples[:6])
        ]
        found = score_prompts(generator, prompts, batch_size=batch_size)
        return [score.log_probability for score in found]

    wanted = scores_of(dropless, 1)
    assert scores_of(tight, 1) == pytest.approx(wanted, abs=1e-3)
    assert scores_of(tight, 6) == pytest.approx(wanted, abs=1e-3)


def test_the_likeliest_tokens_are_greedy_and_a_change_of_one_is_not(generator):
    size = generator.model.decoder.vocab_size
    tokens = [5, 9]
    for _ in range(4):
        nexts = [token_prompt([*tokens, token], 1, index=token) for token in range(size)]
        found = score_prompts(generator, nexts)
        tokens.append(max(range(size), key=lambda token: found[token].log_probability))
    changed = [*tokens[:3], (tokens[3] + 1) % size, *tokens[4:]]
    chain, other = score_prompts(
        generator, [token_prompt(tokens, 4), token_prompt(changed, 4, index=1)]
    )
    assert chain.is_greedy and not other.is_greedy
    # What comes before the change is the same, and so is a score of that alone.
    assert score_prompts(generator, [token_prompt(changed[:3], 1)])[0].is_greedy


def test_probabilities_of_all_next_tokens_add_up_to_one(generator):
    size = generator.model.decoder.vocab_size
    found = score_prompts(
        generator, [token_prompt([5, 9, token], 1, index=token) for token in range(size)]
    )
    assert math.fsum(math.exp(s.log_probability) for s in found) == pytest.approx(1, abs=1e-4)
    assert sum(s.is_greedy for s in found) == 1


def test_a_score_is_the_sum_of_its_parts(generator, tokenizer):
    ids = tokenizer.encode("the whole of it")
    whole, first, rest = score_prompts(
        generator,
        [
            token_prompt(ids, len(ids) - 1, index=0),
            token_prompt(ids[:6], 5, index=1),
            token_prompt(ids, len(ids) - 6, index=2),
        ],
    )
    parts = first.log_probability + rest.log_probability
    assert whole.log_probability == pytest.approx(parts, abs=1e-4)


def test_an_empty_prompt_is_an_end_token(generator, tokenizer):
    nothing = Example((), "test", "0", "", {})
    prompt = continue_prompt(generator, nothing, "ab")
    assert prompt.formatted.tokens.tolist() == [tokenizer.eos_id, *tokenizer.encode("ab")]
    assert score_prompts(generator, [prompt])[0].tokens == 2


def test_a_continued_text_is_encoded_as_one(generator, monkeypatch):
    class Pairs(type(generator.tokenizer)):
        """Two letters a token where it can."""

        def encode(self, text):
            return [8 + sum(map(ord, text[i : i + 2])) % 90 for i in range(0, len(text), 2)]

    monkeypatch.setattr(generator, "tokenizer", Pairs())
    example = Example((Text("abc"),), "test", "0", "", {})
    encode = generator.tokenizer.encode
    alone = continue_prompt(generator, example, "def").formatted
    joined = continue_prompt(generator, example, "def", before="abc").formatted
    assert alone.tokens.tolist() == [*encode("abc"), *encode("def")]
    assert joined.tokens.tolist() == [*encode("abc"), *encode("abcdef")[2:]]
    assert joined.loss_weights.tolist() == [0, 0, 1]
    # All of the continuation within the context's last token: it is encoded by itself.
    assert (
        continue_prompt(generator, example, "d", before="abc").formatted.tokens[2] == encode("d")[0]
    )


def test_mistakes_are_told(generator, prompts):
    with pytest.raises(ValueError, match="batch_size is 0, expected 1 or more"):
        score_prompts(generator, prompts, batch_size=0)
    assert score_prompts(generator, []) == []


def test_an_answer_is_scored_with_the_end_that_it_has_in_training(generator, tokenizer):
    asked = make_example("where is it?", [(16, 16)], answer="there")
    prompt = answer_prompt(generator, asked, index=3)
    whole = generator.format(asked, for_generation=False).formatted
    np.testing.assert_array_equal(prompt.formatted.tokens, whole.tokens)
    scored = prompt.formatted.tokens[prompt.formatted.loss_weights > 0]
    assert scored.tolist() == [*tokenizer.encode("there"), tokenizer.eos_id]
    # What comes before is what generation is asked from.
    ahead = generator.format(asked).formatted.tokens
    np.testing.assert_array_equal(prompt.formatted.tokens[: len(ahead)], ahead)
    assert prompt.index == 3
    first = dataclasses.replace(prompt, index=0)
    (found,) = score_prompts(generator, [first])
    assert found.log_probability == pytest.approx(
        plain_score(generator, first).log_probability, abs=2e-4
    )


def test_of_several_turns_the_answer_that_is_asked_for_is_scored(generator, tokenizer):
    def turns(*texts):
        roles = ("user", "assistant") * 3
        segments = [
            Text(text, role, loss=loss) for (text, loss), role in zip(texts, roles, strict=False)
        ]
        return Example(tuple(segments), "tests", "turns", "general", {})

    def scored(example):
        formatted = answer_prompt(generator, example).formatted
        ids = formatted.tokens[formatted.loss_weights > 0].tolist()
        return tokenizer.decode(ids), ids[-1] == tokenizer.eos_id, len(formatted.tokens)

    shown = (("a?", False), ("x", False), ("b?", False), ("yz", True))
    text, ends, length = scored(turns(*shown))
    assert (text, ends) == ("yz", True)
    # Later turns are not read; without loss anywhere the first answer is the one.
    assert scored(turns(*shown, ("c?", False), ("w", True))) == ("yz", True, length)
    assert scored(turns(("a?", False), ("x", False), ("b?", False), ("y", False)))[:2] == (
        "x",
        True,
    )


def test_the_answer_of_a_document_has_no_end(generator, tokenizer):
    segments = (
        Text("Q: a? A:"),
        Text(" x\n", loss=False),
        Text("Q: b? A:"),
        Text(" yz", loss=True),
    )
    formatted = answer_prompt(generator, Example(segments, "t", "d", "general", {})).formatted
    ids = formatted.tokens[formatted.loss_weights > 0].tolist()
    assert ids == tokenizer.encode(" yz")


def test_an_example_without_an_answer_cannot_be_scored(generator):
    nothing = Example((Text("a?", "user"),), "tests", "none", "general", {})
    with pytest.raises(ValueError, match="tests none has no answer"):
        answer_prompt(generator, nothing)
