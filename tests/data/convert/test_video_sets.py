"""Sets of clips, from their published files; what is kept of a clip."""

import pytest

from mm15_jax.data.convert import video_files
from mm15_jax.data.convert.video_files import KEPT, read_video
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source
from mm15_jax.evaluation.benchmarks import find
from mm15_jax.evaluation.metrics import score_answer
from mm15_jax.inputs.example import Video
from mm15_jax.inputs.video import frame_numbers, load_frames, plan_frames, video_of_file
from tests.clips import clip, folder, number_of
from tests.data.convert.converted import convert, texts
from tests.data.convert.fixtures.video_sets import FIXTURES, mp4
from tests.data.convert.pictures import write


def made(module, name, root, split="test"):
    FIXTURES[name].make(root)
    return convert(module, name, split, root)


def the_clip(example):
    (segment,) = (s for s in example.segments if isinstance(s, Video))
    assert example.segments[0] is segment and segment.role == "user"
    return segment


def shown(segment, wanted=8):
    tiles = load_frames(segment, plan_frames(segment, wanted=wanted, resolution=64))
    scale = 64 / max(segment.height, segment.width)
    height, width = round(segment.height * scale), round(segment.width * scale)
    return [number_of(tile[0, :height, :width]) for tile in tiles]


def test_sharegptvideo_has_captions_and_questions_on_folders_of_frames(tmp_path):
    good, bad = made("video_sets", "sharegptvideo", tmp_path, "train")
    jump, wheat, shirt = good.values()
    assert texts(jump) == [
        ("user", "Walk through the video, detailing its key moments and features."),
        ("assistant", "An athlete prepares to jump."),
    ]
    assert [s.loss for s in jump.segments[1:]] == [False, True]
    assert texts(shirt)[0] == ("user", "What color is the shirt?")
    assert [e.metadata["kind"] for e in good.values()] == ["caption", "caption", "qa"]
    segment = the_clip(jump)
    assert (segment.frames, segment.seconds) == (KEPT, 40.0)  # of 80 frames, two a second
    assert (the_clip(wheat).frames, the_clip(wheat).seconds) == (3, 1.5)
    assert segment.data[0] == folder(1)[0] == the_clip(shirt).data[0]
    assert any("v_gone" in reason for reason in bad.values())
    assert any("without words" in reason for reason in bad.values())


def test_videochat2_is_asked_with_its_instructions(tmp_path):
    good, bad = made("video_sets", "videochat2", tmp_path, "train")
    by_kind = {example.metadata["kind"]: example for example in good.values()}
    assert texts(by_kind["ssv2"]) == [
        ("user", "Choose the action.\nOptions:\n(A) push\n(B) pull"),
        ("assistant", "(B) pull"),
    ]
    assert texts(by_kind["textvr"])[0] == ("user", "Describe.")
    assert [text for _, text in texts(by_kind["videochat2"])] == [
        "Who dances?",
        "A man.",
        "Where?",
        "In a hall.",
    ]
    excerpt = the_clip(by_kind["videochat2"])  # from 0.3 to 0.8 s of ten frames a second
    assert excerpt.seconds == pytest.approx(0.5) and shown(excerpt, 24) == [3, 4, 5, 6, 7]
    assert the_clip(by_kind["ssv2"]).data == mp4(kind="webm", codec="libvpx-vp9")
    assert sorted(reason.split(" ")[0] for reason in bad.values()) == ["a", "there"]


def test_activitynet_qa_trains_and_is_judged_by_short_answers(tmp_path):
    train, _ = made("video_sets", "activitynet_qa", tmp_path, "train")
    test, _ = convert("video_sets", "activitynet_qa", "test", tmp_path)
    for example in (*train.values(), *test.values()):
        question = "Is the athlete wearing trousers?"
        words = f"{question}\nAnswer the question using a single word or phrase."
        assert texts(example) == [("user", words), ("assistant", "yes")]
        assert example.metadata == {
            "answer": "yes",
            "metric": "judge",
            "kind": "3",
            "judge": {"question": question},
        }
    _, bad = convert("video_sets", "activitynet_qa", "validation", tmp_path)
    assert list(bad.values()) == ["dataset/val_a.json has no answer to 'v_9dPIqDYqQeI_1'"]


def test_videomme_says_nothing_of_subtitles(tmp_path):
    good, bad = made("video_benchmarks", "videomme", tmp_path)
    example = good["001-1"]
    (_, asked), (_, answer) = texts(example)
    assert asked == (
        "Select the best answer to the following multiple-choice question based on the video. "
        "Respond with only the letter (A, B, C, or D) of the correct option.\n"
        "How many apples are there?\nA. One.\nB. Two.\nC. Three.\nD. Four."
        "\nAnswer with the option's letter from the given choices directly."
    )
    assert answer == "C" and example.metadata["subset"] == "short"
    assert [score_answer(a, example) for a in ("C", "C. Three.", "B", "Four.")] == [1, 1, 0, 0]
    assert len(bad) == 1


def test_egoschema_asks_what_has_a_public_answer(tmp_path):
    good, bad = made("video_benchmarks", "egoschema", tmp_path)
    assert [texts(example)[1][1] for example in good.values()] == ["D", "A"]
    assert list(bad) == ["unknown"]


def test_nextqa_finds_clips_by_number_and_as_vidor_has_them(tmp_path):
    good, _ = made("video_benchmarks", "nextqa", tmp_path, "validation")
    assert {e.metadata["subset"] for e in good.values()} == {"causal", "descriptive"}
    (_, asked), (_, answer) = texts(good["4882821564/7"])
    assert asked.startswith("how many babies are in the video\nA. kitchen\nB. four\n")
    assert answer == "E"


def test_intentqa_is_asked_as_nextqa(tmp_path):
    good, bad = made("video_benchmarks", "intentqa", tmp_path)
    assert [e.metadata["subset"] for e in good.values()] == ["how", "before_after"]
    assert "the type 'DL'" in next(iter(bad.values()))


def test_vcgbench_says_what_is_judged_of_each_answer(tmp_path):
    good, _ = made("video_benchmarks", "vcgbench", tmp_path)
    aspects = [example.metadata["judge"]["aspects"] for example in good.values()]
    assert aspects == [
        ["correctness", "detail", "context"],
        ["temporal"],
        ["consistency"],
        ["consistency"],
    ]
    first, second = list(good.values())[2:]
    assert first.metadata["group"] == second.metadata["group"]
    assert texts(second)[0] == ("user", "Does the man cut anything?")


@pytest.mark.parametrize("name", [name for name in FIXTURES if name.startswith("llava_hound")])
def test_llava_hound_gives_its_judge_the_caption(name, tmp_path):
    good, bad = made("video_benchmarks", name, tmp_path)
    assert len(good) == 2
    for example in good.values():
        assert texts(example)[0] == ("user", "How does the athlete take off?")
        assert example.metadata["judge"] == {
            "question": "How does the athlete take off?",
            "caption": "A female athlete prepares to jump.",
        }
        assert the_clip(example).seconds == 2.5
    assert any("without the caption" in reason for reason in bad.values())
    assert find(name).judge == "llava_hound"


@pytest.mark.parametrize("wanted", [8, 24, 72])
@pytest.mark.parametrize("frames", [73, 80, 100, 144, 1001])
def test_of_a_long_clip_the_very_frames_are_kept_that_would_be_taken(frames, wanted):
    kept = frame_numbers(frames, KEPT)
    assert [kept[i] for i in frame_numbers(KEPT, wanted)] == frame_numbers(frames, wanted)


def test_a_long_clip_is_kept_as_frames(tmp_path, monkeypatch):
    data = clip(100, every=100)
    write(tmp_path / "long.mp4", data)
    source = Source(tmp_path)
    assert read_video(source, ["long.mp4"]).data == data
    monkeypatch.setattr(video_files, "_SECONDS_A_FRAME", 0.0)
    segment = read_video(source, ["long"])
    assert segment.frames == KEPT and segment.seconds == pytest.approx(10.0)
    assert isinstance(segment.data, tuple)
    for wanted in (8, 24):
        assert shown(segment, wanted) == shown(video_of_file(data), wanted)


def test_large_frames_are_kept_smaller_and_turned(tmp_path, monkeypatch):
    monkeypatch.setattr(video_files, "_BYTES", 10)
    monkeypatch.setattr(video_files, "_LONGER_SIDE", 32)
    write(tmp_path / "a.mp4", clip(6, rotation=90))
    segment = read_video(Source(tmp_path), ["a.mp4"])
    assert (segment.frames, segment.height, segment.width) == (6, 32, 24)
    assert shown(segment) == [0, 1, 2, 3, 4, 5]


def test_what_is_no_clip_is_told(tmp_path):
    write(tmp_path / "torn.mp4", mp4()[:700])
    write(tmp_path / "short.mp4", mp4(3))
    (tmp_path / "empty").mkdir()
    source = Source(tmp_path)
    with pytest.raises(DataError, match=r"torn.mp4: The video is not readable"):
        read_video(source, ["torn.mp4"])
    long = clip(200, kind="webm", codec="libvpx-vp9")
    write(tmp_path / "cut.webm", long[: len(long) // 2])
    with pytest.raises(DataError, match=r"cut.webm: The video has \d+\.\d s of the 20.0 s that"):
        read_video(source, ["cut.webm"])
    with pytest.raises(DataError, match=r"there is no video 'empty' or 'gone'"):
        read_video(source, ["empty", "gone"])
    with pytest.raises(DataError, match=r"excerpt from 5.0 to 6.0 s of a video of 0.30 s"):
        read_video(source, ["short.mp4"], excerpt=(5.0, 6.0))
    with pytest.raises(DataError, match="leads out of"):
        read_video(source, ["../secret.mp4"])
