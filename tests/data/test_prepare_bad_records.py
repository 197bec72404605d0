"""Records that cannot become examples: named, counted, left out, and not too many of them."""

import dataclasses

import pytest

from mm15_jax.data.parts import RECEIPTS
from mm15_jax.data.preparation import DataError, examples_of
from mm15_jax.data.prepare_report import REPORT, bad_allowed
from mm15_jax.data.records import open_dataset
from mm15_jax.inputs.example import Example, Text
from tests.data.test_prepare import COUNT, Maker, run


def test_bad_records_are_counted_named_and_left_out(tmp_path):
    maker = Maker(bad=[7, 8, 599])
    (report,) = run(maker, tmp_path, max_bad_fraction=0.01)
    assert (report.bad, report.records) == (3, COUNT - 3)
    assert [bad["key"] for bad in report.bad_records] == ["page 7", "page 8", "page 599"]
    assert report.bad_records[2] == {
        "part": "n[400:600]", "key": "page 599", "reason": "page 599 is torn",
    }  # fmt: skip
    keys = [example.key for example in open_dataset(tmp_path / "numbers" / "train")]
    assert keys == [f"train-{i}" for i in range(COUNT) if i not in (7, 8, 599)]
    (again,) = run(Maker(), tmp_path, max_bad_fraction=0.01)
    assert (again.bad, again.shards_kept) == (3, 3)


def test_reasons_that_differ_in_numbers_are_one_kind(tmp_path):
    (report,) = run(Maker(bad=range(30, 36)), tmp_path)
    (group,) = report.bad_reasons
    assert (group["count"], group["reason"]) == (6, "page 30 is torn")
    assert group["keys"] == ["page 30", "page 31", "page 32"]
    assert "6 bad: page 30 is torn (page 30, page 31, page 32)" in report.as_text()


def test_more_bad_records_than_allowed_stop_with_one_of_them_named(tmp_path):
    with pytest.raises(ValueError, match=r"11 records.*like page 300: page 300 is torn"):
        run(Maker(bad=range(300, 311)), tmp_path)
    with pytest.raises(ValueError, match="is not whole"):
        open_dataset(tmp_path / "numbers" / "train")
    (report,) = run(Maker(bad=range(300, 311)), tmp_path, max_bad_fraction=0.02)
    assert (report.bad, report.shards_kept) == (11, 2)  # what was made is kept


def test_a_split_given_up_for_its_bad_records_tries_them_again(tmp_path):
    with pytest.raises(ValueError, match="11 records"):
        run(Maker(bad=range(300, 311)), tmp_path)
    mended = Maker()
    (report,) = run(mended, tmp_path)
    assert (report.bad, report.records) == (0, COUNT)
    assert len(mended.made) < COUNT  # shards without a bad record stay


def test_bad_records_that_were_accepted_are_tried_again_when_asked(tmp_path):
    run(Maker(bad=[300]), tmp_path)
    assert run(Maker(), tmp_path)[0].bad == 1
    (report,) = run(Maker(), tmp_path, retry_bad=True)
    assert (report.bad, report.records, report.shards_kept) == (0, COUNT, report.shards - 1)


@pytest.mark.parametrize(
    ("fraction", "seen", "allowed"),
    [(0.001, 3, 1), (0.001, 600, 10), (0.001, 50_000, 50), (0, 600, 0), (1, 5, 5)],
)
def test_a_small_split_is_forgiven_some(fraction, seen, allowed):
    assert int(bad_allowed(fraction, seen)) == allowed


def test_an_example_without_segments_is_bad(tmp_path):
    def convert(split, part, source):
        yield Example((), "numbers", "empty", "text", {})
        yield Example((Text("a"),), "numbers", "full", "text", {})

    (report,) = run(Maker(), tmp_path, ["test"], changes={"convert": convert})
    assert (report.records, report.bad_records[0]["key"]) == (1, "empty")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"segments": (Text("half \ud83d"),)}, "surrogates not allowed"),
        ({"key": "half \ud83d"}, "surrogates not allowed"),
        ({"metadata": {"id": 2**70}}, "Integer value out of range"),
    ],
)
def test_an_example_that_cannot_be_written_is_bad(tmp_path, changes, reason):
    def convert(split, part, source):
        for i in range(part.start, part.stop):
            example = Example((Text(f"{i}"),), "numbers", f"{i}", "text", {})
            yield dataclasses.replace(example, **(changes if i == 3 else {}))

    (report,) = run(Maker(), tmp_path, ["test"], changes={"convert": convert})
    assert (report.bad, report.records) == (1, 4)
    assert reason in report.bad_records[0]["reason"]
    assert report.bad_records[0]["key"] == changes.get("key", "3").replace("\ud83d", "\\ud83d")
    folder = tmp_path / "numbers" / "test"
    assert all(reason in (folder / name).read_text() for name in (REPORT, RECEIPTS))


def of_aiohttp(kind):
    """What the clients of stores raise: some of it is an OSError, some is not."""
    return type("ClientError", (kind,), {"__module__": "aiohttp.client_exceptions"})("no answer")


@pytest.mark.parametrize(
    "error", [ConnectionResetError("no answer"), of_aiohttp(OSError), of_aiohttp(Exception)]
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_source_that_does_not_answer_ends_it_and_no_record_is_bad(tmp_path, error, wrapped):
    def read(i):
        if i == 3 and wrapped:
            raise DataError("the picture cannot be read: no answer") from error
        if i == 3:
            raise error
        return Example((Text(f"{i}"),), "numbers", f"{i}", "text", {})

    def convert(split, part, source):
        return examples_of(((f"{i}", i) for i in range(part.start, part.stop)), read)

    with pytest.raises(ValueError, match=r"of 'numbers' \(test\) cannot be converted: .*no answer"):
        run(Maker(), tmp_path, ["test"], changes={"convert": convert})
