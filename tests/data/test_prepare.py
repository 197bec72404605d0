import concurrent.futures
import io
import json

import pytest

from mm15_jax.data import prepare as prepare_lib
from mm15_jax.data import registry
from mm15_jax.data.parts import RECEIPTS
from mm15_jax.data.preparation import BadRecord, Part, Preparation, range_parts
from mm15_jax.data.prepare import prepare
from mm15_jax.data.prepare_report import REPORT
from mm15_jax.data.progress import Event, ProgressLine
from mm15_jax.data.records import MANIFEST, open_dataset
from mm15_jax.inputs.example import Example, Image, Text
from mm15_jax.inputs.tokenizer import load_tokenizer
from tests.data.conftest import png

COUNT = 600  # three shards


class Maker:
    """Makes numbered examples and remembers which; the numbers in `bad` are bad records."""

    def __init__(self, bad=(), stop_at=None, category="text"):
        self.made, self.bad, self.stop_at, self.category = [], set(bad), stop_at, category

    def convert(self, split, part, source):
        for i in range(part.start, part.stop):
            if i == self.stop_at:
                raise KeyboardInterrupt
            if i in self.bad:
                yield BadRecord(f"page {i}", f"page {i} is torn")
                continue
            self.made.append(i)
            words = (Text(f"{split} {i}", loss=True),)
            yield Example(words, "numbers", f"{split}-{i}", self.category, {})

    def preparation(self, **changes):
        fields = {
            "name": "numbers",
            "category": self.category,
            "description": "Numbers.",
            "licence": "CC0",
            "splits": ("train", "test"),
            "parts": lambda split, source: range_parts("n", COUNT if split == "train" else 5),
            "convert": self.convert,
        }
        return Preparation(**(fields | changes))


def run(maker, data_dir, splits=("train",), *, progress=lambda event: None, **arguments):
    preparation = maker.preparation(**arguments.pop("changes", {}))
    return prepare(preparation, data_dir, splits, workers=1, progress=progress, **arguments)


def files(directory):
    """Content of a data set's files; its report says how long it took and is left out."""
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.name != REPORT}


def test_all_splits_are_written_in_order(tmp_path):
    train, test = run(Maker(), tmp_path, None)
    assert (train.records, train.shards, test.records) == (COUNT, 3, 5)
    assert train.categories == {"text": COUNT}
    keys = [example.key for example in open_dataset(tmp_path / "numbers" / "train")]
    assert keys == [f"train-{i}" for i in range(COUNT)]
    manifest = open_dataset(tmp_path / "numbers" / "test").manifest
    assert (manifest.licence, manifest.category, manifest.ordered) == ("CC0", "text", False)


def test_preparing_again_makes_nothing_and_changes_nothing(tmp_path):
    run(Maker(), tmp_path)
    index = tmp_path / "numbers" / "train" / "index-0123.npz"
    index.write_bytes(b"of these records")
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "numbers" / "train").iterdir()}
    maker = Maker()
    (report,) = run(maker, tmp_path)
    assert maker.made == [] and report.shards_kept == 3 and report.records == COUNT
    assert times == {p: p.stat().st_mtime_ns for p in (tmp_path / "numbers" / "train").iterdir()}


def test_only_the_files_of_the_data_set_remain(tmp_path):
    run(Maker(), tmp_path)
    names = sorted(p.name for p in (tmp_path / "numbers" / "train").iterdir())
    shards = [f"{i:05d}-of-00003.array_record" for i in range(3)]
    assert names == [*shards, MANIFEST, RECEIPTS, REPORT]


def test_a_shard_that_was_changed_is_made_again_and_only_it(tmp_path):
    run(Maker(), tmp_path)
    shard = tmp_path / "numbers" / "train" / "00001-of-00003.array_record"
    good = shard.read_bytes()
    shard.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
    maker = Maker()
    run(maker, tmp_path)
    assert maker.made == list(range(200, 400)) and shard.read_bytes() == good


def test_a_damaged_receipt_is_none(tmp_path):
    run(Maker(), tmp_path)
    path = tmp_path / "numbers" / "train" / RECEIPTS
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([first[:-9], *others]))
    maker = Maker()
    run(maker, tmp_path)
    assert maker.made == list(range(200))


def test_a_new_version_is_made_anew_and_stale_indices_go(tmp_path):
    run(Maker(), tmp_path)
    index = tmp_path / "numbers" / "train" / "index-0123.npz"
    index.write_bytes(b"old")
    maker = Maker()
    run(maker, tmp_path, changes={"version": 2})
    assert maker.made == list(range(COUNT)) and not index.exists()


# Sources.


def test_a_new_category_is_written_into_the_records(tmp_path):
    run(Maker(), tmp_path)
    (report,) = run(Maker(category="knowledge"), tmp_path)
    assert report.categories == {"knowledge": COUNT}
    dataset = open_dataset(tmp_path / "numbers" / "train")
    assert dataset.categories == ("knowledge",) and dataset[0].category == "knowledge"


def lines_preparation(made):
    """A data set of text files: a part a file, a record a line."""

    def parts(split, source):
        return [Part(name, None, (name,)) for name in source.glob(f"{split}-*.txt")]

    def convert(split, part, source):
        made.append(part.name)
        for i, line in enumerate(source.read(part.files[0]).decode().splitlines()):
            yield Example((Text(line, loss=True),), "lines", f"{part.name}:{i}", "text", {})

    return Preparation(
        "lines", "text", "Lines.", "CC0", ("train", "test"), parts, convert, layout="SPLIT-*.txt"
    )


def prepare_lines(tmp_path, splits=None, **arguments):
    """(the files that were read, texts of the train split)."""
    made = []
    prepare(
        lines_preparation(made), tmp_path / "out", splits, source=tmp_path / "in", workers=1,
        progress=lambda event: None, **arguments,
    )  # fmt: skip
    examples = open_dataset(tmp_path / "out" / "lines" / "train")
    return made, [example.segments[0].text for example in examples]


@pytest.fixture
def lines(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for letter in "abd":
        (folder / f"train-{letter}.txt").write_text(f"{letter}1\n{letter}2\n")
    return folder


def test_a_changed_file_has_its_parts_made_again_and_only_them(tmp_path, lines):
    prepare_lines(tmp_path)
    (lines / "train-b.txt").write_text("b1\nb2\nb3\n")
    made, texts = prepare_lines(tmp_path)
    assert made == ["train-b.txt"]
    assert texts == ["a1", "a2", "b1", "b2", "b3", "d1", "d2"]


def test_a_file_that_comes_between_others_lets_them_be(tmp_path, lines):
    prepare_lines(tmp_path)
    (lines / "train-c.txt").write_text("c1\n")
    made, texts = prepare_lines(tmp_path)
    assert made == ["train-c.txt"] and texts == ["a1", "a2", "b1", "b2", "c1", "d1", "d2"]
    # As many files as before, and yet each shard has another number.
    (lines / "train-a.txt").rename(lines / "train-e.txt")
    made, texts = prepare_lines(tmp_path)
    assert made == ["train-e.txt"] and texts == ["b1", "b2", "c1", "d1", "d2", "a1", "a2"]
    names = sorted(p.name for p in (tmp_path / "out" / "lines" / "train").iterdir())
    assert names[:4] == [f"{i:05d}-of-00004.array_record" for i in range(4)] and len(names) == 7


def test_a_split_that_is_not_in_the_source_is_left_out_or_named(tmp_path, lines):
    prepare_lines(tmp_path)
    assert not (tmp_path / "out" / "lines" / "test").exists()
    with pytest.raises(ValueError, match=r"holds nothing of 'lines' \(test\).*SPLIT-\*.txt"):
        prepare_lines(tmp_path, ["test"])


def test_a_split_without_an_example_is_none(tmp_path):
    changes = {"parts": lambda split, source: range_parts("n", 0)}
    with pytest.raises(ValueError, match=r"holds nothing of 'numbers' \(train\)"):
        run(Maker(), tmp_path, changes=changes)
    assert not (tmp_path / "numbers" / "train" / "manifest.json").exists()


def test_a_source_may_be_in_a_bucket(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/train-a.txt", b"one\ntwo\n")
    made = []
    (report,) = prepare(
        lines_preparation(made), tmp_path, source="memory://bucket", progress=lambda event: None
    )
    assert (made, report.records) == (["train-a.txt"], 2)
    assert open_dataset(report.directory).manifest.settings["source"] == "memory://bucket"


def test_a_part_that_cannot_be_read_stops_and_is_named(tmp_path, lines):
    (lines / "train-b.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"train-b.txt of 'lines' \(train\).*utf-8"):
        prepare_lines(tmp_path)


# Limits.


def test_a_limit_takes_the_first_examples_and_may_be_raised_later(tmp_path):
    (report,) = run(Maker(), tmp_path, limit=10)
    assert report.records == len(open_dataset(tmp_path / "numbers" / "train")) == 10
    maker = Maker()
    (report,) = run(maker, tmp_path, limit=450)
    assert report.records == 450 and maker.made == list(range(450))
    maker = Maker()
    run(maker, tmp_path)
    assert maker.made == list(range(400, COUNT))
    assert len(open_dataset(tmp_path / "numbers" / "train")) == COUNT
    maker = Maker()
    (report,) = run(maker, tmp_path, limit=200)
    assert report.records == 200 and maker.made == []
    assert len(list((tmp_path / "numbers" / "train").glob("*.array_record"))) == 1


def test_a_limit_is_exact_where_records_are_bad(tmp_path):
    (report,) = run(Maker(bad=range(50, 60)), tmp_path, limit=395, max_bad_fraction=0.1)
    keys = [example.key for example in open_dataset(report.directory)]
    assert keys == [f"train-{i}" for i in range(405) if not 50 <= i < 60]


def test_a_limit_is_exact_where_counts_are_unknown(tmp_path, lines):
    for limit in (1, 2, 3, 5, 6, 9):
        _, texts = prepare_lines(tmp_path, limit=limit)
        assert texts == ["a1", "a2", "b1", "b2", "d1", "d2"][:limit]


# Report and progress.


def test_the_report_says_what_is_in_the_pictures_and_texts(tmp_path):
    sizes = [(10, 20), (30, 40), (500, 600)]

    def convert(split, part, source):
        for i, (height, width) in enumerate(sizes):
            image = Image(png(height, width, i), height, width)
            yield Example((image, Text("four")), "numbers", f"{i}", "text", {})

    (report,) = run(Maker(), tmp_path, ["test"], changes={"convert": convert})
    assert (report.images, report.characters) == (3, 12)
    assert report.heights["min"] == 10 and report.heights["max"] == 500
    assert report.heights["median"] == pytest.approx(30, rel=0.02)
    assert report.widths["median"] == pytest.approx(40, rel=0.02)
    assert "20 x 10 to 600 x 500 pixels" in report.as_text()
    written = json.loads((tmp_path / "numbers" / "test" / REPORT).read_text())
    assert written == json.loads(json.dumps(report.as_dict()))


def test_tokens_are_counted_once_for_each_tokenizer(tmp_path, monkeypatch):
    preparation = registry.get("mini_instructions")
    arguments = {"workers": 1, "limit": 20, "progress": lambda event: None}
    prepare(preparation, tmp_path, ["test"], **arguments)
    (report,) = prepare(preparation, tmp_path, ["test"], tokenizer="nano", **arguments)
    tokenizer = load_tokenizer("nano")
    texts = [s.text for example in open_dataset(report.directory) for s in example.segments]
    assert report.tokens == {"nano": sum(len(tokenizer.encode(text)) for text in texts)}
    assert f"{report.tokens['nano']:,} tokens (nano)" in report.as_text()
    monkeypatch.setattr(prepare_lib, "count_text_tokens", lambda *_: pytest.fail("counted again"))
    (again,) = prepare(preparation, tmp_path, ["test"], tokenizer="nano", **arguments)
    assert again.tokens == report.tokens


def test_progress_reaches_the_total(tmp_path):
    events = []
    run(Maker(), tmp_path, progress=events.append)
    assert [event.done for event in events] == [0, 200, 400, 600, 600]
    assert all(event.total == COUNT for event in events)
    assert events[1].seconds_left > 0 and events[-1].seconds_left == 0
    assert [event.last for event in events] == [False] * 4 + [True]


def test_progress_goes_by_bytes_where_records_are_not_known(tmp_path):
    parts = [Part("a", None, (), 0, 30), Part("b", None, (), 30, 40)]
    events = []
    run(Maker(), tmp_path, progress=events.append, changes={"parts": lambda split, source: parts})
    assert [event.share for event in events] == [0, 0.75, 1, 1]
    assert [event.total for event in events] == [None] * 4


def test_progress_line_in_a_log():
    log = io.StringIO()
    line = ProgressLine(log, quiet=3600)
    for done in range(101):
        line(Event("a", "train", done, 100, 2 if done > 50 else 0, done / 100, 100.0, done == 100))
    lines = log.getvalue().splitlines()
    assert lines == ["a train: 0 of 100 records, 1:40 left", "a train: 100 records, 2 bad"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"splits": ("trian",)}, "did you mean 'train'"),
        ({"limit": 0}, "limit is 0; expected 1 or more"),
        ({"max_bad_fraction": 2}, "max_bad_fraction is 2; expected 0 to 1"),
        ({"changes": {"layout": "a.json"}}, "--source; it must hold a.json"),
        ({"changes": {"layout": "a.json"}, "source": "/no/where"}, "does not exist"),
    ],
)
def test_wrong_arguments_are_one_sentence(tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        run(Maker(), tmp_path, **arguments)


# Processes.


def test_processes_make_what_one_process_makes(tmp_path):
    preparation = registry.get("mini_text")
    for workers in (1, 2):
        prepare(
            preparation, tmp_path / str(workers), ["train"], workers=workers, limit=900,
            progress=lambda event: None,
        )  # fmt: skip
    one, two = (files(tmp_path / str(w) / "mini_text" / "train") for w in (1, 2))
    assert one == two
    assert len(open_dataset(tmp_path / "1" / "mini_text" / "train")) == 900


@pytest.mark.parametrize("name", ["numbers", "mini_text"])
def test_an_own_preparation_is_made_in_this_process(tmp_path, monkeypatch, name):
    monkeypatch.setattr(prepare_lib, "spawn_pool", lambda *_: pytest.fail("others know another"))

    def convert(split, part, source):
        for i in range(part.start, part.stop):
            yield Example((Text("mine", loss=True),), name, f"{i}", "text", {})

    preparation = Maker().preparation(name=name, convert=convert)
    (report,) = prepare(preparation, tmp_path, ["train"], workers=2, progress=lambda event: None)
    assert open_dataset(report.directory)[COUNT - 1].segments[0].text == "mine"


class KilledPool:
    """A pool whose worker is killed."""

    def submit(self, *_):
        future = concurrent.futures.Future()
        future.set_exception(concurrent.futures.process.BrokenProcessPool("a process died"))
        return future

    def shutdown(self, **_):
        pass


def test_a_worker_that_is_killed_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_lib, "spawn_pool", lambda workers: KilledPool())
    with pytest.raises(ValueError, match=r"2 ended without a word.*fewer --workers"):
        prepare(registry.get("mini_text"), tmp_path, ["test"], workers=2, progress=lambda e: None)
