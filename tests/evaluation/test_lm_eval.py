import json

import pytest

from mm15_jax.evaluation.harness.run_model import as_image
from mm15_jax.infer.load import find_run, load_generator
from mm15_jax.infer.score import continue_prompt, score_prompts, token_prompt
from mm15_jax.inputs.example import Example, Text
from tests.evaluation.harnesses import call, picture, python_of, write_parquet, write_run

pytestmark = pytest.mark.slow

QUESTIONS = ["what does it say?", "how many are there?", "which is the largest?"]
LABELS = ["12", "a red circle", "5%"]
CHOICES = ["red", "a much longer answer", "green", "no"]
PAGE = "A page of text about shapes and words, longer than a row of training. " * 4


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """lm-eval's own command on its own task files over local data; its samples by task."""
    python = python_of("lm_eval")
    folder = tmp_path_factory.mktemp("lm_eval")
    write_run(folder / "run")
    tasks = folder / "tasks"
    tasks.mkdir()
    pictures = [picture(seed) for seed in range(3)]
    write_parquet(
        folder / "charts.parquet",
        {"image": pictures, "query": QUESTIONS, "label": [[label] for label in LABELS]},
        pictures=["image"],
    )
    write_parquet(
        folder / "questions.parquet",
        {
            "id": ["a", "b"],
            "question": QUESTIONS[:2],
            "choices": [{"text": CHOICES, "label": list("ABCD")}] * 2,
            "answerKey": ["B", "D"],
        },
    )
    write_parquet(folder / "pages.parquet", {"page": [PAGE, "A short page."]})
    include = call(
        python, "-c", "import lm_eval.tasks as t; print(t.__path__[0])", cwd=folder
    ).strip()
    for name, base, data in (
        ("local_chartqa", "chartqa/chartqa.yaml", "charts"),
        ("local_arc", "arc/arc_easy.yaml", "questions"),
        ("local_wikitext", "wikitext/wikitext.yaml", "pages"),
    ):
        (tasks / f"{name}.yaml").write_text(
            f"include: {include}/{base}\ntask: {name}\ndataset_path: parquet\n"
            "dataset_name: null\ntraining_split: null\nvalidation_split: null\ntest_split: test\n"
            f"dataset_kwargs:\n  data_files:\n    test: {folder / data}.parquet\n"
            + ("generation_kwargs:\n  until: []\n  max_gen_toks: 12\n" if "chart" in name else "")
        )

    def run(names, *flags):
        out = folder / f"out{len(flags)}"
        call(
            python,
            *("-m", "mm15_jax.evaluation.harness.lm_eval", "run", "--model", "mm15"),
            *("--model_args", f"run_dir={folder / 'run'}", "--tasks", names),
            *("--include_path", tasks, "--output_path", out, "--log_samples", *flags),
            cwd=folder,
        )
        return {
            path.name.removeprefix("samples_").rsplit("_", 1)[0]: [
                json.loads(line) for line in path.read_text().splitlines()
            ]
            for path in out.rglob("samples_*.jsonl")
        }

    plain = run("local_arc,local_wikitext,local_chartqa")
    chat = run("local_arc,local_chartqa", "--apply_chat_template")
    path, config = find_run(folder / "run")
    return plain, chat, load_generator(path, config), pictures


def by_id(rows):
    return sorted({row["doc_id"]: row for row in rows}.values(), key=lambda row: row["doc_id"])


@pytest.mark.parametrize("chat", [False, True])
def test_chartqas_own_task_gets_our_answers(samples, chat):
    _, _, generator, pictures = samples
    rows = by_id(samples[chat]["local_chartqa"])
    assert len(rows) == 3
    role = "user" if chat else "document"
    for row, image in zip(rows, pictures, strict=True):
        context = row["arguments"]["gen_args_0"]["arg_0"]
        assert QUESTIONS[row["doc_id"]] in context
        text = context.split("<image>")[1].removesuffix("\x1dassistant\x1e")
        example = Example((as_image(image, role), Text(text, role=role)), "", "", "", {})
        ((_, answer),) = generator.stream([example], max_new_tokens=12, strip=False)
        assert row["resps"] == [[answer]] and answer.strip()
        assert {"exact_match", "relaxed_accuracy", "anywhere_accuracy"} <= row.keys()
    assert len({row["resps"][0][0] for row in rows}) > 1  # they depend on the question


@pytest.mark.parametrize("chat", [False, True])
def test_arcs_own_task_gets_our_log_likelihoods(samples, chat):
    _, _, generator, _ = samples
    rows = by_id(samples[chat]["local_arc"])
    assert len(rows) == 2
    for row in rows:
        question = f"Question: {QUESTIONS[row['doc_id']]}\nAnswer:"
        role = "user" if chat else "document"
        example = Example((Text(question, role=role),), "", "", "", {})
        prompts = [
            continue_prompt(
                generator,
                example,
                choice if chat else f" {choice}",
                index=index,
                before="" if chat else question,
            )
            for index, choice in enumerate(CHOICES)
        ]
        ours = [score.log_probability for score in score_prompts(generator, prompts)]
        theirs = [float(resp[0][0]) for resp in row["resps"]]
        assert theirs == pytest.approx(ours, abs=1e-3)
        assert float(row["acc"]) == float(
            max(range(4), key=ours.__getitem__) == (1, 3)[row["doc_id"]]
        )


def test_wikitexts_own_task_gets_the_whole_texts_log_likelihood(samples):
    plain, _, generator, _ = samples
    rows = by_id(plain["local_wikitext"])
    encode, eos = generator.tokenizer.encode, generator.tokenizer.eos_id
    length = generator.inputs.sequence_length
    assert len(encode(PAGE)) > length  # so that there are windows
    totals = [float(row["resps"][0][0]) for row in rows]
    (text,) = [row["arguments"]["gen_args_0"]["arg_0"] for row in rows][1:]
    ids = [eos, *encode(text)]
    (short,) = score_prompts(generator, [token_prompt(ids, len(ids) - 1)])
    assert totals[1] == pytest.approx(short.log_probability, abs=1e-3)
    # Every token once, each with what is before it in its window.
    ids = encode(rows[0]["arguments"]["gen_args_0"]["arg_0"])
    n = length - 1
    windows = [([eos, *ids[: n - 1]], ids[:n])]
    for start in range(n, len(ids), n):
        end = min(start + n, len(ids))
        windows.append((ids[end - n - 1 : end - 1][: n - (end - start) + 1], ids[start:end]))
    prompts = [
        token_prompt([*(c[:1] if k == 0 else c), *s], len(s), index=k)
        for k, (c, s) in enumerate(windows)
    ]
    ours = sum(score.log_probability for score in score_prompts(generator, prompts))
    assert totals[0] == pytest.approx(ours, abs=1e-2)
