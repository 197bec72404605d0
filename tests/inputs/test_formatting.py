"""Sequences written out token by token, and what must hold for every example."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.config.schema import InputsConfig, SplittingConfig, VideoConfig
from mm15_jax.inputs.example import Example, Image, Text, Video
from mm15_jax.inputs.formatting import format_example, measure

T = 2  # vision tokens a tile: written as "v" below


def example(*segments):
    return Example(segments, "test", "0", "general", {})


def config(objective="next_token", **splitting):
    return InputsConfig(splitting=SplittingConfig(**splitting), objective=objective)


def run(nano, segments, inputs=None, **options):
    inputs = inputs or config(mode="none")
    return format_example(
        example(*segments), nano, inputs, tokens_per_tile=T, resolution=48, **options
    )


def spell(nano, formatted):
    """Tokens as text: markers by name, each vision token as v."""
    names = {nano.eos_id: "</s>", nano.image_id: "v"}
    names |= {ids[0]: f"<{role}>" for role, ids in nano.role_ids.items() if ids}
    return "".join(names.get(i) or nano.decode([i]) for i in formatted.tokens.tolist())


def trained(nano, formatted):
    """The part that has loss, as text."""
    keep = formatted.loss_weights > 0
    return spell(nano, dataclasses.replace(formatted, tokens=formatted.tokens[keep]))


PICTURE = Image(b"", 96, 96, "user")
QUESTION = Text("What?", "user")
ANSWER = Text("A cat", "assistant", loss=True)


def test_a_conversation(nano):
    formatted = run(nano, [PICTURE, QUESTION, ANSWER])
    assert spell(nano, formatted) == "<user>vvWhat?<assistant>A cat</s>"
    assert trained(nano, formatted) == "A cat</s>"
    assert formatted.vision_index[:4].tolist() == [-1, 0, 1, -1]
    assert formatted.tokens.dtype == formatted.vision_index.dtype == np.int32
    assert formatted.loss_weights.dtype == np.float32


def test_every_answer_ends_and_the_turns_alternate(nano):
    segments = [
      Text("Be brief", "system"), QUESTION, PICTURE, ANSWER,
      Text("Sure?", "user"), Text("Ye", "assistant"), Text("s", "assistant"),
  ]  # fmt: skip
    formatted = run(nano, segments)
    assert spell(nano, formatted) == (
        "<system>Be brief<user>What?vv<assistant>A cat</s><user>Sure?<assistant>Yes</s>"
    )
    assert trained(nano, formatted) == "A cat</s>"  # the second answer has no loss, nor has its end


def test_the_end_has_loss_if_any_text_of_its_turn_has(nano):
    formatted = run(nano, [QUESTION, ANSWER, Text(" or dog", "assistant")])
    assert trained(nano, formatted) == "A cat</s>"


def test_an_unanswered_conversation_has_no_end(nano):
    assert spell(nano, run(nano, [QUESTION])) == "<user>What?"


def test_a_caption_and_an_interleaved_page(nano):
    picture = Image(b"", 96, 96)
    caption = run(nano, [picture, Text("a cat", loss=True)])
    assert spell(nano, caption) == "vva cat</s>"
    assert trained(nano, caption) == "a cat</s>"
    page = run(nano, [Text("One ", loss=True), picture, Text(" two", loss=True), picture])
    assert spell(nano, page) == "One vv twovv</s>"
    assert trained(nano, page) == "ne  two</s>"  # nothing can predict the very first token
    assert page.vision_index[page.vision_index >= 0].tolist() == [0, 1, 2, 3]


def test_a_document_without_loss_trains_nothing(nano):
    formatted = run(nano, [Text("plain")])
    assert spell(nano, formatted) == "plain</s>"
    assert formatted.loss_weights.sum() == 0


INDEXED = "<user>(0,1,1)vv(0,1,2)vv(0,2,1)vv(0,2,2)vv"


def test_index_indicators_with_the_overview_after_before_and_absent(nano):
    def spelled(**fields):
        return spell(nano, run(nano, [PICTURE], config(mode="static", **fields)))

    assert spelled() == INDEXED + "(0,0,0)vv"
    assert spelled(overview="before") == INDEXED.replace("<user>", "<user>(0,0,0)vv")
    assert spelled(overview="none") == INDEXED


def test_the_index_counts_pictures_and_costs_one_token(nano):
    inputs = config(mode="static", static_grid=(1, 2))
    formatted = run(nano, [PICTURE, PICTURE, QUESTION], inputs)
    assert spell(nano, formatted) == (
        "<user>(0,1,1)vv(0,1,2)vv(0,0,0)vv(1,1,1)vv(1,1,2)vv(1,0,0)vvWhat?"
    )
    assert formatted.tokens[:4].tolist() == [
      nano.role_ids["user"][0], *nano.encode("(0,1,1)"), nano.image_id, nano.image_id,
  ]  # fmt: skip
    assert [tiling.num_tiles for tiling in formatted.tilings] == [3, 3]


def test_separators(nano):
    inputs = config(mode="static", indicator="seps")
    after = spell(nano, run(nano, [PICTURE], inputs))
    assert after == "<user>vv,vv<n>vv,vv:vv"
    inputs = config(mode="static", indicator="seps", overview="before")
    assert spell(nano, run(nano, [PICTURE], inputs)) == "<user>:vvvv,vv<n>vv,vv"


def test_no_indicators(nano):
    formatted = run(nano, [PICTURE], config(mode="static", indicator="none"))
    assert spell(nano, formatted) == "<user>" + "vv" * 5
    assert formatted.vision_index.tolist() == [-1, *range(10)]


def test_a_picture_that_is_not_split_has_no_indicator(nano):
    three = [PICTURE] * 3
    assert spell(nano, run(nano, [*three, QUESTION], config(mode="static"))) == "<user>vvvvvvWhat?"
    small = Image(b"", 40, 40, "user")
    assert spell(nano, run(nano, [small], config(n_min=1))) == "<user>vv"


def test_markers_written_in_a_text_are_text(nano):
    formatted = run(nano, [Text("<image></s>", "user")])
    assert nano.image_id not in formatted.tokens
    assert nano.eos_id not in formatted.tokens


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([PICTURE, QUESTION, ANSWER], "<user>vvWhat?<assistant>"),
        ([PICTURE, QUESTION], "<user>vvWhat?<assistant>"),
        ([Image(b"", 9, 9), ANSWER], "vv<assistant>"),
        ([QUESTION, ANSWER, QUESTION, ANSWER], "<user>What?<assistant>"),
        # Few-shot: answers that are given have no loss.
        (
            [QUESTION, Text("No", "assistant"), QUESTION, ANSWER],
            "<user>What?<assistant>No</s><user>What?<assistant>",
        ),
        ([Image(b"", 9, 9), Text("a cat", loss=True)], "vv"),
        ([Text("It is "), Text("red", loss=True)], "It is "),
        ([Text("It is ")], "It is "),
    ],
)
def test_generation_stops_where_the_answer_begins(nano, segments, expected):
    assert spell(nano, run(nano, segments, for_generation=True)) == expected


def test_generation_continues_what_training_has_seen(nano):
    segments = [PICTURE, QUESTION, ANSWER]
    inputs = config()
    full = run(nano, segments, inputs)
    prompt = run(nano, segments, inputs, for_generation=True)
    length = len(prompt.tokens)
    assert full.tokens[:length].tolist() == prompt.tokens.tolist()
    assert full.loss_weights[:length].sum() == 0
    assert full.loss_weights[length:].all()
    assert full.tilings == prompt.tilings


def test_dense_labels_stand_one_after_their_patch(nano):
    inputs = config(objective="dense_labels", mode="static")
    formatted = run(nano, [PICTURE, Text("ab", loss=True)], inputs)
    assert formatted.tokens.tolist() == [nano.image_id, *nano.encode("a"), *nano.encode("b")]
    assert formatted.vision_index.tolist() == [0, 1, -1]
    assert formatted.loss_weights.tolist() == [0, 1, 1]
    assert formatted.tilings[0].num_tiles == 1  # whatever the splitting


def test_a_label_of_several_characters_is_one_target(nano):
    inputs = config(objective="dense_labels")
    formatted = run(nano, [PICTURE, Text(" circle?", loss=True)], inputs)
    assert formatted.tokens[1:].tolist() == [*nano.encode(" circle"), *nano.encode("?")]


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([PICTURE, Text("abc", loss=True)], "3 labels for 2 patches"),
        ([PICTURE, Text("ab")], "one text with loss"),
        ([Text("ab", loss=True)], "one picture and one text"),
        ([PICTURE, PICTURE], "one picture and one text"),
    ],
)
def test_wrong_dense_labels_are_named(nano, segments, message):
    with pytest.raises(ValueError, match=message):
        run(nano, segments, config(objective="dense_labels"))


@pytest.mark.parametrize(
    ("segments", "inputs", "message"),
    [
        ([Text("x", "human")], config(), "role is 'human'"),
        ([QUESTION], config(indicator="indx"), "'index'"),
        ([QUESTION], config(objective="next"), "'next_token'"),
    ],
)
def test_wrong_names_are_answered_with_the_nearest(nano, segments, inputs, message):
    with pytest.raises(ValueError, match=message):
        run(nano, segments, inputs)


_SEGMENT = st.one_of(
    st.builds(
        Text,
        st.text("ab cWhat?", max_size=8),
        st.sampled_from(["document", "user", "assistant", "system"]),
        st.booleans(),
    ),
    st.builds(
        Image,
        st.just(b""),
        st.integers(1, 300),
        st.integers(1, 300),
        st.sampled_from(["document", "user"]),
    ),
)
_INPUTS = st.builds(
    config,
    mode=st.sampled_from(["none", "static", "dynamic"]),
    n_min=st.integers(1, 4),
    overview=st.sampled_from(["after", "before", "none"]),
    indicator=st.sampled_from(["none", "index", "seps"]),
    policy=st.sampled_from(["equation", "smallest_cover"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_SEGMENT, max_size=6), _INPUTS, st.booleans())
def test_what_holds_for_every_example(nano, segments, inputs, for_generation):
    formatted = run(nano, segments, inputs, for_generation=for_generation)
    vision = formatted.vision_index
    tiles = sum(tiling.num_tiles for tiling in formatted.tilings)
    assert vision[vision >= 0].tolist() == list(range(T * tiles))
    assert ((formatted.tokens == nano.image_id) == (vision >= 0)).all()
    assert not formatted.loss_weights[vision >= 0].any()
    assert not formatted.loss_weights[:1].any()
    if for_generation:
        answered = any(s.loss and s.role == "assistant" for s in segments if isinstance(s, Text))
        assert not (answered and formatted.loss_weights.any()) or any(
            s.loss and s.role != "assistant" for s in segments if isinstance(s, Text)
        )
    else:
        size = measure(example(*segments), nano, inputs, tokens_per_tile=T, resolution=48)
        assert size == (len(formatted.tokens), tiles)


def test_measure_of_dense_labels(nano):
    inputs = config(objective="dense_labels")
    size = measure(
        example(PICTURE, Text("ab", loss=True)), nano, inputs, tokens_per_tile=T, resolution=48
    )
    assert size == (3, 1)


def clip(frames, role="user"):
    return Video(b"", frames, frames / 10, 96, 144, role)


def with_frames(count, **splitting):
    return dataclasses.replace(config(**splitting), video=VideoConfig(count))


def test_a_clip_is_the_tiles_of_its_frames_and_nothing_between(nano):
    segments = [clip(50), QUESTION, ANSWER]
    formatted = run(nano, segments, with_frames(3, n_min=4, n_max=9))
    assert spell(nano, formatted) == "<user>vvvvvvWhat?<assistant>A cat</s>"
    assert trained(nano, formatted) == "A cat</s>"
    assert formatted.vision_index[1:7].tolist() == [0, 1, 2, 3, 4, 5]
    assert [t.num_tiles for t in formatted.tilings] == [1, 1, 1] and formatted.pictures == (3,)
    assert {(t.height, t.width) for t in formatted.tilings} == {(96, 144)}
    prompt = run(nano, segments, with_frames(3), for_generation=True)
    assert spell(nano, prompt) == "<user>vvvvvvWhat?<assistant>"


def test_a_short_clip_has_fewer_tiles_and_one_frame_is_not_split(nano):
    assert len(run(nano, [clip(2), ANSWER], with_frames(24)).tilings) == 2
    formatted = run(nano, [clip(1), ANSWER], with_frames(24, n_min=4, n_max=9))
    assert spell(nano, formatted) == "<user>vv<assistant>A cat</s>"


def test_frames_count_as_pictures_for_splitting_and_numbering(nano):
    inputs = with_frames(2, n_min=1, n_max=4, overview="none", max_split_images=2)
    alone = run(nano, [PICTURE, ANSWER], inputs)
    assert len(alone.tilings[0].cells) == 4
    beside = run(nano, [clip(9), PICTURE, ANSWER], inputs)
    assert [len(t.cells) for t in beside.tilings] == [1, 1, 1] and beside.pictures == (2, 1)
    more = dataclasses.replace(inputs.splitting, max_split_images=3)
    split = run(nano, [clip(9), PICTURE, ANSWER], dataclasses.replace(inputs, splitting=more))
    assert [len(t.cells) for t in split.tilings] == [1, 1, 4]
    assert spell(nano, split).startswith("<user>vvvv(2,1,1)vv(2,1,2)vv")


@settings(max_examples=30)
@given(st.integers(1, 100), st.integers(1, 30))
def test_the_length_of_a_clip_is_known_without_its_bytes(nano, frames, wanted):
    inputs = with_frames(wanted)
    segments = [clip(frames), QUESTION, ANSWER]
    tokens, tiles = measure(example(*segments), nano, inputs, tokens_per_tile=T, resolution=48)
    assert tiles == min(frames, wanted)
    assert tokens == len(run(nano, segments, inputs).tokens)
