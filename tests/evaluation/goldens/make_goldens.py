"""Writes metrics.json: scores that other people's evaluation code gives to many answers.

Run it where lmms-eval and lm-evaluation-harness are installed, away from this repository's
environment; nothing of them is copied, only the figures that they return:

    python -m venv /tmp/oracle
    /tmp/oracle/bin/pip install --no-deps lmms-eval==0.7.3 lm-eval==0.4.13
    /tmp/oracle/bin/pip install loguru sacrebleu numpy
    /tmp/oracle/bin/python tests/evaluation/goldens/make_goldens.py
"""

import copy
import importlib.metadata
import importlib.util
import json
import pathlib
import random
import sys
import types

SEED = 20250101
WORDS = """
    invoice total revenue Paris 1998 the cat on a mat red green blue ten three none don't isnt
    they're Dr. Smith's O'Clock café naïve über 12% 3.5 $1,200 1,000 0 0.0 yes no Yes. left/right
    state-of-the-art e-mail (approx.) 50% [sic] what's THE An someones yall'd've it'dve 7.25% -3
    1e3 nan inf tie; semi; a_b x=1 2+2 ok! why? @home `code` “quoted” 'single' "double"
""".split()  # noqa: SIM905


def load(package: str, path: str):
    """A module file of an installed package, without the package's heavy imports."""
    root = pathlib.Path(importlib.util.find_spec(package).origin).parent
    name = f"{package}_{path.replace('/', '_')}"
    spec = importlib.util.spec_from_file_location(name, root / f"{path}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stub_heavy_modules(vqa_eval_metric) -> None:
    """Registries are decorators that the scorers do not use."""
    registry = types.ModuleType("lmms_eval.api.registry")
    registry.register_aggregation = registry.register_metric = lambda *a, **k: lambda f: f
    tasks = types.ModuleType("lmms_eval.tasks")
    tasks.__path__ = []
    utils = types.ModuleType("lmms_eval.tasks._task_utils")
    utils.__path__ = []
    files = types.ModuleType("lmms_eval.tasks._task_utils.file_utils")
    files.generate_submission_file = None
    utils.file_utils = files
    sys.modules |= {
        "lmms_eval.api.registry": registry,
        "lmms_eval.tasks": tasks,
        "lmms_eval.tasks._task_utils": utils,
        "lmms_eval.tasks._task_utils.file_utils": files,
        "lmms_eval.tasks._task_utils.vqa_eval_metric": vqa_eval_metric,
    }


def phrase(rng: random.Random, most: int = 5) -> str:
    return rng.choice([" ", " ", "  ", "\n"]).join(rng.choices(WORDS, k=rng.randint(1, most)))


def mutate(rng: random.Random, text: str) -> str:
    """A text near another: what a model that can nearly read answers."""
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(text) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:place] + rng.choice("abcxyz019 .,'%") + text[place:]
        elif kind == 1:
            text = text[:place] + text[place + 1 :]
        elif kind == 2:
            text = text[:place] + rng.choice("etaoin") + text[place + 1 :]
        elif kind == 3:
            text = text.swapcase()
        else:
            text = f" {text}\t"
    return text


def number(rng: random.Random) -> str:
    value = rng.choice([0, 1, 7, 12, 99.5, 1999, 0.05, 1200, -4, 63.2]) * rng.choice(
        [1, 1, 10, 0.1]
    )
    text = rng.choice(
        ["{:g}", "{:.2f}", "{:,.0f}", "{:g}%", "{:.1f}%", "${:,.2f}", "{:g}.", " {:g} "]
    )
    return text.format(value)


def near_number(rng: random.Random, text: str) -> str:
    try:
        value = float(text.strip().rstrip("%."))
    except ValueError:
        return mutate(rng, text)
    value *= rng.choice([1, 1.04, 1.05, 1.0499, 1.0501, 0.95, 0.9499, 1.06, 0.01, 100])
    return f"{value:.6g}" + rng.choice(["", "", "%", "."])


def main() -> None:
    rng = random.Random(SEED)
    vqa_eval_metric = load("lmms_eval", "tasks/_task_utils/vqa_eval_metric")
    stub_heavy_modules(vqa_eval_metric)
    anls = load("lmms_eval", "api/metrics").anls
    relaxed = load("lmms_eval", "tasks/chartqa/utils").relaxed_correctness
    textvqa = load("lmms_eval", "tasks/textvqa/utils").textvqa_process_results
    vqav2 = load("lmms_eval", "tasks/vqav2/utils").vqav2_process_results
    iou = load_iou()
    processor = vqa_eval_metric.EvalAIAnswerProcessor()
    mistral = load("lm_eval", "tasks/chartqa/utils").RelaxedCorrectness()

    goldens = {
        "versions": {name: importlib.metadata.version(name) for name in ("lmms_eval", "lm_eval")},
        "seed": SEED,
        "anls": [],
        "relaxed": [],
        "normalise_vqa": [],
        "vqa": [],
        "iou": [],
    }
    # Chosen by hand: exactly half wrong, just under, empty, length counted before spaces collapse.
    pairs = [("abcd", ["abxy"]), ("abc", ["xyc"]), ("", ["a"]), ("", [""]), ("a  b", ["a b"])]
    pairs += [("straße", ["STRASSE"]), ("PARIS", ["paris", "london"]), ("a" * 40, ["a" * 60])]
    for _ in range(150):
        references = [phrase(rng) for _ in range(rng.randint(1, 3))]
        pairs.append((mutate(rng, rng.choice(references)), references))
    goldens["anls"] = [[p, r, float(anls(r, [p])["anls"])] for p, r in pairs]

    pairs = [
        ("12", "12%"),
        ("0.12", "12%"),
        ("12%", "0.12"),
        ("0", "0"),
        ("0.0", "0"),
        ("105", "100"),
    ]
    pairs += [
        ("105.0001", "100"),
        ("-95", "-100"),
        ("Yes", "yes"),
        ("yes.", "yes"),
        ("1,200", "1200"),
    ]
    pairs += [
        ("$5", "5"),
        ("Bananas", "B"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("", "5"),
        ("'a'", "a"),
    ]
    for _ in range(200):
        truth = number(rng) if rng.random() < 0.75 else phrase(rng, 2)
        pairs.append((near_number(rng, truth), truth))
    goldens["relaxed"] = [
        [p, t, float(relaxed(p, t)), float(mistral.score(p, t))] for p, t in pairs if t
    ]

    texts = [*WORDS, *processor.CONTRACTIONS, *processor.NUMBER_MAP]
    texts += [". " * 40 + "end", "1,000 people", "a.b.c 3.5.", "Mr. A, the 3rd", "no, 1,5 (x)"]
    texts += [phrase(rng) for _ in range(150)]
    for text in texts:
        plain = text.replace("\n", " ").replace("\t", " ").strip()
        plain = processor.process_digit_article(processor.process_punctuation(plain))
        goldens["normalise_vqa"].append([text, processor(text), plain])

    for _ in range(120):
        truths = rng.choices([phrase(rng, 2) for _ in range(3)], k=rng.choice([10, 10, 10, 2, 5]))
        answer = mutate(rng, rng.choice(truths)) if rng.random() < 0.6 else rng.choice(truths)
        text_doc = {"answers": copy.copy(truths), "question_id": 0}
        v2_doc = {
            "answers": [{"answer": t, "answer_id": i} for i, t in enumerate(truths)],
            "question_id": 0,
        }
        scores = [textvqa(text_doc, [answer]), vqav2(v2_doc, [answer])]
        goldens["vqa"].append([answer, truths, *(float(score["exact_match"]) for score in scores)])

    for _ in range(80):
        first, second = ([rng.randrange(60) for _ in range(4)] for _ in range(2))
        boxes = [[b[0], b[1], b[0] + 1 + b[2], b[1] + 1 + b[3]] for b in (first, second)]
        goldens["iou"].append([*boxes, float(iou(*boxes))])

    path = pathlib.Path(__file__).with_name("metrics.json")
    lines = []
    for name, value in goldens.items():
        if isinstance(value, list):
            rows = ",\n  ".join(json.dumps(row) for row in value)
            lines.append(f" {json.dumps(name)}: [\n  {rows}\n ]")
        else:
            lines.append(f" {json.dumps(name)}: {json.dumps(value)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print({name: len(value) for name, value in goldens.items() if isinstance(value, list)})


def load_iou():
    datasets = types.ModuleType("datasets")
    datasets.Dataset = object  # only annotates
    sys.modules.setdefault("datasets", datasets)
    return load("lmms_eval", "tasks/refcoco/utils_rec").compute_iou


if __name__ == "__main__":
    main()
