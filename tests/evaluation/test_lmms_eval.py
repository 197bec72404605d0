import ast
import json
import re

import pytest

from mm15_jax.evaluation.harness.run_model import as_image
from mm15_jax.evaluation.judges.protocols import VCGBENCH_ASPECTS, template
from mm15_jax.evaluation.metrics import relaxed_accuracy
from mm15_jax.infer.load import find_run, load_generator
from mm15_jax.inputs.example import Example, Text
from tests.evaluation.harnesses import call, picture, python_of, write_parquet, write_run

pytestmark = pytest.mark.slow

QUESTIONS = ["what does it say?", "how many are there?", "which is the largest?"]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """lmms-eval's own command on its ChartQA over local data: samples, results, our generator."""
    python = python_of("lmms_eval")
    folder = tmp_path_factory.mktemp("lmms_eval")
    write_run(folder / "run")
    tasks = folder / "tasks"
    tasks.mkdir()
    pictures = [picture(seed) for seed in range(3)]
    write_parquet(
        folder / "charts.parquet",
        {
            "image": pictures,
            "question": QUESTIONS,
            "answer": ["12", "a red circle", "5%"],
            "type": ["human_test", "augmented_test", "human_test"],
        },
        pictures=["image"],
    )
    code = "import lmms_eval, os; print(os.path.dirname(lmms_eval.__file__))"
    include = call(python, "-c", code, cwd=folder).strip().splitlines()[-1]
    (tasks / "local_chartqa.yaml").write_text(
        f"include: {include}/tasks/chartqa/chartqa.yaml\ntask: local_chartqa\n"
        "dataset_path: parquet\ndataset_kwargs:\n"
        f"  data_files:\n    test: {folder}/charts.parquet\n"
    )
    call(
        python,
        *("-m", "lmms_eval", "--model", "mm15", "--model_args", f"run_dir={folder / 'run'}"),
        *("--tasks", "local_chartqa", "--include_path", tasks, "--batch_size", "2"),
        *("--output_path", folder / "out", "--log_samples"),
        cwd=folder,
    )
    (samples,) = (folder / "out").rglob("*_samples_local_chartqa.jsonl")
    (results,) = (folder / "out").rglob("*_results.json")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    path, config = find_run(folder / "run")
    return rows, json.loads(results.read_text()), load_generator(path, config), pictures


def test_chartqas_own_task_gets_our_answers_and_our_score(outcome):
    rows, results, generator, pictures = outcome
    assert len(rows) == 3
    scores = []
    for row in sorted(rows, key=lambda row: row["doc_id"]):
        prompt = f"{QUESTIONS[row['doc_id']]}\nAnswer the question with a single word."
        image = as_image(pictures[row["doc_id"]], "user")
        example = Example((image, Text(prompt, role="user")), "", "", "", {})
        ((_, answer),) = generator.stream([example], max_new_tokens=16, strip=False)
        assert row["filtered_resps"].strip() == answer.strip() != ""
        scores.append(relaxed_accuracy(answer, [row["target"]]))
    assert len({row["filtered_resps"] for row in rows}) > 1  # they depend on the question
    theirs = results["results"]["local_chartqa"]["relaxed_overall,none"]
    assert theirs == pytest.approx(sum(scores) / 3)


def test_judges_prompts_have_the_published_wording():
    (package,) = (python_of("lmms_eval").parents[1] / "lib").glob("*/site-packages/lmms_eval")
    rules = json.loads((package / "tasks/llava-in-the-wild/rule.json").read_text())
    for category in ("conv", "detail", "complex"):
        rule = rules[f"llava_bench_{category}"]["prompt"]
        assert template("llava_w")[1][1].template.endswith(f"[System]\n{rule}\n\n")
    # In Python, and cut into lines there: word by word.
    for name, source in (
        ("mm_vet", "mmvet"),
        ("activitynet_qa", "activitynetqa"),
        *((f"vcgbench_{aspect}", "videochatgpt") for aspect in VCGBENCH_ASPECTS),
    ):
        code = ast.parse((package / f"tasks/{source}/utils.py").read_text())
        texts = "".join(n.value for n in ast.walk(code) if isinstance(getattr(n, "value", 0), str))
        for _, text in template(name):
            lines = [re.sub(r"\$\{\w+\}.*", "", line) for line in text.template.splitlines()]
            missing = [line for line in lines if line not in texts]
            # Its header of MM-Vet's table has a variable's name for "Question".
            assert missing in ([], ["Question | Ground truth | Prediction | Correctness"])
