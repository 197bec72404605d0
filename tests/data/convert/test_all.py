"""What holds for every converter: its fixture is prepared as `mm15 prepare` does, and checked."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest

from mm15_jax import config as config_lib
from mm15_jax.data import convert, parts, registry
from mm15_jax.data.records import open_dataset
from mm15_jax.data.source import Source
from mm15_jax.inputs import formatting
from mm15_jax.inputs.example import Image, Text, Video
from mm15_jax.inputs.tiles import decode_image
from mm15_jax.inputs.tokenizer import load_tokenizer
from mm15_jax.inputs.video import load_frames, plan_frames
from tests.data.convert.fixtures import all_fixtures, prepare_fixture, prepare_source

FIXTURES = all_fixtures()
PREPARATIONS = {p.name: p for module in convert.MODULES for p in module.PREPARATIONS}
BOTH = sorted(FIXTURES.keys() & PREPARATIONS.keys())
ROOT = Path(__file__).parents[3]


def content(out):
    """Hash of each file of a data set, but for the reports, which hold times."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "report.json"
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Makes and prepares the fixture of a data set once: (its folder, the reports by split)."""
    root, done = tmp_path_factory.mktemp("converters"), {}

    def make(name):
        folder = root / name
        if name not in done:
            assert not folder.exists(), f"{name} could not be prepared before"
            reports = prepare_fixture(name, folder / "in", folder / "out")
            done[name] = folder, {report.split: report for report in reports}
        return done[name]

    return make


def test_every_converter_has_a_fixture_and_every_fixture_a_converter():
    assert sorted(PREPARATIONS) == sorted(FIXTURES)
    assert PREPARATIONS.items() <= registry.all_preparations().items()


@pytest.mark.parametrize("name", BOTH)
def test_a_preparation_says_what_it_is(name):
    preparation = PREPARATIONS[name]
    assert preparation.requires_source and preparation.format != "generated"
    assert preparation.description.strip() and preparation.licence.strip()
    assert preparation.splits and preparation.version >= 1


@pytest.mark.parametrize("name", BOTH)
def test_the_fixture_gives_the_records_it_states(name, place):
    _, reports = place(name)
    good = {split: report.records for split, report in reports.items() if report.records}
    bad = {split: report.bad + report.bad_within for split, report in reports.items()}
    told = {report.split: report.as_dict()["bad_records"] for report in reports.values()}
    assert good == {split: n for split, n in FIXTURES[name].records.items() if n}, told
    assert {s: n for s, n in bad.items() if n} == dict(FIXTURES[name].bad), told
    assert max(good.values()) >= 2
    for report in reports.values():
        for record in report.bad_records:
            assert record["key"] and record["reason"]


@pytest.mark.parametrize("name", BOTH)
def test_every_example_decodes_and_can_be_formatted(name, place):
    folder, reports = place(name)
    config = config_lib.load("mm15_nano_sft")
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    sizes = {
        "tokens_per_tile": config.model.connector.tokens,
        "resolution": config.model.encoder.resolution,
    }
    keys = []
    for split in reports:
        for example in open_dataset(folder / "out" / name / split):
            keys.append(example.key)
            assert example.source == name and example.key and example.category
            for segment in example.segments:
                if isinstance(segment, Image):
                    assert decode_image(segment.data).shape[:2] == (segment.height, segment.width)
                elif isinstance(segment, Video):
                    assert load_frames(segment, plan_frames(segment, wanted=3, resolution=24))
                else:
                    assert isinstance(segment, Text)
            formatted = formatting.format_example(example, tokenizer, config.inputs, **sizes)
            tokens, tiles = formatting.measure(example, tokenizer, config.inputs, **sizes)
            assert tokens == len(formatted.tokens)
            assert tiles == sum(tiling.num_tiles for tiling in formatted.tilings)
            if split == "train":
                assert np.any(formatted.loss_weights), f"{example.key} teaches nothing"
            if "answer" in example.metadata:
                assert example.metadata["metric"]
                formatting.format_example(
                    example, tokenizer, config.inputs, **sizes, for_generation=True
                )
    assert len(set(keys)) == len(keys), "keys are not unique in the data set"


@pytest.mark.parametrize("name", BOTH)
def test_preparing_again_changes_nothing(name, place):
    folder, _ = place(name)
    times = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")}
    for report in prepare_source(name, folder / "in", folder / "out"):
        assert report.shards_kept == report.shards
    assert times == {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")}


@pytest.mark.parametrize("name", BOTH)
def test_a_bucket_gives_the_same_shards(name, place, tmp_path):
    folder, reports = place(name)
    memory, bucket = fsspec.filesystem("memory"), f"/{name}"
    for path in (folder / "in").rglob("*"):
        if path.is_file():
            inside = path.relative_to(folder / "in").as_posix()
            memory.pipe(f"{bucket}/{inside}", path.read_bytes())
    try:
        prepare_source(name, f"memory:/{bucket}", tmp_path)
    finally:
        memory.rm(bucket, recursive=True)
    for split in reports:
        here = open_dataset(folder / "out" / name / split).manifest
        assert open_dataset(tmp_path / name / split).manifest.checksum == here.checksum


@pytest.mark.parametrize(
    ("name", "split", "file"),
    [
        ("textvqa", "train", "train-images-boxable-with-rotation.csv"),
        ("textcaps", "train", "train_images/rotation.csv"),
        ("llava_w", "test", "answers_gpt4.jsonl"),
        ("llava_w", "test", "context.jsonl"),
        ("tabfact", "train", "data/train_id.json"),
        ("ai2d", "train", "ai2d_test_ids.csv"),
        ("screen2words", "train", "split/train_screens.txt"),
        ("widget_captioning", "train", "widget-caption/split/train.txt"),
        ("visual_genome", "train", "image_data.json"),
        ("flickr30k_entities", "train", "UNRELATED_CAPTIONS"),
        ("nextqa", "validation", "dataset/nextqa/map_vid_vidorID.json"),
        ("intentqa", "test", "map_vid_vidorID.json"),
        ("obelics", "train", "images/00000.parquet"),
    ],
)
def test_what_lies_beside_the_annotations_makes_shards_stale(name, split, file, tmp_path):
    FIXTURES[name].make(tmp_path)
    if name == "llava_w":  # its fixture is the copy of the hub
        (tmp_path / "data/train-00000-of-00001.parquet").unlink()
        (tmp_path / "questions.jsonl").write_text("{}\n")

    def identities():
        tasks = parts.tasks_of(PREPARATIONS[name], split, Source(tmp_path), tmp_path)
        return {task.identity for task in tasks}

    before = identities()
    assert before == identities()
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n")
    assert before and before.isdisjoint(identities())


# Another order of sets and another hash of words must not show.
ELSEWHERE = """
import pathlib, sys
sys.path[:0] = [sys.argv[1]]
from tests.data.convert.fixtures import prepare_source
for name in sys.argv[3:]:
    folder = pathlib.Path(sys.argv[2]) / name
    prepare_source(name, folder / "in", folder / "elsewhere")
"""


def test_another_process_makes_the_same_files(place):
    folders = {name: place(name)[0] for name in BOTH}
    root = next(iter(folders.values())).parent
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(ROOT), str(root), *folders],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
    )
    for folder in folders.values():
        assert content(folder / "out") == content(folder / "elsewhere")
