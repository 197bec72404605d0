"""Metrics against the figures of lmms-eval and lm-evaluation-harness (goldens/make_goldens.py)."""

import json
import pathlib

import pytest

from mm15_jax.evaluation import metrics

GOLDENS = json.loads((pathlib.Path(__file__).parent / "goldens" / "metrics.json").read_text())


def test_goldens_cover_right_wrong_and_partial_answers():
    for name, column in (("anls", 2), ("vqa", 2), ("iou", 2)):
        scores = [row[column] for row in GOLDENS[name]]
        assert len(scores) >= 80
        assert 0.0 in scores and any(0 < score < 1 for score in scores), name
    for column in (2, 3):
        assert {row[column] for row in GOLDENS["relaxed"]} == {0.0, 1.0}


def test_anls_agrees_with_lmms_eval():
    for answer, references, score in GOLDENS["anls"]:
        assert metrics.anls(answer, references) == pytest.approx(score, abs=1e-12), answer


@pytest.mark.parametrize(("convention", "column"), [("pix2struct", 2), ("mistral", 3)])
def test_relaxed_accuracy_agrees_with_both_published_scorers(convention, column):
    for row in GOLDENS["relaxed"]:
        score = metrics.relaxed_accuracy(row[0], [row[1]], convention=convention)
        assert score == row[column], row


@pytest.mark.parametrize(("tokenise", "column"), [(True, 1), (False, 2)])
def test_vqa_normalisation_agrees_with_the_official_processor(tokenise, column):
    for row in GOLDENS["normalise_vqa"]:
        assert metrics.normalise_vqa(row[0], tokenise=tokenise) == row[column], row[0]


@pytest.mark.parametrize(("tokenise", "column"), [(True, 2), (False, 3)])
def test_vqa_accuracy_agrees_with_lmms_eval(tokenise, column):
    for row in GOLDENS["vqa"]:
        score = metrics.vqa_accuracy(row[0], row[1], tokenise=tokenise)
        assert score == pytest.approx(row[column], abs=1e-12), row


def test_iou_agrees_with_lmms_eval():
    for first, second, score in GOLDENS["iou"]:
        assert metrics.iou(first, second) == pytest.approx(score, abs=1e-12)
