import io
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mm15_jax.data import prepare as prepare_lib
from mm15_jax.data import registry
from mm15_jax.data.preparation import Preparation
from mm15_jax.data.prepare import prepare
from mm15_jax.data.progress import Event, ProgressLine
from mm15_jax.data.records import MANIFEST, open_dataset
from mm15_jax.inputs.example import Example, Text

COUNT = 600  # three shards


class Maker:
    """Makes numbered examples and remembers which; fails at the indices in `bad`."""

    def __init__(self, bad=(), stop_at=None):
        self.made, self.bad, self.stop_at = [], set(bad), stop_at

    def make(self, split, indices, source):
        for i in indices:
            if i == self.stop_at:
                raise KeyboardInterrupt
            if i in self.bad:
                raise OSError(f"page {i} is torn")
            self.made.append(i)
            yield Example((Text(f"{split} {i}", loss=True),), "numbers", f"{split}-{i}", "text", {})

    def preparation(self, **changes):
        fields = {
            "name": "numbers",
            "category": "text",
            "description": "Numbers.",
            "licence": "CC0",
            "requires_source": False,
            "splits": ("train", "test"),
            "count": lambda split: COUNT if split == "train" else 5,
            "make": self.make,
        }
        return Preparation(**(fields | changes))


def run(maker, data_dir, splits=("train",), *, progress=lambda event: None, **arguments):
    preparation = maker.preparation(**arguments.pop("changes", {}))
    return prepare(preparation, data_dir, splits, workers=1, progress=progress, **arguments)


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
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "numbers" / "train").iterdir()}
    maker = Maker()
    (report,) = run(maker, tmp_path)
    assert maker.made == [] and report.shards_kept == 3 and report.records == COUNT
    assert files == {p: p.stat().st_mtime_ns for p in (tmp_path / "numbers" / "train").iterdir()}


def test_only_the_files_of_the_data_set_remain(tmp_path):
    run(Maker(), tmp_path)
    names = sorted(p.name for p in (tmp_path / "numbers" / "train").iterdir())
    assert names == [*(f"{i:05d}-of-00003.array_record" for i in range(3)), MANIFEST]


def test_an_interrupted_run_goes_on_with_the_shard_it_was_at(tmp_path):
    run(Maker(), tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        run(Maker(stop_at=350), tmp_path / "stopped")
    with pytest.raises(ValueError, match="is not whole"):
        open_dataset(tmp_path / "stopped" / "numbers" / "train")
    maker = Maker()
    (report,) = run(maker, tmp_path / "stopped")
    assert maker.made == list(range(200, COUNT)) and report.shards_kept == 1
    straight, stopped = (
        open_dataset(tmp_path / name / "numbers" / "train").manifest
        for name in ("straight", "stopped")
    )
    assert straight == stopped


KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    from test_prepare import Maker, run

    class Killed(Maker):
        def make(self, split, indices, source):
            for example in super().make(split, indices, source):
                if example.key == "train-450":
                    os.kill(os.getpid(), signal.SIGKILL)
                yield example

    run(Killed(), {data_dir!r})
"""


def test_a_killed_run_leaves_shards_that_a_later_one_keeps(tmp_path):
    run(Maker(), tmp_path / "straight")
    data_dir = tmp_path / "killed"
    script = KILLED.format(tests=str(Path(__file__).parent), data_dir=str(data_dir))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    directory = data_dir / "numbers" / "train"
    assert any(".tmp" in p.name for p in directory.iterdir())  # what the kill left behind
    maker = Maker()
    (report,) = run(maker, data_dir)
    assert report.shards_kept == 2 and maker.made == list(range(400, COUNT))
    straight = tmp_path / "straight" / "numbers" / "train"
    assert sorted(p.name for p in directory.iterdir()) == sorted(p.name for p in straight.iterdir())
    assert all(p.read_bytes() == (straight / p.name).read_bytes() for p in directory.iterdir())


def test_a_shard_that_was_changed_is_made_again_and_only_it(tmp_path):
    run(Maker(), tmp_path)
    shard = tmp_path / "numbers" / "train" / "00001-of-00003.array_record"
    good = shard.read_bytes()
    shard.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
    maker = Maker()
    run(maker, tmp_path)
    assert maker.made == list(range(200, 400)) and shard.read_bytes() == good


def test_a_new_version_is_made_anew_and_stale_indices_go(tmp_path):
    run(Maker(), tmp_path)
    index = tmp_path / "numbers" / "train" / "index-0123.npz"
    index.write_bytes(b"old")
    maker = Maker()
    run(maker, tmp_path, changes={"version": 2})
    assert maker.made == list(range(COUNT)) and not index.exists()


def test_a_limit_takes_the_first_examples_and_may_be_raised_later(tmp_path):
    (report,) = run(Maker(), tmp_path, limit=10)
    assert report.records == len(open_dataset(tmp_path / "numbers" / "train")) == 10
    (report,) = run(Maker(), tmp_path)
    assert len(open_dataset(tmp_path / "numbers" / "train")) == COUNT
    assert len(list((tmp_path / "numbers" / "train").glob("*.array_record"))) == 3


def test_bad_records_are_counted_named_and_left_out(tmp_path):
    (report,) = run(Maker(bad=[7, 8, 599]), tmp_path, max_bad_fraction=0.01)
    assert (report.bad, report.records) == (3, COUNT - 3)
    assert [b.index for b in report.bad_records] == [7, 8, 599]
    assert report.bad_records[2].reason == "OSError: page 599 is torn"
    keys = [example.key for example in open_dataset(tmp_path / "numbers" / "train")]
    assert keys == [f"train-{i}" for i in range(COUNT) if i not in (7, 8, 599)]
    (again,) = run(Maker(), tmp_path, max_bad_fraction=0.01)
    assert (again.bad, again.shards_kept) == (3, 3)


def test_more_bad_records_than_allowed_stop_with_one_of_them_named(tmp_path):
    with pytest.raises(ValueError, match="number 300: OSError: page 300 is torn"):
        run(Maker(bad=[300]), tmp_path)
    with pytest.raises(ValueError, match="is not whole"):
        open_dataset(tmp_path / "numbers" / "train")


def test_a_preparation_that_makes_too_few_breaks_its_promise(tmp_path):
    def make(split, indices, source):
        yield from Maker().make(split, indices[:-1], source)

    with pytest.raises(AssertionError, match="no example for index"):
        run(Maker(), tmp_path, changes={"make": make})


def test_progress_reaches_the_total(tmp_path):
    events = []
    run(Maker(), tmp_path, progress=events.append)
    assert [event.done for event in events] == [0, 200, 400, 600]
    assert all(event.total == COUNT for event in events)
    assert events[1].seconds_left > 0 and events[-1].seconds_left == 0


def test_progress_line_on_a_terminal_and_in_a_log():
    log = io.StringIO()
    line = ProgressLine(log)
    for done in range(101):
        line(Event("numbers", "train", done, 100, 2 if done > 50 else 0, 100.0 - done))
    lines = log.getvalue().splitlines()
    assert lines[0] == "numbers train: 0 of 100 examples, 100 s left"
    assert lines[-1] == "numbers train: 100 of 100 examples, 2 bad"
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"splits": ("trian",)}, "did you mean 'train'"),
        ({"limit": 0}, "limit is 0; expected 1 or more"),
        ({"changes": {"requires_source": True}}, "--source DIRECTORY"),
        ({"changes": {"requires_source": True}, "source": "/no/where"}, "does not exist"),
    ],
)
def test_wrong_arguments_are_one_sentence(tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        run(Maker(), tmp_path, **arguments)


def test_counts_may_come_from_the_source(tmp_path):
    source = tmp_path / "published"
    source.mkdir()
    (source / "size").write_text("12")
    changes = {
        "requires_source": True,
        "count_in_source": lambda split, path: int((path / "size").read_text()),
    }
    (report,) = run(Maker(), tmp_path / "data", source=source, changes=changes)
    assert report.records == 12


def test_processes_make_what_one_process_makes(tmp_path):
    preparation = registry.get("mini_text")
    reports = []
    for workers in (1, 2):
        reports += prepare(
            preparation,
            tmp_path / str(workers),
            ["train"],
            workers=workers,
            limit=2 * prepare_lib._SHARD_RECORDS[0],
            progress=lambda event: None,
        )
    one, two = (open_dataset(tmp_path / str(w) / "mini_text" / "train").manifest for w in (1, 2))
    assert one == two and len(one.shards) == 2


def test_registry_knows_the_miniature_and_suggests_names():
    names = registry.all_preparations()
    assert "mini_ocr" in names and all(p.name == name for name, p in names.items())
    with pytest.raises(ValueError, match="unknown data set 'mini_orc'; did you mean 'mini_ocr'"):
        registry.get("mini_orc")
