"""Steps compiled for TPUs; needs libtpu, no hardware."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import mm15_jax
from mm15_jax.cli.main import main
from mm15_jax.config import MeshConfig, load, replace_nested
from mm15_jax.plan import arithmetic, compile, report, worker
from mm15_jax.plan.chips import CHIPS
from mm15_jax.plan.topology import ENVIRONMENT, devices, parse

pytestmark = pytest.mark.tpu_compile


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(compile.CACHE_DIR, str(tmp_path))


def small(**changes):
    """The 3B decoder at a twelfth of its width."""
    sizes = {
        "model.decoder.width": 512,
        "model.decoder.layers": 6,
        "model.decoder.ffn_width": 1024,
        "model.decoder.heads": 4,
        "model.decoder.kv_heads": 2,
        "model.decoder.vocab_size": 2048,
        "inputs.sequence_length": 1024,
        "train.batch_rows": 16,
        "mesh": MeshConfig(data=1, fsdp=8),
    }
    return replace_nested(load("text_3b"), {**sizes, **changes})


@pytest.mark.parametrize("name", ["v4:2x2x1", "v5e:2x2", "v5p:2x2x1", "v6e:2x2"])
def test_the_compiler_lets_a_program_use_what_the_table_of_chips_says(name):
    topology = parse(name)
    mesh = Mesh(np.array(devices(topology)[:1]), ("one",))
    whole = NamedSharding(mesh, PartitionSpec())
    large = jax.ShapeDtypeStruct((60 * 2**14, 2**15), jnp.float32, sharding=whole)
    with pytest.raises(jax.errors.JaxRuntimeError) as refusal:
        jax.jit(lambda x: x * 2 + x.T.reshape(x.shape)).lower(large).compile()
    _, limit = worker.hbm_of_message(str(refusal.value), 0)
    assert limit == topology.chip.hbm_usable


def test_compiled_flops_are_the_models_and_one_more_forward_pass():
    config, topology = small(), parse("v5p:2x2x2")
    raw = compile.step_of(config, topology)
    plan = report.assemble(config, topology, raw)
    flops = arithmetic.forward_flops(config)
    assert raw["unknown_loops"] == 0
    assert raw["program"] == compile.program_of(config, topology)["program"]
    # Recomputed: the layers, not the output, and of a layer not the last product.
    expected = flops.step + flops.decoder + flops.decoder_attention
    assert 0.85 * expected < plan["compiled_flops_per_step"] < 1.08 * expected
    # Counted once, our products are XLA's.
    assert raw["flops_once"] == pytest.approx(raw["xla"]["flops"], rel=0.1)


def test_a_program_is_known_by_what_it_computes_not_by_where_its_sources_are(tmp_path):
    """Kernels tell the lines that call them, if they are let."""
    config, topology = small(), parse("v5p:2x2x2")
    root = pathlib.Path(mm15_jax.__file__).parent
    shutil.copytree(root, tmp_path / root.name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path / root.name / "model").glob("*.py"):
        path.write_text("# moved\n" + path.read_text())
    request, result = tmp_path / "request", tmp_path / "result"
    request.write_text(json.dumps({**compile._request(config, topology), "compile": False}))
    command = [sys.executable, "-m", "mm15_jax.plan.worker", str(request), str(result)]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, **ENVIRONMENT}, check=True)
    moved = json.loads(result.read_text())["program"]
    assert moved == compile.program_of(config, topology)["program"]
    other = small(**{"model.decoder.layers": 5})
    assert moved != compile.program_of(other, topology)["program"]


def test_trips_are_applied_as_unrolling_would():
    topology = parse("v5p:2x2x2")
    few, many = (
        compile.step_of(small(**{"model.decoder.layers": layers}), topology) for layers in (6, 12)
    )
    assert few["xla"]["flops"] == pytest.approx(many["xla"]["flops"], rel=0.02)
    plans = [
        report.assemble(small(**{"model.decoder.layers": layers}), topology, raw)
        for layers, raw in ((6, few), (12, many))
    ]
    per_layer = (plans[1]["compiled_flops_per_step"] - plans[0]["compiled_flops_per_step"]) / 6
    outside = plans[0]["compiled_flops_per_step"] - 6 * per_layer
    head = arithmetic.forward_flops(small()).output
    assert 2.5 * head < outside < 4.5 * head


def test_state_on_the_host_leaves_the_devices_memory_to_activations():
    topology = parse("v5p:2x2x2")
    plans = [
        report.plan(small(**{"optimizer.offload": offload}), topology) for offload in (False, True)
    ]
    here, there = (plan["hbm"] for plan in plans)
    moved = here["optimizer"] - there["optimizer"]
    assert moved > 0.9 * here["optimizer"]  # the rest are small arrays
    saved = plans[0]["hbm_used_bytes"] - plans[1]["hbm_used_bytes"]
    assert saved > 0.9 * moved
    assert plans[0]["host_bytes"] == plans[0]["seconds"]["host"] == 0
    assert plans[1]["host_bytes"] >= moved
    seconds = moved / topology.chip.host_bandwidth
    # Arrays that the compiler lays out otherwise for the update pass through the host once more.
    assert seconds <= plans[1]["seconds"]["host"] < 1.6 * seconds


def test_two_slices_exchange_gradients_over_the_slow_network():
    config = small(mesh=MeshConfig(slice=2, data=1, fsdp=8))
    plan = report.plan(config, parse("v5p:2x2x2", slices=2))
    assert plan["fits"]
    assert any(row["network"] in ("dcn", "both") for row in plan["collectives"])


def test_a_program_that_is_too_large_is_refused_with_figures():
    config = small(**{"train.batch_rows": 4096, "model.decoder.remat": "none", "mesh.fsdp": 4})
    plan = report.plan(config, parse("v5e:2x2"), look_for_nearest=False)
    assert not plan["fits"]
    assert plan["hbm_used_bytes"] > plan["hbm_limit_bytes"] == CHIPS["v5e"].hbm_usable
    assert plan["nearest"]


def test_the_command_prints_json(capsys):
    words = [
        "model.decoder.layers=2",
        "model.decoder.width=512",
        "model.decoder.vocab_size=2048",
        "inputs.sequence_length=1024",
        "train.batch_rows=8",
    ]
    assert main(["plan", "text_3b", "--topology", "v5p:2x2x1", "--json", "--set", *words]) == 0
    assert json.loads(capsys.readouterr().out)["fits"]
