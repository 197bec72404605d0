"""Plain text, from JSON lines, parquet and what TFDS prepared."""

import random
import subprocess
import sys

import pytest

from mm15_jax.data import shard_files
from mm15_jax.data.convert import record_files, text, tfds_records
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Text
from tests.data.convert.converted import convert
from tests.data.convert.fixtures.text_sets import FIXTURES, own_text, tf_example


def documents(examples):
    """The texts, which are documents to train on."""
    for example in examples.values():
        (segment,) = example.segments
        assert segment == Text(segment.text, role="document", loss=True)
    return [example.segments[0].text for example in examples.values()]


def test_every_kind_of_file_gives_whole_documents(tmp_path):
    FIXTURES["hq_text"].make(tmp_path)
    good, bad = convert("text", "hq_text", "train", tmp_path)
    assert documents(good) == [
        "A first page.\nIts second line.",
        "Another.",
        "Packed.",
        "From the web.",
        "Ångström was a physicist.",
    ]
    assert list(bad) == [
        "chunk_0.jsonl.zst#1",
        "chunk_0.jsonl.zst#2",
        "wikipedia/20230601.en/1.0.0/wikipedia-train.array_record-00000-of-00001#1",
    ]
    good, bad = convert("text", "hq_text", "validation", tmp_path)
    assert documents(good) == ["Held out."] and not bad
    assert convert("text", "hq_text", "test", tmp_path) == ({}, {})


def test_damaged_lines_and_files_are_named_and_the_rest_is_read(tmp_path):
    own_text(tmp_path)
    good, bad = convert("text", "jsonl_text", "train", tmp_path)
    # What a file that is cut off gives before its end is kept.
    assert documents(good) == ["One.", "Two.", "Four."]
    assert list(bad) == ["a.jsonl@34", "a.jsonl@55", "cut-off.jsonl.gz#1"]
    assert "not JSON" in bad["a.jsonl@34"] and "is list, not an object" in bad["a.jsonl@55"]
    assert "damaged from here on" in bad["cut-off.jsonl.gz#1"]
    good, _ = convert("text", "jsonl_text", "validation", tmp_path)
    assert documents(good) == ["Three."]


def test_a_long_line_of_a_compressed_file_is_taken_for_a_bomb(tmp_path, monkeypatch):
    FIXTURES["hq_text"].make(tmp_path)
    monkeypatch.setattr(record_files, "_LINE_BYTES", 20)
    _, bad = convert("text", "hq_text", "train", tmp_path)
    assert bad["c4/en/c4-train.00000-of-01024.json.gz#0"].startswith("a line of 20 bytes or more")


def test_lines_may_be_named_json(tmp_path):
    (tmp_path / "a.json").write_text('\ufeff {"text": "x"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="neither a JSON array nor lines"):
        (tmp_path / "b.json").write_text('"x"')
        record_files.RECORD_FILES.parts(Source(tmp_path), ["b.json"])
    (tmp_path / "c.json").write_text('{"text": "x"}\n{"text": "y"}\n')
    (tmp_path / "b.json").unlink()
    good, _ = convert("text", "jsonl_text", "train", tmp_path)
    assert documents(good)[-2:] == ["x", "y"]


def test_a_tf_example_is_read_as_tensorflow_writes_it():
    # tf.train.Example of {"n": [1, 300], "text": [b"ab", b""], "x": [0.5]}, by TensorFlow's schema.
    feature = (
        b"\n/"
        b"\n\x0c\n\x01n\x12\x07\x1a\x05\n\x03\x01\xac\x02"
        b"\n\x10\n\x04text\x12\x08\n\x06\n\x02ab\n\x00"
        b"\n\r\n\x01x\x12\x08\x12\x06\n\x04\x00\x00\x00?"
    )
    found = tfds_records.parse_example(feature)
    assert found["n"] == [1, 300] and found["x"] == 0.5 and found["text"] == ["ab", ""]
    assert tfds_records.parse_example(tf_example(text="Å", title="b")) == {
        "text": "Å",
        "title": "b",
    }
    assert tfds_records.parse_example(b"") == {}
    with pytest.raises(DataError, match=r"no tf.train.Example"):
        tfds_records.parse_example(b"\xff\xff")


@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_file_of_tfds_is_told_in_a_sentence(tmp_path, cut):
    file = "c4-train.array_record-00000-of-00001"
    with shard_files.writing(tmp_path / file) as write:
        for number in range(300):
            write(tf_example(text=random.Random(number).randbytes(48).hex()))
    data = (tmp_path / file).read_bytes()
    damaged = data[: len(data) // 2] if cut else data[:5000] + bytes(100) + data[5100:]
    (tmp_path / file).write_bytes(damaged)
    with pytest.raises(ValueError, match=f"^{file} is cut or damaged, fetch it again: "):
        convert("text", "hq_text", "train", tmp_path)


@pytest.mark.slow
def test_our_message_is_the_one_of_tfds():
    from tensorflow_datasets.proto import tf_example_generated_pb2 as theirs

    example = theirs.Example()
    example.features.feature["text"].bytes_list.value.append("Ångström".encode())
    example.features.feature["raw"].bytes_list.value.append(b"\xff\x00")
    example.features.feature["n"].int64_list.value.extend([-1, 2**40])
    example.features.feature["x"].float_list.value.append(0.25)
    example.features.feature["empty"].bytes_list.SetInParent()
    assert tfds_records.parse_example(example.SerializeToString()) == {
        "text": "Ångström",
        "raw": b"\xff\x00",
        "n": [-1, 2**40],
        "x": 0.25,
        "empty": [],
    }


def test_neither_tensorflow_nor_tfds_is_imported(tmp_path):
    FIXTURES["hq_text"].make(tmp_path)
    code = f"""
import sys
from tests.data.convert.converted import convert
assert len(convert("text", "hq_text", "train", {str(tmp_path)!r})[0]) == 5
assert not [name for name in sys.modules if name.startswith("tensorflow")]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_empty_source_is_told_what_is_expected(tmp_path):
    with pytest.raises(ValueError, match="has no files; expected"):
        text.PREPARATIONS[0].parts("train", Source(tmp_path))
