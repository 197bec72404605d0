"""Pickles as RefCOCO's, and those that want to run something."""

import os
import pickle

import pytest

from mm15_jax.data.convert.pickles import restricted_unpickle
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source

# cPickle.dumps([{'split': 'val', 'box': (1, 2.5, -3L), 'raw': u'caf\xe9', 'sent': 'caf\xe9'}])
# of Python 2, written with protocol 0.
PYTHON_2 = (
    b"(lp1\n(dp2\nS'split'\np3\nS'val'\np4\nsS'box'\np5\n(I1\nF2.5\nL-3L\ntp6\nsS'raw'\np7\n"
    b"Vcaf\\u00e9\np8\nsS'sent'\np9\nS'caf\\xe9'\np10\nsa."
)


class Attack:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def read(tmp_path, data, **options):
    (tmp_path / "refs(unc).p").write_bytes(data)
    return restricted_unpickle(Source(tmp_path), "refs(unc).p", **options)


def test_plain_data_of_python_2_is_read(tmp_path):
    expected = [{"split": "val", "box": (1, 2.5, -3), "raw": "café", "sent": "café"}]
    assert read(tmp_path, PYTHON_2) == expected
    assert read(tmp_path, PYTHON_2, encoding="bytes")[0][b"sent"] == b"caf\xe9"


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_of_every_protocol_is_read(tmp_path, protocol):
    value = {"a": [1, 2**70, 0.5, None, True], "b": ({"x"}, frozenset("y"), "z" * 300)}
    assert read(tmp_path, pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_something_is_refused_before_it_does(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"refs\(unc\).p is refused: it asks for (posix|nt).system"):
        read(tmp_path, pickle.dumps([1, Attack()], protocol))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"c__builtin__\neval\n(S'1+1'\ntR.",
        b"cbuiltins\ngetattr\n(S'a'\nS'b'\ntR.",
        b"(i__builtin__\nexec\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x0aset.update\x93.",
    ],
)
def test_other_builtins_are_refused_by_every_opcode(tmp_path, data):
    with pytest.raises(DataError, match="is refused: it asks for"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    "data", [b"", PYTHON_2[:-20], b"not a pickle", b"\x80\x02]S'\n.", b"I1\nb."]
)
def test_a_damaged_pickle_is_told(tmp_path, data):
    with pytest.raises(DataError, match="is damaged"):
        read(tmp_path, data)
