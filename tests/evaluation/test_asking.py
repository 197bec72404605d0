"""What is kept of answers and scores, and of whose they are."""

import dataclasses
import pathlib

import pytest

from mm15_jax.data.records import write_dataset
from mm15_jax.evaluation import benchmarks, runner
from mm15_jax.evaluation.answers import write_rows
from mm15_jax.evaluation.metrics import JUDGED
from mm15_jax.evaluation.results import read_scores
from mm15_jax.inputs.example import Example, Image, Text
from mm15_jax.train.metrics import read_rows
from tests.data.convert.pictures import picture

PARTS = [(part.data_set, part.split) for part in benchmarks.find("refcoco").data_sets]


class Says:
    """Answers as it is told to."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def fingerprint(self):
        return "one"

    def stream(self, examples, *, max_new_tokens, batch_size, stops):
        for index in range(len(examples)):
            self.asked.append(examples[index].key)
            yield index, self.answer(examples[index])


def truth(example):
    return example.metadata["answer"]


def example(key, answer="yes", *, metric="exact_match", shade=3, **metadata):
    segments = (
        Image(picture(shade=shade), 12, 16, role="user"),
        Text("Is it?", "user"),
        Text(answer, "assistant", loss=True),
    )
    metadata = {"answer": answer, "metric": metric, **metadata}
    return Example(segments, "set", key, "general", metadata)


def write(folder, name, split, examples):
    write_dataset(folder / name / split, examples)


def run(says, folder, name, **options):
    generator = says if isinstance(says, Says) else Says(says)
    options = {"baselines": {}, "out_dir": folder, **options}
    found = runner.evaluate(generator, folder / "data", name.split(","), **options)
    return {row.name: row for row in found.benchmarks}


@pytest.fixture
def five_sets(tmp_path):
    """RefCOCO: data sets whose keys are the same and whose pictures are not."""
    for number, (name, split) in enumerate(PARTS):
        made = [example(f"picture {i}", shade=10 * number + i) for i in range(3)]
        write(tmp_path / "data", name, split, made)
    return tmp_path


def test_every_question_has_its_own_pictures(five_sets):
    run(truth, five_sets, "refcoco", show=99)
    rows = read_rows(five_sets / "eval" / "refcoco.jsonl")
    folder = five_sets / "eval" / "pictures" / "refcoco"
    shown = {(folder / name).read_bytes() for row in rows for name in row["pictures"]}
    assert len(shown) == len(rows) == 3 * len(PARTS)


def test_a_limit_takes_nothing_away_where_data_sets_share_keys(five_sets):
    full = run(truth, five_sets, "refcoco")["refcoco"]
    few = run(truth, five_sets, "refcoco", limit=5)["refcoco"]
    assert (few.count, few.score) == (full.count, full.score)
    again = Says(truth)
    run(again, five_sets, "refcoco")
    assert again.asked == []


def test_a_score_on_other_data_does_not_stay(tmp_path):
    def write_pope(prefix):
        made = [example(f"{prefix}{i}", group=f"{prefix}{i}") for i in range(20)]
        write(tmp_path / "data", "docvqa", "validation", made)

    write_pope("a")
    assert run(truth, tmp_path, "docvqa")["docvqa"].score == 100
    write_pope("b")
    found = run(lambda _: "no", tmp_path, "docvqa", limit=10)["docvqa"]
    assert (found.score, found.count) == (0, 10)
    assert len(read_rows(tmp_path / "eval" / "docvqa.jsonl")) == 10
    # Results of before data was written down are taken for those of the same.
    run(truth, tmp_path, "docvqa")
    scores = read_scores(tmp_path)
    runner.write_scores(
        tmp_path,
        dataclasses.replace(
            scores, benchmarks=tuple(dataclasses.replace(r, data="") for r in scores.benchmarks)
        ),
    )
    assert run(truth, tmp_path, "docvqa", limit=10)["docvqa"].count == 20


def test_a_group_is_taken_whole(tmp_path):
    made = [example(f"{group}{i}", group=group) for group in "abc" for i in range(2)]
    write(tmp_path / "data", "docvqa", "validation", made)
    for limit, count in ((1, 2), (2, 2), (3, 4), (6, 6), (9, 6)):
        out = tmp_path / f"out{limit}"
        assert run(truth, tmp_path, "docvqa", limit=limit, out_dir=out)["docvqa"].count == count


def test_documents_are_answered_by_their_first_line(tmp_path):
    """A model goes on as the shots taught it: with the next question."""
    for split in ("train", "validation"):
        write(tmp_path / "data", "textvqa", split, [example(f"{split}{i}") for i in range(9)])

    def goes_on(asked):
        return f"{truth(asked)}\n Question: and this? Short answer: no"

    found = run(goes_on, tmp_path, "textvqa_8_shot,textvqa")
    assert found["textvqa_8_shot"].score == 100 and found["textvqa"].score == 0
    (row, *_) = read_rows(tmp_path / "eval" / "textvqa_8_shot.jsonl")
    assert row["answer"] == "yes"
    # Answers that an earlier release kept whole are read so too.
    path = tmp_path / "eval" / "textvqa_8_shot.jsonl"
    write_rows(path, [{**row, "answer": "yes\n Question: x"} for row in read_rows(path)])
    again = Says(goes_on)
    assert run(again, tmp_path, "textvqa_8_shot")["textvqa_8_shot"].score == 100
    assert again.asked == []


def test_of_a_group_what_has_no_shots_is_left_out(tmp_path):
    write(tmp_path / "data", "textvqa", "validation", [example("a")])
    write(tmp_path / "data", "docvqa", "validation", [example("b")])
    found = run(truth, tmp_path, "few_shot,docvqa")
    assert "docvqa" in found and "textvqa_8_shot" not in found
    assert read_scores(tmp_path).absent
    with pytest.raises(ValueError, match="textvqa"):
        run(truth, tmp_path, "textvqa_8_shot")


def test_what_was_judged_stays_without_the_judge(tmp_path, monkeypatch):
    made = [example(f"{i}", metric=JUDGED, judge={"capabilities": ["ocr"]}) for i in range(3)]
    (part,) = benchmarks.find("mm_vet").data_sets
    write(tmp_path / "data", part.data_set, part.split, made)

    def judged(benchmark, rows, judge, *_):
        if judge is None:
            return real(benchmark, rows, judge, *_)
        said = {"score": 0.8, "failed": False, "model": "j", "reply": "0.8", "parts": {}}
        return [{**row, "score": 0.8, "judgement": said} for row in rows], {"judge": "j"}

    real = runner._judge
    monkeypatch.setattr(runner, "_judge", judged)
    assert run(truth, tmp_path, "mm_vet", judge="one")["mm_vet"].score == pytest.approx(80)
    found = run(truth, tmp_path, "mm_vet")["mm_vet"]
    assert found.score == pytest.approx(80) and found.judge == "j"
    other = [dataclasses.replace(e, key=f"new {e.key}") for e in made]
    write(tmp_path / "data", part.data_set, part.split, other)
    assert run(truth, tmp_path, "mm_vet")["mm_vet"].score is None


def test_a_line_torn_within_a_letter_is_left_out(tmp_path):
    path = pathlib.Path(tmp_path / "rows.jsonl")
    path.write_bytes('{"a": "é"}\n{"a": "é'.encode()[:-1])
    assert read_rows(path) == [{"a": "é"}]
