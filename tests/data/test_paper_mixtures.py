"""The paper's mixtures over the length of its runs: what comes out is what was asked for."""

import zlib

import numpy as np
import pytest

from mm15_jax.config.mixtures import dataset_weights
from mm15_jax.data.index import DOCUMENT, Index
from mm15_jax.data.pack_plan import PackPlan, PlanSource
from mm15_jax.data.plan_items import Budgets, load_items
from mm15_jax.experiments.mixtures import MIXTURES

# Steps and rows a step of the stages; a row holds some four examples.
HORIZONS = {
    "pretrain": 200_000 * 512,
    "pretrain_mm1": 200_000 * 512,
    "continual_ocr": 30_000 * 256,
    "sft_base": 23_000 * 256,
    "sft_single_image": 23_000 * 256,
    "sft_all": 23_000 * 256,
    "video_sft": 23_000 * 256,
    "ui_sft": 23_000 * 256,
}
EXAMPLES_A_ROW = 4
SFT_CATEGORIES = {  # section 4.2 and the final recipe, in per cent
    "text_rich": 37.2,
    "refer_ground": 22.5,
    "general": 11.3,
    "math": 5.6,
    "code": 2.3,
    "science": 1.1,
    "multi_image": 10.0,
    "text": 10.0,
}
BUDGETS = Budgets(tokens=4096, tiles=22, cut_documents=True)


def data_set(name):
    """Items of a few hundred records of a data set's own lengths and tiles."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    size = int(rng.integers(200, 900))
    tiles = np.minimum(rng.integers(0, 12) + rng.integers(0, 4, size), 22)
    text = rng.lognormal(np.log(rng.integers(40, 500)), 0.6, size)
    tokens = np.clip(text + 151 * tiles, 8, 4096)
    return load_items(Index.of(tokens, np.where(tiles, tiles, DOCUMENT)), BUDGETS)


@pytest.fixture(scope="module", params=HORIZONS)
def mixed(request):
    """(name, its items by data set, weights in examples and in tokens)."""
    mixture = MIXTURES[request.param]
    items = {name: data_set(name) for group in mixture for name in group.datasets}
    # Natural sizes of every order: the smallest have a few hundred examples, the largest millions.
    counts = {name: len(found) * 10 ** (i % 5) for i, (name, found) in enumerate(items.items())}
    lengths = {name: found.mean_tokens for name, found in items.items()}
    by = {
        "examples": dataset_weights(mixture, counts),
        "tokens": dataset_weights(mixture, counts, lengths),
    }
    return request.param, items, by


def plan_of(items, weights):
    sources = [PlanSource(name, items[name], weight) for name, weight in weights.items()]
    return PackPlan(sources, BUDGETS, window=1024, seed=0)


def shares(mixture, amounts):
    """Share of each category, from amounts by data set."""
    total = sum(amounts.values())
    return {g.category: sum(amounts[name] for name in g.datasets) / total for g in mixture}


def test_a_whole_run_has_the_papers_ratios_of_examples(mixed):
    name, items, by = mixed
    mixture, examples = MIXTURES[name], HORIZONS[name] * EXAMPLES_A_ROW
    plan = plan_of(items, by["examples"])
    counts = dict(zip(by["examples"], plan.mixture.counts(examples), strict=True))
    assert sum(counts.values()) == examples
    for source, count in counts.items():
        # No data set is off by more than a few examples of a hundred million.
        assert abs(count - by["examples"][source] * examples) <= 1 + len(counts) / 2
    got = shares(mixture, counts)
    for group in mixture:
        assert got[group.category] == pytest.approx(group.weight, abs=1e-5)
    if name == "sft_all":
        per_cent = {category: 100 * share for category, share in got.items()}
        assert per_cent == pytest.approx(SFT_CATEGORIES, abs=0.12)


@pytest.mark.parametrize("unit", ["examples", "tokens"])
def test_windows_from_all_over_a_run_hold_what_was_asked_for(mixed, unit):
    """In the unit that the weights count; and in the others what follows from the lengths."""
    name, items, by = mixed
    weights = by[unit]
    plan = plan_of(items, weights)
    last = HORIZONS[name] * EXAMPLES_A_ROW // plan.window
    windows = np.linspace(0, last, 8).astype(int).tolist()
    got = {measure: dict.fromkeys(weights, 0) for measure in ("examples", "tokens", "tiles")}
    names = list(weights)
    for window in windows:
        for row in plan.rows(window):
            assert row.tokens.sum() <= BUDGETS.tokens and row.tiles.sum() <= BUDGETS.tiles
            for s, tokens, tiles in zip(row.sources, row.tokens, row.tiles, strict=True):
                for measure, amount in (("examples", 1), ("tokens", tokens), ("tiles", tiles)):
                    got[measure][names[s]] += int(amount)
    drawn = len(windows) * plan.window
    for source, weight in weights.items():
        assert abs(got["examples"][source] - weight * drawn) <= len(windows) * 2
    mean = {n: items[n].totals for n in weights}
    for measure in ("tokens", "tiles"):
        expected = {n: w * getattr(mean[n], measure) / len(items[n]) for n, w in weights.items()}
        asked, came = shares(MIXTURES[name], expected), shares(MIXTURES[name], got[measure])
        assert came == pytest.approx(asked, abs=0.02)
    if unit == "tokens":
        came = shares(MIXTURES[name], got["tokens"])
        for group in MIXTURES[name]:
            assert came[group.category] == pytest.approx(group.weight, abs=0.02)


def test_captions_of_coco_are_those_that_few_shot_does_not_score():
    mixed = {name for mixture in MIXTURES.values() for group in mixture for name in group.datasets}
    # The sets of captions of COCO's photos: train2017 holds test pictures of Karpathy's split.
    assert mixed & {"coco_captions", "coco_karpathy"} == {"coco_karpathy"}
