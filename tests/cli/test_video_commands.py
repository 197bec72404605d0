"""Clips on the command line: evaluation that trains nothing, and questions about a file."""

import dataclasses
import json

import PIL.Image
import pytest

from mm15_jax.config import to_dict
from mm15_jax.data import registry
from mm15_jax.data.prepare import prepare
from tests import tiny
from tests.clips import clip, folder


@pytest.fixture(scope="module")
def clips_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    prepare(registry.get("mini_video_order"), root, workers=1, limit=6, progress=lambda event: None)
    return root


FREE = "mm15_nano_video_training_free"


def test_an_image_run_is_asked_about_clips_as_it_is(mm15, run_dir, clips_dir):
    done = mm15(
        "eval",
        FREE,
        "--run_dir",
        run_dir,
        "--data_dir",
        clips_dir,
        "--benchmarks=mini_video_order",
        "--limit=6",
        "--json",
    )
    assert done.code == 0, done.err
    (name,) = json.loads(done.out)["benchmarks"]
    assert name == "mini_video_order"
    answers = (run_dir / FREE / "eval" / "mini_video_order.jsonl").read_text().splitlines()
    assert [json.loads(line)["question"].split(" ")[0] for line in answers] == ["[video]"] * 6
    assert list((run_dir / FREE).rglob("*_0.png")), "no sheet of frames for the report"
    assert not (run_dir / "scores.json").exists()


def test_another_run_is_refused(refused, run_dir):
    other = dataclasses.replace(tiny.experiment(), name="mm15_open_sft")
    (run_dir / "config.json").write_text(json.dumps(to_dict(other)))
    sentence = refused("eval", FREE, "--run_dir", run_dir, "--benchmarks=mini_video_order")
    assert "asks a run of mm15_nano_sft, and" in sentence and "mm15_open_sft" in sentence


def test_nothing_is_trained(refused):
    assert "mm15 eval mm15_video_7b_training_free --run_dir RUN" in refused(
        "train", "mm15_video_7b_training_free"
    )


def test_a_question_about_a_file_or_a_folder(mm15, refused, tiny_run, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(clip(12))
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(folder(3)):
        (tmp_path / "frames" / f"{number:03d}.jpg").write_bytes(frame)
    for name in ("clip.mp4", "frames"):
        done = mm15(
            "generate",
            "--run_dir",
            tiny_run,
            "--video",
            tmp_path / name,
            "--prompt=what comes next?",
            "--set=inputs.video.frames=3",
            "--max_new_tokens=4",
            "--draw",
            tmp_path / "sheet.png",
        )
        assert done.code == 0, done.err
        with PIL.Image.open(tmp_path / "sheet.png") as sheet:  # three frames of 32 x 24, enlarged
            assert sheet.width > 2 * 100 and sheet.height > 72
    (tmp_path / "torn.mp4").write_bytes(clip(12)[:500])
    ask = ("generate", "--run_dir", tiny_run, "--prompt=what?", "--video")
    assert "torn.mp4 cannot be read: The video is not readable" in refused(
        *ask, tmp_path / "torn.mp4"
    )
    assert "there is no such file or folder" in refused(*ask, tmp_path / "gone")
