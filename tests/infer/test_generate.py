import collections
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mm15_jax.config import MeshConfig
from mm15_jax.infer import batching, generate
from mm15_jax.infer.decoding import decode_tokens
from mm15_jax.infer.generate import GenerationReport, Generator
from mm15_jax.infer.sampling import Sampling
from mm15_jax.infer.stops import Stops
from mm15_jax.inputs.example import Image
from mm15_jax.model import mllm
from mm15_jax.parallel.mesh import make_mesh, replicated

NEW = 12


@pytest.fixture(scope="module")
def generator(params, model, inputs, tokenizer):
    return Generator(params, model, inputs, tokenizer)


@pytest.fixture(scope="module")
def answers(generator, examples):
    return generator.generate(examples, max_new_tokens=NEW, batch_size=4)


@functools.partial(jax.jit, static_argnames="model")
def next_logits(params, batch, last, model):
    hidden, _ = mllm.forward(params, batch, model, dtype=jnp.float32)
    return mllm.unembed(params, hidden[0, last], model)


def answer_without_cache(generator, example):
    """The whole sequence anew for each token, one example a batch: the plain definition."""
    prompt = generator.format(example)
    resolution = generator.model.encoder.resolution
    group = batching.Group(length=160, tiles=6, rows=1, prompts=(prompt,))
    batch = batching.build_batch(group, resolution=resolution, pad_id=0)
    ids = []
    for size in range(prompt.length, prompt.length + NEW):
        logits = np.array(next_logits(generator.params, batch, size - 1, generator.model))
        logits[[0, 2]] = -np.inf
        logits[generator.tokenizer.vocab_size :] = -np.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == generator.tokenizer.eos_id:
            break
        batch["tokens"][0, size] = ids[-1]
        batch["segment_ids"][0, size] = 1
        batch["positions"][0, size] = size
    return generator.tokenizer.decode([i for i in ids if i != 1]).strip()


def test_answers_equal_those_of_the_whole_sequence_run_anew(generator, examples, answers):
    assert answers == [answer_without_cache(generator, example) for example in examples]
    assert len(set(answers)) > len(answers) // 2  # they depend on the prompt


def test_answers_do_not_depend_on_batch_size(generator, examples, answers):
    assert generator.generate(examples, max_new_tokens=NEW, batch_size=2) == answers


def test_answers_do_not_depend_on_company_or_order(generator, examples, answers):
    backwards = generator.generate(examples[::-1], max_new_tokens=NEW, batch_size=4)
    assert backwards[::-1] == answers
    few = generator.generate(examples[2:6], max_new_tokens=NEW, batch_size=4)
    assert few == answers[2:6]


def test_the_answer_in_the_example_is_not_read(generator, examples, answers):
    bare = [dataclasses.replace(e, segments=e.segments[:-1]) for e in examples]
    assert generator.generate(bare, max_new_tokens=NEW, batch_size=4) == answers


def test_pictures_change_answers(generator, examples, answers, make_picture):
    # The same sizes, so that nothing but pixels differs and nothing is compiled anew.
    changed = []
    for example in examples:
        segments = [
            make_picture(s.height, s.width, seed=99) if isinstance(s, Image) else s
            for s in example.segments
        ]
        changed.append(dataclasses.replace(example, segments=tuple(segments)))
    texts = generator.generate(changed, max_new_tokens=NEW, batch_size=4)
    differ = [a != b for a, b in zip(answers, texts, strict=True)]
    pictured = [len(example.segments) > 2 for example in examples]
    assert sum(differ) >= 4
    assert not any(d and not p for d, p in zip(differ, pictured, strict=True))


def count_down(model, monkeypatch, limit, stops=None):
    """Tokens, counts and steps of a fake model: token t is followed by t - 1, and 1 is the end."""
    steps = []

    def countdown(params, cache, tokens, config, *, dtype):
        jax.debug.callback(lambda: steps.append(1))
        return jax.nn.one_hot(tokens - 1, 20), cache

    monkeypatch.setattr(mllm, "decode_step", countdown)
    tokens, counts, _ = decode_tokens(
        params=None,
        cache=(),
        logits=jax.nn.one_hot(jnp.array([4, 6, 1, 9]), 20),
        finished=jnp.array([False, False, False, True]),
        blocked=jnp.zeros(20, bool),
        stops=stops or Stops(*jnp.zeros((3, 20), bool)),
        limit=jnp.int32(limit),
        seed=jnp.uint32(0),
        streams=jnp.zeros(4, jnp.uint32),
        config=model,
        dtype=jnp.float32,
        eos_id=1,
        room=15,
        sampling=Sampling(),
    )
    jax.effects_barrier()
    return tokens[:, :7].tolist(), counts.tolist(), len(steps)


def test_the_loop_stops_when_all_rows_have_ended(model, monkeypatch):
    tokens, counts, steps = count_down(model, monkeypatch, limit=15)
    assert tokens == [
        [4, 3, 2, 1, 1, 1, 1],
        [6, 5, 4, 3, 2, 1, 1],
        [1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1, 1],
    ]
    assert counts == [4, 6, 1, 0] and steps == 5


def test_the_loop_stops_at_the_limit(model, monkeypatch):
    tokens, counts, steps = count_down(model, monkeypatch, limit=3)
    assert tokens[:2] == [[4, 3, 2, 1, 1, 1, 1], [6, 5, 4, 1, 1, 1, 1]]  # the rest is filled up
    assert counts == [3, 3, 1, 0] and steps == 2


def test_a_row_ends_with_the_token_that_has_a_stop(model, monkeypatch):
    at_once, later, begins = np.zeros((3, 20), bool)
    at_once[3] = later[3] = later[6] = later[4] = True  # 6 and 4: only behind something
    begins[5] = True
    stops = Stops(*map(jnp.asarray, (at_once, later, begins)))
    tokens, counts, steps = count_down(model, monkeypatch, 15, stops)
    assert tokens[:2] == [[4, 3, 1, 1, 1, 1, 1], [6, 5, 4, 1, 1, 1, 1]]
    assert counts == [2, 3, 1, 0] and steps == 2


@pytest.mark.parametrize("strip", [True, False])
def test_answers_with_a_stop_are_the_same_up_to_it(
    generator, examples, answers, monkeypatch, strip
):
    text = collections.Counter("".join(answer[1:-1] for answer in answers)).most_common(1)[0][0]

    def ask(**more):
        monkeypatch.setattr(generator, "report", GenerationReport())
        options = {"max_new_tokens": NEW, "batch_size": 4, "strip": strip}
        return dict(generator.stream(examples, **options, **more)), generator.report.new_tokens

    (whole, all_tokens), (cut, fewer) = ask(), ask(stops=(text,))
    assert {i: a.partition(text)[0] for i, a in whole.items()} == {
        i: a.partition(text)[0] for i, a in cut.items()
    }
    stopped = [i for i in whole if text in whole[i][:-1]]
    assert stopped and fewer < all_tokens
    assert all(len(cut[i]) <= whole[i].index(text) + 1 for i in stopped)


def test_report_counts_what_was_done(generator, examples, monkeypatch):
    monkeypatch.setattr(generator, "report", GenerationReport())
    calls = []
    texts = generator.generate(
        examples, max_new_tokens=NEW, batch_size=4, progress=lambda *count: calls.append(count)
    )
    report = generator.report
    assert report.examples == len(texts) == 9
    assert 9 <= report.new_tokens <= 9 * NEW
    assert report.tokens_per_second > 0 and report.tiles == 13
    assert report.prompt_tokens == sum(generator.format(e).length for e in examples)
    assert calls[-1] == (9, 9) and [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert report.programs == 0 and report.compile_seconds == 0  # compiled by the tests before


def test_short_and_long_answers_share_their_programs(generator, examples):
    generator.report = GenerationReport()
    long = generator.generate(examples, max_new_tokens=NEW, batch_size=4)
    short = generator.generate(examples, max_new_tokens=NEW - 2, batch_size=4)
    assert generator.report.programs == 0  # compiled by the tests before
    assert all(b.startswith(a) for a, b in zip(short, long, strict=True)) and short != long


def test_sampling_repeats_with_its_seed_and_ignores_batches(generator, examples):
    hot = Sampling(temperature=2.0, top_p=0.95, seed=5)
    kwargs = {"max_new_tokens": NEW, "sampling": hot}
    first = generator.generate(examples, batch_size=4, **kwargs)
    assert first == generator.generate(examples, batch_size=2, **kwargs)
    other = dataclasses.replace(hot, seed=6)
    assert first != generator.generate(examples, max_new_tokens=NEW, batch_size=4, sampling=other)


def test_sampling_in_parts_draws_as_of_the_whole(generator, examples):
    kwargs = {"max_new_tokens": NEW, "batch_size": 2, "sampling": Sampling(temperature=2.0, seed=5)}
    whole = dict(generator.stream(examples, **kwargs))
    half = len(examples) // 2
    numbers = range(half, len(examples))
    rest = dict(generator.stream(examples[half:], draws=numbers, **kwargs))
    assert [rest[i - half] for i in numbers] == [whole[i] for i in numbers]
    assert rest != dict(generator.stream(examples[half:], **kwargs))


def test_image_padding_and_unknown_tokens_are_never_produced(generator):
    logits = jnp.full((4, 112), 9.0).at[:, [0, 2, 105]].set(99.0)
    allowed = np.asarray(~generator._blocked)
    assert not allowed[[0, 2, 105]].any() and allowed[[1, 3, 102]].all()
    chosen = jnp.argmax(jnp.where(generator._blocked, -jnp.inf, logits), axis=-1)
    assert (np.asarray(chosen) == 1).all()


def finer(inputs, **changes):
    return dataclasses.replace(inputs, splitting=dataclasses.replace(inputs.splitting, **changes))


def test_more_sub_images_at_inference(params, model, inputs, tokenizer, examples):
    many = Generator(params, model, finer(inputs, n_min=9, n_max=16), tokenizer)
    assert many.format(examples[2]).tiles >= 10  # nine sub-images and the overview
    assert Generator(params, model, inputs, tokenizer).format(examples[2]).tiles <= 5


def test_fingerprint_follows_parameters_and_settings(params, model, inputs, tokenizer):
    base = Generator(params, model, inputs, tokenizer).fingerprint()
    assert base == Generator(params, model, inputs, tokenizer).fingerprint()
    assert base != Generator(params, model, finer(inputs, n_max=9), tokenizer).fingerprint()
    decoder = {**params["decoder"], "embedding": params["decoder"]["embedding"] * 1.001}
    assert base != Generator({**params, "decoder": decoder}, model, inputs, tokenizer).fingerprint()


def test_a_foreign_tokenizer_and_bad_counts_are_refused(generator, params, model, inputs, examples):
    big = type("Big", (type(generator.tokenizer),), {"vocab_size": 500})()
    with pytest.raises(ValueError, match="500 ids, the model embeds 112"):
        Generator(params, model, inputs, big)
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        generator.generate(examples, max_new_tokens=0)
    with pytest.raises(ValueError, match="batch_size is -1"):
        generator.generate(examples, batch_size=-1)
    assert generator.generate([]) == []


@pytest.mark.parametrize("shape", [(), (7,), (3, 4096), (5, 700, 13)])
def test_a_sample_of_an_array_is_evenly_spaced(shape):
    x = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    sample = np.asarray(generate._sample(jnp.asarray(x), out=None))
    np.testing.assert_array_equal(sample, x.reshape(-1)[:: max(1, x.size // 4096)])
    assert x.size < 4096 or 4096 <= len(sample) < 8192


def test_a_sample_of_a_divided_array_is_taken_where_its_parts_are():
    """Flattened it would be whole on every device, which 30B's layers are too large for."""
    mesh = make_mesh(MeshConfig(data=1, fsdp=2))
    divided = NamedSharding(mesh, PartitionSpec(None, None, "fsdp"))
    x = jax.ShapeDtypeStruct((4, 512, 1024), jnp.float32, sharding=divided)
    compiled = generate._sample.lower(x, out=replicated(mesh)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * x.size / 8
