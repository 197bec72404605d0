"""Clips on the command line: evaluation that trains nothing, and questions about a file."""

import dataclasses
import json

import pytest

from mm15_jax.config import load, to_dict
from mm15_jax.data import registry
from mm15_jax.data.prepare import prepare
from tests import tiny
from tests.clips import clip, folder


@pytest.fixture(scope="module")
def clips_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    prepare(registry.get("mini_video_order"), root, workers=1, limit=6, progress=lambda event: None)
    return root


@pytest.fixture
def image_run(run_dir):
    """The tiny run, as one of the nano experiment that video starts from."""
    config = dataclasses.replace(tiny.experiment(), name="mm15_nano_sft")
    (run_dir / "config.json").write_text(json.dumps(to_dict(config)))
    return run_dir


FREE = "mm15_nano_video_training_free"


def test_an_image_run_is_asked_about_clips_as_it_is(mm15, image_run, clips_dir):
    done = mm15(
        "eval",
        FREE,
        "--run_dir",
        image_run,
        "--data_dir",
        clips_dir,
        "--benchmarks=mini_video_order",
        "--limit=6",
        "--json",
    )
    assert done.code == 0, done.err
    (scored,) = json.loads(done.out)["benchmarks"]
    assert scored["name"] == "mini_video_order" and scored["answered"] == 6
    answers = (image_run / FREE / "eval" / "mini_video_order.jsonl").read_text().splitlines()
    assert [json.loads(line)["question"].split(" ")[0] for line in answers] == ["[video]"] * 6
    assert list((image_run / FREE).rglob("*.jpg")), "no sheet of frames for the report"
    assert not (image_run / "scores.json").exists()


def test_another_run_is_refused(refused, run_dir):
    sentence = refused("eval", FREE, "--run_dir", run_dir, "--benchmarks=mini_video_order")
    config = load(FREE)
    if json.loads((run_dir / "config.json").read_text())["name"] != "mm15_nano_sft":
        assert f"asks a run of {config.init_from[0].experiment}" in sentence


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
            "--set=inputs.video.frames=4",
            "--max_new_tokens=4",
        )
        assert done.code == 0, done.err
    (tmp_path / "torn.mp4").write_bytes(clip(12)[:500])
    ask = ("generate", "--run_dir", tiny_run, "--prompt=what?", "--video")
    assert "torn.mp4 cannot be read: The video is not readable" in refused(
        *ask, tmp_path / "torn.mp4"
    )
    assert "there is no such file or folder" in refused(*ask, tmp_path / "gone")
