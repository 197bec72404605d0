"""Benchmarks of the Hugging Face hub: what is made of their rows."""

import pytest

from mm15_jax.data import registry
from mm15_jax.data.convert import prompts
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Image, Text
from tests.data.convert.converted import convert, texts, turns
from tests.data.convert.fixtures import all_fixtures
from tests.data.convert.fixtures.hub_copies import COPIES
from tests.data.convert.fixtures.hub_sets import FIXTURES, IMAGE, TEXT, cell, write_rows

SHORT, LETTER = prompts.SHORT_ANSWER, prompts.OPTION_LETTER
MODULES = {
    **dict.fromkeys(FIXTURES, "benchmark_sets"),
    **dict.fromkeys(("mmmu", "mathvista"), "knowledge_benchmarks"),
    **dict.fromkeys(("textvqa", "docvqa", "infovqa"), "text_vqa"),
    "ai2d": "ai2d",
    "chartqa": "json_questions",
    "scienceqa": "json_keyed",
}


def made(name, root, split="test", make=None):
    (make or {**FIXTURES, **COPIES}[name].make)(root)
    return convert(MODULES[name], name, split, root)


def by_start(good, text):
    [found] = [e for e in good.values() if texts(e)[0][1].startswith(text)]
    return found


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_the_hub_gives_the_records_it_states(tmp_path, name):
    COPIES[name].make(tmp_path)
    preparation = registry.get(name)
    for split in preparation.splits:
        count, bad = COPIES[name].records.get(split, 0), COPIES[name].bad.get(split, 0)
        good, refused = convert(MODULES[name], name, split, tmp_path)
        assert (len(good), len(refused)) == (count, bad), (split, refused)


@pytest.mark.parametrize("name", COPIES)
def test_beside_a_copy_the_publishers_files_give_the_other_splits(tmp_path, name):
    own, copy = all_fixtures()[name], COPIES[name]
    own.make(tmp_path)
    copy.make(tmp_path)
    for split in registry.get(name).splits:
        expected = copy if split in copy.records else own
        good, _ = convert(MODULES[name], name, split, tmp_path)
        assert len(good) == expected.records.get(split, 0), split


@pytest.mark.parametrize("name", COPIES)
def test_both_layouts_ask_alike_and_score_alike(tmp_path, name):
    """The copy and the publisher's files give the same kinds of examples."""

    def kinds(made):
        examples, found = made[0].values(), set()
        for example in examples:
            asked = texts(example)[0][1]
            found.add((example.metadata["metric"], asked.rpartition("\n")[2]))
        return found

    split = {"ai2d": "test", "chartqa": "test", "scienceqa": "test_image"}.get(name, "validation")
    copy = kinds(made(name, tmp_path / "copy", split))
    assert copy == kinds(made(name, tmp_path / "own", split, all_fixtures()[name].make))
    assert len(copy) == 1


def test_another_layout_is_answered_with_what_is_there(tmp_path):
    write_rows(tmp_path / "data/test-0.parquet", {"picture": IMAGE, "question": TEXT}, [{}])
    with pytest.raises(ValueError, match=r"no column question_id, category.*it has picture, "):
        convert("benchmark_sets", "mme", "test", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="expected mmmu: of MMMU/MMMU"):
        registry.get("mmmu").parts("validation", Source(tmp_path / "empty"))


def test_mme_pairs_the_questions_of_a_picture(tmp_path):
    good, bad = made("mme", tmp_path)
    pairs = {}
    for example in good.values():
        pairs.setdefault(example.metadata["group"], []).append(turns(example)[0])
        assert example.metadata["metric"] == "yes_no"
    assert pairs["code_reasoning/code_reasoning/0020.png"] == [
        ("Is the output '1'?" + SHORT, "Yes"),
        ("Is the output '2'?" + SHORT, "No"),
    ]
    subsets = {example.metadata["subset"] for example in good.values()}
    assert {"cognition/code_reasoning", "perception/existence"} <= subsets
    assert (len(pairs), len(subsets)) == (14, 14)
    assert list(bad.values()) == [
        "the answer is 'maybe', expected yes or no",
        "unknown subtask 'existance'; did you mean 'existence'?",
    ]


def test_seed_bench_has_pictures_alone_and_every_question_is_lettered(tmp_path):
    good, bad = made("seed_img", tmp_path)
    options = "\nA. aaa towels\nB. bbb towels\nC. ccc towels\nD. ddd towels"
    assert turns(good["101660"]) == [("How many towels are in the image?" + options + LETTER, "B")]
    lettered = good["101661"].metadata
    assert turns(good["101661"])[0][0].endswith("\nA. A\nB. B\nC. C\nD. none" + LETTER)
    assert lettered["choices"] == ["A. A", "B. B", "C. C", "D. none"]
    assert lettered["subset"] == "text understanding"
    assert sorted(bad.values()) == [
        "0 pictures, expected 1",
        "the answer is 'E', expected A, B, C or D",
    ]


def test_seed_bench_of_its_publisher_is_the_same(tmp_path):
    from tests.data.convert.fixtures.hub_sets import seed_row
    from tests.data.convert.fixtures.vqa_sets import write_json
    from tests.data.convert.pictures import picture, write

    def make(root):
        rows = [seed_row(0), seed_row(1, kind=12, data_type="video"), seed_row(2)]
        write_json(root / "SEED-Bench.json", {"questions": rows, "question_type": {"x": 1}})
        write(root / "SEED-Bench-image/1454426_2591111980", picture(shade=40))

    good, bad = made("seed_img", tmp_path / "own", make=make)
    copy, _ = made("seed_img", tmp_path / "copy")
    assert good == {"101660": copy["101660"]}
    assert len(bad) == 1 and "1454426_2591111982" in next(iter(bad.values()))


def test_pope_reads_one_of_its_two_copies_of_the_questions(tmp_path):
    good, bad = made("pope", tmp_path)
    numbers = {"adversarial": (1, 2), "popular": (1,), "random": (1, 2)}
    assert set(good) == {f"{name}/{n}" for name, found in numbers.items() for n in found}
    assert turns(good["popular/1"]) == [("Is there a snowboard in the image?" + SHORT, "Yes")]
    assert good["random/1"].metadata["subset"] == "random" and len(bad) == 1


def test_judged_benchmarks_have_what_their_judge_is_told(tmp_path):
    good, bad = made("llava_w", tmp_path / "llava")
    [(question, answer)] = turns(good["0"])
    assert question == "What is the name of the famous sight in the photo?"
    assert good["0"].metadata == {
        "answer": answer,
        "metric": "judge",
        "subset": "conv",
        "judge": {
            "category": "conv",
            "context": "An aerial view of Diamond Head in the Hawaiian Islands.",
        },
    }
    assert sorted(bad.values())[0] == "no answer"
    assert "unknown category 'other'" in sorted(bad.values())[1]
    good, bad = made("mm_vet", tmp_path / "vet")
    assert good["v1_0"].metadata["answer"] == "-1<AND>-5"
    assert good["v1_0"].metadata["judge"] == {"capabilities": ["ocr", "math"]}
    assert turns(good["v1_1"])[0][0] == "What is d in the last equation?"
    assert sorted(bad.values()) == ["a row without the bytes of its picture", "no capability"]


def test_realworldqa_takes_options_from_its_questions(tmp_path):
    good, _ = made("realworldqa", tmp_path)
    choice = by_start(good, "In which direction").metadata
    assert choice["metric"] == "multiple_choice" and choice["answer"] == "C"
    assert choice["choices"] == ["Left", "Straight", "Right"]
    assert turns(by_start(good, "In which"))[0][0].endswith("option and nothing else.")
    assert by_start(good, "How many").metadata == {"answer": "3", "metric": "exact_match"}
    assert list(good) == [
        "data/test-00000-of-00002.parquet#0",
        "data/test-00000-of-00002.parquet#1",
        "data/test-00001-of-00002.parquet#0",
    ]


def test_ocrbench_asks_as_published_and_compares_formulas_apart(tmp_path):
    good, bad = made("ocrbench", tmp_path)
    facts = {turns(e)[0][0].partition("?")[0]: e.metadata for e in good.values()}
    assert facts["What is the brand"]["answer"] == ["BMW", "bmw 3"]
    assert facts["what is written"]["subset"] == "Regular Text Recognition"
    metrics = [e.metadata["metric"] for e in good.values()]
    assert metrics == ["ocrbench", "ocrbench", "ocrbench_hme"] and len(bad) == 2


def test_mmmu_has_pictures_where_the_text_names_them(tmp_path):
    good, bad = made("mmmu", tmp_path, "validation")
    signs = good["validation_Art_Theory_1"]
    shape = [s.text if isinstance(s, Text) else "[image]" for s in signs.segments]
    assert shape == [
        "Which was painted first?\nA. ",
        "[image]",
        "\nB. ",
        "[image]",
        "\nC. none of 'them'\n" + LETTER,
        "A",
    ]
    first, second = (s for s in signs.segments if isinstance(s, Image))
    assert first.data != second.data and {first.role, second.role} == {"user"}
    assert signs.metadata["choices"] == ["<image 1>", "<image 2>", "none of 'them'"]
    assert good["validation_Art_Theory_2"].metadata["choices"] == ["A. C", "B. A", "C. B"]
    plain = good["validation_Accounting_1"]
    assert isinstance(plain.segments[0], Image) and plain.metadata["subset"] == "Accounting"
    several = good["validation_Accounting_3"].metadata
    assert several == {"answer": ["1.06", "1.1"], "metric": "mmmu_open", "subset": "Accounting"}
    assert texts(good["validation_Accounting_2"])[-2] == ("user", "?\n" + SHORT)
    assert sorted(bad.values()) == [
        "<image 2> is named, there are pictures []",
        "the answer is 'C' of 2 options",
    ]
    assert set(convert("knowledge_benchmarks", "mmmu", "dev", tmp_path)[0]) == {"dev_Accounting_1"}


def test_mathvista_asks_for_its_type_of_answer(tmp_path):
    good, bad = made("mathvista", tmp_path, "testmini")
    asked = {key: turns(example)[0] for key, example in good.items()}
    assert asked["1"] == ("When does it peak? (Unit: $)" + prompts.ONE_DECIMAL, "1.2")
    assert asked["2"] == ("Which is larger?\nA. Yes\nB. No" + LETTER, "B")
    assert asked["3"][0].endswith(prompts.INTEGER) and asked["4"][0].endswith(prompts.PYTHON_LIST)
    assert good["2"].metadata == {
        "answer": "No",
        "metric": "mathvista",
        "choices": ["Yes", "No"],
        "question_type": "multi_choice",
        "answer_type": "text",
        "precision": 0,
        "subset": "figure question answering",
    }
    assert good["5"].metadata["precision"] == 2
    assert sorted(bad.values()) == [
        "an answer of type 'float' with precision 3.0",
        "the answer 'Maybe' is none of the choices",
    ]


def test_ai2d_letters_questions_on_letters_only_in_tests(tmp_path):
    good, _ = made("ai2d", tmp_path / "copy")
    ear = by_start(good, "Which letter")
    assert turns(ear)[0] == ("Which letter is the ear?\nA. B\nB. A\nC. C\nD. D" + LETTER, "A")
    assert ear.metadata["choices"] == ["A. B", "B. A", "C. C", "D. D"]
    train, _ = made("ai2d", tmp_path / "own", "train", all_fixtures()["ai2d"].make)
    assert turns(train["0.png-1"])[0][0].endswith("Choices: B, A." + prompts.CHOICE_ITSELF)


def test_chartqa_tells_questions_of_people_from_made_ones(tmp_path):
    copy, bad = made("chartqa", tmp_path / "copy")
    own, _ = made("chartqa", tmp_path / "own", "test", all_fixtures()["chartqa"].make)
    for good in (copy, own):
        assert [e.metadata["subset"] for e in good.values()] == ["human", "augmented"]
    assert list(bad.values()) == ["the type is 'test', expected human_test or augmented_test"]


def test_scienceqa_with_and_without_a_picture_are_splits_apart(tmp_path):
    good, _ = made("scienceqa", tmp_path, "test_image")
    assert all(isinstance(e.segments[0], Image) for e in good.values())
    assert turns(by_start(good, "Context"))[0][0].startswith("Context: A passage.\nWhich of both?")
    text, _ = convert("json_keyed", "scienceqa", "test_text", tmp_path)
    assert all(len(e.segments) == 2 for e in text.values()) and len(text) == 1


def test_a_picture_named_twice_stands_twice(tmp_path):
    from tests.data.convert.fixtures.hub_sets import MMMU, mmmu_row

    row = mmmu_row("validation_Math_1", "Is <image 1> as <image 1>?", ["no", "yes"], "B", 20)
    write_rows(tmp_path / "data/validation-0.parquet", MMMU, [{**row, "image_2": cell(30)}])
    good, _ = convert("knowledge_benchmarks", "mmmu", "validation", tmp_path)
    images = [s for s in good["validation_Math_1"].segments if isinstance(s, Image)]
    assert len(images) == 2 and images[0] == images[1]
