import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from mm15_jax.evaluation.harness.run_model import (
    RunModel,
    as_image,
    read_request,
    to_answer,
    video_frames,
    with_pictures,
)
from mm15_jax.infer.sampling import GREEDY, Sampling
from mm15_jax.inputs.example import Image, Text
from mm15_jax.inputs.tiles import decode_image


@pytest.mark.parametrize(
    ("options", "length", "sampling", "until"),
    [
        ({}, 99, GREEDY, ()),
        ({"until": ["\n\n", ""], "max_gen_toks": 8, "do_sample": False}, 8, GREEDY, ("\n\n",)),
        ({"max_new_tokens": 16, "temperature": 0, "num_beams": 1, "top_p": None}, 16, GREEDY, ()),
        ({"do_sample": False, "temperature": 0.7}, 99, GREEDY, ()),
        ({"temperature": 0.5, "top_p": 0.9, "stop": "x"}, 99, Sampling(0.5, 0.9, 3), ("x",)),
        ({"do_sample": True}, 99, Sampling(1.0, 1.0, 3), ()),
        ({"do_sample": True, "top_p": 0, "temperature": 0.2}, 99, Sampling(0.2, 1.0, 3), ()),
        ({"do_sample": True, "temperature": 1, "seed": 7}, 99, Sampling(1.0, 1.0, 7), ()),
        ({"image_aspect_ratio": "original", "repetition_penalty": 1.0}, 99, GREEDY, ()),
    ],
)
def test_generation_options_of_harnesses(options, length, sampling, until):
    request = read_request(options, longest=99, seed=3)
    assert (request.max_new_tokens, request.sampling, request.until) == (length, sampling, until)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_beams": 4}, "generation option num_beams=4 is not one that mm15 has"),
        ({"top_k": 50}, r"top_k=50 .* \(perhaps top_p\)"),
        ({"max_gen_tok": 5}, r"perhaps max_gen_toks"),
        ({"max_gen_toks": 0}, "an answer of 0 new tokens is asked for"),
        ({"temperature": -1.0}, "temperature is -1.0"),
    ],
)
def test_options_that_cannot_be_had_are_told(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_request(options, longest=99)


def test_an_answer_ends_before_its_first_stop_string():
    request = read_request({"until": ["\n", "Q:"]}, longest=9)
    assert [request.cut(text) for text in ("a Q: b\nc", "\na", "all of it")] == [
        "a ",
        "",
        "all of it",
    ]


def test_pictures_stand_where_the_text_has_them():
    one, two = (Picture.new("RGB", (4 + i, 3)) for i in range(2))
    shapes = [
        (s.width if isinstance(s, Image) else s.text)
        for s in with_pictures("first <image> then <image>?", [one, two], "user")
    ]
    assert shapes == ["first ", 4, " then ", 5, "?"]
    before = with_pictures("what?", [one, two], "user")
    assert [type(s) for s in before] == [Image, Image, Text] and before[0].role == "user"
    with pytest.raises(ValueError, match="1 times <image> and 2 pictures"):
        with_pictures("<image> what?", [one, two], "user")
    example = to_answer(before, "k", chat=True)
    assert example.segments[-1] == Text("", role="assistant", loss=True)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P"])
def test_pictures_keep_their_pixels(mode, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    picture = Picture.fromarray(pixels).convert(mode)
    image = as_image(picture, "user")
    assert (image.height, image.width) == (5, 7)
    assert np.array_equal(decode_image(image.data), np.asarray(picture.convert("RGB")))
    Picture.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(decode_image(as_image(str(tmp_path / "a.png"), "user").data), pixels)
    with pytest.raises(ValueError, match="a picture is bytes"):
        as_image(b"", "user")


def test_frames_are_spread_over_a_video(tmp_path):
    path = str(tmp_path / "v.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    for shade in range(40):
        writer.write(np.full((32, 32, 3), 6 * shade, np.uint8))
    writer.release()

    def places(**part):
        return [round(np.asarray(f).mean() / 6) for f in video_frames(path, 4, **part)]

    assert places() == [5, 15, 25, 35]
    assert places(start=2.0) == [22, 27, 32, 37]
    assert places(start=1.0, end=2.0) == [11, 13, 16, 18]
    assert len(video_frames(path, 100)) == 40
    assert video_frames(list("abcdefgh"), 2) == ["c", "g"]
    with pytest.raises(ValueError, match="no frame of the video"):
        video_frames(str(tmp_path / "none.avi"), 4)


def test_sampled_answers_do_not_depend_on_how_the_asked_are_divided(tiny_run):
    run = RunModel(str(tiny_run), batch_size=2, max_new_tokens=4, seed=1)
    examples = [to_answer([Text("what?", role="user")], str(i), chat=True) for i in range(4)]
    # Two ways of sampling, which are asked apart.
    options = [{"temperature": 2.0, "top_p": 1.0 if i % 2 else 0.99} for i in range(4)]
    whole = run.answer(examples, options, lambda _: None)
    assert len(set(whole)) > 1
    parts = [
        run.answer(examples[at : at + 2], options[at : at + 2], lambda _: None, first=at)
        for at in (0, 2)
    ]
    assert [*parts[0], *parts[1]] == whole


def test_a_run_must_be_named_and_rightly(tmp_path):
    with pytest.raises(ValueError, match="--model_args run_dir=RUN_DIR"):
        RunModel()
    with pytest.raises(ValueError, match="batch_size is auto"):
        RunModel("run", batch_size="auto")
    with pytest.raises(ValueError, match="does not exist"):
        RunModel(str(tmp_path / "none"))
