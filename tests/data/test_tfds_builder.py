"""A builder's folder, written by TFDS itself, read without TensorFlow."""

import subprocess
import sys
import textwrap

import pytest

from mm15_jax.data.prepare import prepare
from mm15_jax.data.records import open_dataset
from mm15_jax.data.source import Source
from mm15_jax.data.tfds_builder import tfds_preparation
from mm15_jax.inputs.example import Image, Text

WRITE = """
    import sys
    import numpy as np
    import tensorflow_datasets as tfds

    class Dots(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = sys.argv[1]

        def _info(self):
            features = tfds.features.FeaturesDict({
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                "crops": tfds.features.Sequence(tfds.features.Image(shape=(2, 2, 3))),
                "about": {"thumbnail": tfds.features.Image(shape=(1, 1, 3)), "year": np.int64},
                "question": tfds.features.Text(),
                "answers": tfds.features.Sequence(tfds.features.Text()),
            })
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager):
            return {"train": self._generate_examples(10), "test": self._generate_examples(3)}

        def _generate_examples(self, count):
            for i in range(count):
                yield f"dot-{i}", {
                    "image": np.full((8, 6, 3), i, np.uint8),
                    "crops": [np.zeros((2, 2, 3), np.uint8)] * 2,
                    "about": {"thumbnail": np.zeros((1, 1, 3), np.uint8), "year": 2000 + i},
                    "question": f"how dark is dot {i}?",
                    "answers": [str(i), "dark"] if i != 7 else [],
                }

    Dots(data_dir=sys.argv[1], file_format="array_record").download_and_prepare()
"""
READ = """
    import sys
    from tests.data.test_tfds_builder import DOTS
    from mm15_jax.data.source import Source

    source = Source(sys.argv[1])
    (part,) = DOTS.parts("train", source)
    made = list(DOTS.convert("train", part, source))
    assert [type(item).__name__ for item in made].count("Example") == 9, made
    assert "tensorflow_datasets" in sys.modules and "tensorflow" not in sys.modules
"""


def dot(features, source, key):
    from mm15_jax.data.convert.segments import conversation, image_of
    from mm15_jax.inputs.example import Example

    assert [crop.shape for crop in features["crops"]] == [(2, 2, 3)] * 2
    assert features["about"]["thumbnail"].startswith(b"\x89PNG")
    answers = [answer.decode() for answer in features["answers"]]
    turns = [(features["question"].decode(), answers[0])]
    facts = {"answer": answers, "metric": "exact_match", "year": int(features["about"]["year"])}
    return Example(
        conversation([image_of(features["image"])], turns), source, key, "general", facts
    )


DOTS = tfds_preparation("dots", "general", dot, licence="CC0")


def run(program, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    run(WRITE, folder)
    return folder / "dots" / "1.0.0"


def test_a_builder_becomes_a_data_set(folder, tmp_path):
    train, test = prepare(DOTS, tmp_path, source=folder, workers=1, max_bad_fraction=0.2)
    assert (train.split, train.records, train.bad) == ("train", 9, 1)  # no answer: a bad record
    assert (test.split, test.records) == ("test", 3)
    examples = list(open_dataset(tmp_path / "dots" / "train"))
    by_year = {example.metadata["year"]: example for example in examples}
    assert sorted(by_year) == [year for year in range(2000, 2010) if year != 2007]
    picture, question, answer = by_year[2003].segments
    assert isinstance(picture, Image) and (picture.height, picture.width) == (8, 6)
    assert picture.data.startswith(b"\x89PNG")
    assert question == Text("how dark is dot 3?", role="user")
    assert answer == Text("3", role="assistant", loss=True)
    assert by_year[2003].metadata["answer"] == ["3", "dark"]


def test_files_that_change_are_seen(folder):
    (part,) = DOTS.parts("test", Source(folder))
    info, shard = part.files
    assert info == "dataset_info.json" and shard.startswith("dots-test.array_record-")


def test_reading_does_not_import_tensorflow(folder):
    run(READ, folder)


def test_what_cannot_be_read_at_random_is_refused(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    info = (folder / "dataset_info.json").read_text()
    assert "array_record" in info
    (other / "dataset_info.json").write_text(info.replace("array_record", "tfrecord"))
    (other / "features.json").write_text((folder / "features.json").read_text())
    with pytest.raises(ValueError, match="'tfrecord'; expected 'array_record'"):
        DOTS.parts("train", Source(other))
    with pytest.raises(ValueError, match=r"no TFDS builder's folder.*dataset_info\.json"):
        DOTS.parts("train", Source(tmp_path))
