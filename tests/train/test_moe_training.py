"""A tiny model with experts through the training loop, and from a dense run."""

import jax
import numpy as np
import pytest

from mm15_jax.checkpoint import run
from mm15_jax.checkpoint.initial import Start, initial_params
from mm15_jax.checkpoint.manager import Checkpoints
from mm15_jax.config import MoEConfig, OptimizerConfig
from mm15_jax.model import mllm
from mm15_jax.train import optimizer
from mm15_jax.train.loop import train
from mm15_jax.train.metrics import read_rows
from tests import tiny

MOE = MoEConfig(experts=4, every=1, dispatch="dropless")


def experiment(**changes):
    return tiny.experiment(
        **{"name": "mm15_nano_moe_sft", "model.decoder.moe": MOE, "train.steps": 4, **changes}
    )


def figures(run_dir):
    rows = read_rows(run_dir / run.METRICS)
    return [(r["loss"], r["grad_norm"], r["moe/load/0"], r["moe/entropy/0"]) for r in rows]


@pytest.mark.slow
def test_a_run_with_experts_resumes_to_the_bit_and_reports_them(tmp_path, data_dir):
    run_dir = tmp_path / "run"
    train(experiment(), run_dir, data_dir)
    rows, straight = read_rows(run_dir / run.METRICS), figures(run_dir)
    for row in rows:
        assert sum(row["moe/load/0"]) == pytest.approx(1, abs=1e-4)
        assert row["moe/dropped/0"] == 0 and row["moe/max_load/0"] >= 1
        assert 0 < row["moe/entropy/0"] <= np.log(4) + 1e-6
        losses = [key for key in row if key.startswith("loss/")]
        weights = [row[key.replace("loss/", "loss_weight/")] for key in losses]
        entropy = sum(row[k] * w for k, w in zip(losses, weights, strict=True)) / sum(weights)
        extra = 0.01 * row["moe/load_balance/0"] + 0.001 * row["moe/router_z/0"]
        assert row["loss"] == pytest.approx(entropy + extra, rel=1e-5)
    checkpoints = Checkpoints(run_dir / run.CHECKPOINTS, experiment().checkpoint)
    checkpoints._manager.delete(4)
    checkpoints.close()
    assert train(experiment(), run_dir, data_dir).first_step == 2
    assert figures(run_dir) == straight


def test_an_upcycled_model_begins_as_the_dense_one(tiny_run):
    config = experiment()
    start = Start("mm15_nano_sft", ("encoder", "connector", "decoder"), tiny_run)
    params = initial_params(config, (start,))
    dense = run.load_params(tiny_run)
    kernel = params["decoder"]["groups"]["layer0"]["moe"]["up"]["kernel"]
    np.testing.assert_array_equal(
        kernel[0, 3], dense["decoder"]["layers"]["mlp"]["up"]["kernel"][0]
    )
    tokens = np.arange(24, dtype=np.int32).reshape(1, 24)
    batch = {
        "tokens": tokens,
        "positions": tokens,
        "segment_ids": np.ones_like(tokens),
        "vision_index": np.full_like(tokens, -1),
        "tiles": np.zeros((1, 0, 48, 48, 3), np.uint8),
    }
    ours, _ = mllm.forward(params, batch, config.model, dtype=np.float32)
    theirs, _ = mllm.forward(dense, batch, tiny.experiment().model, dtype=np.float32)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_dense_run_of_other_sizes_is_not_upcycled(tiny_run):
    start = Start("mm15_nano_sft", ("decoder",), tiny_run)
    with pytest.raises(ValueError, match=r"dense decoder of 1 layers cannot become .* 2 layers"):
        initial_params(experiment(**{"model.decoder.layers": 2}), (start,))
    with pytest.raises(ValueError, match=r"groups/layer0/moe/down/kernel' has shape"):
        initial_params(experiment(**{"model.decoder.ffn_width": 48}), (start,))
    with pytest.raises(ValueError, match=r"cannot become one with model.decoder.moe.top_k=1"):
        initial_params(experiment(**{"model.decoder.moe.top_k": 1}), (start,))


def test_each_expert_is_a_matrix_of_its_own_to_the_optimizer():
    model = experiment().model
    decisions = dict(optimizer.describe(OptimizerConfig(name="muon"), model))
    experts = "decoder/groups/layer0/moe"
    assert decisions[f"{experts}/gate/kernel"] == "train decay muon"
    assert decisions[f"{experts}/router/kernel"] == "train decay adam"
    gradient = np.random.default_rng(0).standard_normal((2, 3, 128, 160)).astype(np.float32)
    for name in ("muon", "adafactor"):
        rule = optimizer._rule(OptimizerConfig(name=name, b1=0.9 if name == "muon" else 0.0))

        def update(x, rule=rule):
            tree = {"moe": {"gate": {"kernel": x}}}
            return jax.jit(lambda t: rule.update(t, rule.init(t), t)[0])(tree)["moe"]["gate"]

        whole = np.asarray(update(gradient)["kernel"])
        one = np.asarray(update(gradient[1:, 2:])["kernel"])
        # AdaFactor's clip to unit root mean square is over the whole stack.
        ratio = whole[1, 2] / one[0, 0]
        assert np.ptp(ratio) < 1e-3 and ratio.mean() == pytest.approx(1, abs=0.02)
