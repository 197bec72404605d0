import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.data.convert import json_files, json_stream
from mm15_jax.data.source import Source

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
STYLES = st.sampled_from(
    [{}, {"indent": 2}, {"ensure_ascii": False}, {"separators": (",", ":"), "ensure_ascii": False}]
)


def read(source, parts, records):
    return [record for part in parts for _, record in records(source, part)]


@settings(deadline=None, max_examples=60)
@given(st.lists(VALUES), st.integers(1, 4), STYLES, st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_parts_of_an_array_are_the_array(tmp_path_factory, values, per_part, style, mark):
    root = tmp_path_factory.mktemp("json")
    (root / "top.json").write_bytes(mark + json.dumps(values, **style).encode())
    under = {"info": {"data": [1]}, "other": values, "data": values, "end": "]"}
    (root / "under.json").write_bytes(mark + json.dumps(under, **style).encode())
    source = Source(root)
    for file, key in (("top.json", ""), ("under.json", "data")):
        parts = json_files.array_parts(source, file, key=key, per_part=per_part)
        assert [part.records for part in parts[:-1]] == [per_part] * (len(parts) - 1)
        assert read(source, parts, json_files.array_records) == values


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(), VALUES), st.integers(1, 4), STYLES)
def test_parts_of_an_object_are_the_object(tmp_path_factory, values, per_part, style):
    root = tmp_path_factory.mktemp("json")
    (root / "top.json").write_text(json.dumps(values, **style), encoding="utf-8")
    source = Source(root)
    parts = json_files.object_parts(source, "top.json", per_part=per_part)
    assert dict(read(source, parts, json_files.object_records)) == values
    assert len({part.name for part in parts}) == len(parts)


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_ranges_do_not_depend_on_how_the_file_is_read(tmp_path, monkeypatch, block):
    values = ["äöü", 12.5, {"k": ["]", "}"]}, "\U0001f600", -3, True]
    (tmp_path / "a.json").write_bytes(
        b"\xef\xbb\xbf" + json.dumps(values, ensure_ascii=False).encode()
    )
    monkeypatch.setattr(json_stream, "_BLOCK", block)
    source = Source(tmp_path)
    parts = json_files.array_parts(source, "a.json", per_part=1)
    assert read(source, parts, json_files.array_records) == values


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ('{"a": [1]}', "", "an array at its top"),
        ('{"a": {"data": [1]}}', "data", "no member 'data'"),
        ('{"data": {"x": 1}}', "data", "an array under 'data'"),
        ("[1, 2", "", "ends too early"),
        ('[{"a": 1}, {"b"', "", "no JSON file"),
    ],
)
def test_what_is_no_such_file_is_said(tmp_path, text, key, reason):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=reason):
        json_files.array_parts(Source(tmp_path), "a.json", key=key)


def test_lines_belong_where_they_begin(tmp_path):
    lines = [f"line {i} " + "x" * (i % 7) for i in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n\n")
    source = Source(tmp_path)
    for size in (1, 10, 33, 1000):
        parts = json_files.lines_parts(source, ["a.txt"], size)
        assert [line.rstrip("\n") for line in read(source, parts, json_files.line_records)] == lines
