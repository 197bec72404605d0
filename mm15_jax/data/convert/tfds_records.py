"""Records that TFDS prepared as array_record, read without TensorFlow and without TFDS.

Format: files `NAME-SPLIT.array_record-00000-of-00004` of serialised `tf.train.Example`. Its schema
is public and never changes, so it is written here: `protobuf` then reads it.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source

FILES = ".array_record-?????-of-?????"
_BESIDE = ("dataset_info.json", "features.json")
_ONE = re.compile(r"\.array_record-\d{5}-of-\d{5}$")
_AT_ONCE = 64  # records in memory


def is_one(file: str) -> bool:
    """Whether a file is named as TFDS names them."""
    return _ONE.search(file) is not None


def is_beside(file: str) -> bool:
    """Whether a file stands beside such records, and is no data."""
    return posixpath.basename(file) in _BESIDE


def records(source: Source, file: str) -> Iterator[tuple[str, Any]]:
    """(place, {feature: value}) of each record of a file.

    Raises:
      ValueError: if the file is cut or damaged: a cut one gives none of its records.
    """
    from array_record.python import array_record_module

    with source.local(file) as path:
        try:  # the library knows one error, and tells of a cut file when it is closed
            reader = array_record_module.ArrayRecordReader(str(path))
            try:
                total = reader.num_records()
                for start in range(0, total, _AT_ONCE):
                    stop = min(start + _AT_ONCE, total)
                    for number, record in enumerate(reader.read(start, stop), start):
                        yield f"{file}#{number}", _example_or_error(record)
            finally:
                reader.close()
        except RuntimeError as error:
            raise ValueError(f"{file} is cut or damaged, fetch it again: {error}") from error


def _example_or_error(record: bytes) -> dict[str, Any] | DataError:
    try:
        return parse_example(record)
    except DataError as error:
        return error


def parse_example(record: bytes) -> dict[str, Any]:
    """Features of a serialised `tf.train.Example`; a feature of one value is that value.

    Bytes that are UTF-8 become text.

    Raises:
      DataError: if the bytes are no such message.
    """
    from google.protobuf.message import DecodeError

    try:
        example = _message().FromString(record)
    except DecodeError as error:
        raise DataError(f"a record that is no tf.train.Example: {error}") from error
    return {name: _value(feature) for name, feature in example.features.feature.items()}


def _value(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    if kind == "bytes_list":
        values = [_text_or_bytes(value) for value in values]
    return values[0] if len(values) == 1 else values


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


@functools.cache
def _message() -> Any:
    """The class of `tf.train.Example`: tensorflow/core/example/{example,feature}.proto."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    Field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="mm15_jax/tf_example.proto", package="mm15_jax", syntax="proto3"
    )

    def message(name: str, parent: Any = None) -> Any:
        new = parent.nested_type.add() if parent else file.message_type.add()
        new.name = name
        return new

    def field(owner: Any, name: str, number: int, kind: int, *, many: bool = False, **more: Any):
        label = Field.LABEL_REPEATED if many else Field.LABEL_OPTIONAL
        owner.field.add(name=name, number=number, type=kind, label=label, **more)

    lists: Mapping[str, int] = {
        "bytes_list": Field.TYPE_BYTES,
        "float_list": Field.TYPE_FLOAT,
        "int64_list": Field.TYPE_INT64,
    }
    feature = message("Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, kind) in enumerate(lists.items(), 1):
        field(message(name.title()), "value", 1, kind, many=True)
        list_type = f".mm15_jax.{name.title()}"
        field(feature, name, number, Field.TYPE_MESSAGE, type_name=list_type, oneof_index=0)
    features = message("Features")
    entry = message("FeatureEntry", features)
    entry.options.map_entry = True
    field(entry, "key", 1, Field.TYPE_STRING)
    field(entry, "value", 2, Field.TYPE_MESSAGE, type_name=".mm15_jax.Feature")
    entries = ".mm15_jax.Features.FeatureEntry"
    field(features, "feature", 1, Field.TYPE_MESSAGE, many=True, type_name=entries)
    field(message("Example"), "features", 1, Field.TYPE_MESSAGE, type_name=".mm15_jax.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("mm15_jax.Example"))
