import importlib
import pathlib
import runpy

import pytest
from jax.sharding import AbstractMesh

from mm15_jax.config import HardwareMesh, MeshConfig, load, replace_nested
from mm15_jax.parallel.rules import MESH_AXES
from mm15_jax.plan import search
from mm15_jax.plan.arithmetic import bytes_per_device
from mm15_jax.plan.chips import GIB
from mm15_jax.plan.estimate import estimate
from mm15_jax.plan.topology import parse
from mm15_jax.train.state import abstract_batch, abstract_state
from tests.plan.raw import raw, refused

TOPOLOGY = parse("v5p:4x4x4")


@pytest.fixture(scope="module")
def config():
    return load("mm15_3b_sft")


def test_every_setting_divides_the_hardware_and_the_batch(config):
    count = 0
    for candidate in search.space(config, TOPOLOGY):
        mesh = candidate.mesh
        ways = mesh.slice * mesh.data * mesh.fsdp * mesh.expert
        assert ways * mesh.tensor == 64
        assert config.train.batch_rows % (ways * candidate.train.accumulation) == 0
        count += 1
    assert count > 500


def test_tile_budgets_are_tried_beside_the_experiments_own(config):
    budgets = {c.inputs.tiles_per_row for c in search.space(config, TOPOLOGY, tiles=(16, 24))}
    assert budgets == {16, config.inputs.tiles_per_row, 24}
    assert config.inputs.tiles_per_row == 22


def test_what_is_compiled_is_few_varied_and_begins_with_the_experiments_own(config):
    chosen = search.promising(config, TOPOLOGY, (), tries=6)
    assert len(chosen) == 6 == len(set(chosen))
    first = chosen[0].model
    assert (first.encoder.remat, first.decoder.remat) == (
        config.model.encoder.remat,
        config.model.decoder.remat,
    )
    assert len({c.mesh for c in chosen}) > 1
    assert len({search._policies(c) for c in chosen}) > 3


@pytest.mark.parametrize(
    ("encoder", "decoder", "compiled"),
    [
        ("full", "full", 8.7),
        ("matmuls", "matmuls", 52.7),
        ("activations", "matmuls", 102.1),
        ("matmuls", "activations", 128.8),
        ("activations", "activations", 177.2),
    ],
)
def test_memory_by_arithmetic_is_near_the_compilers(encoder, decoder, compiled):
    """The compiler's: GiB of mm15_3b_moe_pretrain on v5p:4x8x8, libtpu 0.0.42.

    With the capacity that the experiment had then.
    """
    changes = {
        "mesh": MeshConfig(data=1, fsdp=8, expert=32),
        "model.decoder.moe.capacity_factor": 2.0,
        "model.encoder.remat": encoder,
        "model.decoder.remat": decoder,
    }
    config = replace_nested(load("mm15_3b_moe_pretrain"), changes)
    reckoned = estimate(config, parse("v5p:4x8x8")).memory / GIB
    assert 0.78 < reckoned / compiled < 1.15


@pytest.mark.parametrize("mesh", [MeshConfig(1, 1, 64), MeshConfig(1, 2, 16, tensor=2)])
@pytest.mark.parametrize(
    ("name", "optimizer"),
    [("mm15_3b_sft", "adafactor"), ("mm15_3b_sft", "muon"), ("text_3b", "adamw")],
)
def test_arguments_by_arithmetic_are_those_of_the_step(name, optimizer, mesh):
    """But for AdaFactor's means, and Muon's second moments of what it leaves to Adam."""
    config = replace_nested(load(name), {"mesh": mesh, "optimizer.name": optimizer})
    sizes = AbstractMesh(tuple(getattr(mesh, axis) for axis in MESH_AXES), MESH_AXES)
    arguments = abstract_state(config, sizes), abstract_batch(config, sizes)
    share = estimate(config, TOPOLOGY).arguments / bytes_per_device(arguments)
    assert 0.97 < share < 1.00001


def test_a_mesh_that_was_set_is_kept(config):
    given = replace_nested(config, {"mesh": MeshConfig(data=1, fsdp=32, tensor=2)})
    assert {c.mesh for c in search.promising(given, TOPOLOGY, (), 4)} == {given.mesh}


def found_with(config, answers):
    """A search whose compiler gives these answers, in turn."""
    return search.search(
        config,
        TOPOLOGY,
        tries=len(answers),
        compile_all=lambda requests, **limits: answers[: len(requests)],
    )


def test_the_best_is_the_quickest_that_fits_and_the_frontier_is_not_beaten(config):
    found = found_with(
        config,
        [
            raw(peak=50, flops=459e12 * 2),  # slower, and leaner
            raw(peak=80, flops=459e12),  # the quickest
            raw(peak=90, flops=459e12 * 1.5),  # beaten
            refused(120, 95.74),
            RuntimeError("gave up"),
        ],
    )
    best = found["tried"][found["best"]]
    assert best["hbm_used_bytes"] == 80 * GIB
    assert [found["tried"][i]["hbm_used_bytes"] // GIB for i in found["frontier"]] == [80, 50]
    assert not found["tried"][-1]["fits"]
    assert found["failed"][0]["error"] == "gave up"
    text = search.as_text(found)
    assert "does not fit" in text and "gave up" in text and "--set mesh.slice=1" in text


def test_the_winner_is_written_into_the_table_of_hardware(config, tmp_path, monkeypatch):
    from mm15_jax.experiments import hardware

    path = tmp_path / "hardware.py"
    path.write_text(search._rendered(pathlib.Path(hardware.__file__).read_text(), {}))
    monkeypatch.setattr(hardware, "__file__", str(path))
    found = found_with(config, [raw(peak=50)])
    search.update("mm15_3b_sft", found)
    spec = importlib.util.spec_from_file_location("written", path)
    written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(written)
    (row,) = written.TABLE["mm15_3b_sft"]
    assert (row.topology, row.slices) == ("v5p:4x4x4", 1)
    assert row.mesh == MeshConfig(**found["tried"][0]["mesh"])
    # Again, with settings of its own, in the place of the row before.
    found["tried"][0] |= {"accumulation": 4, "remat": {"encoder": "context", "decoder": "full"}}
    search.update("mm15_3b_sft", found)
    spec.loader.exec_module(written)
    (row,) = written.TABLE["mm15_3b_sft"]
    assert row.settings == ("train.accumulation=4", "model.encoder.remat=context")


def test_a_row_that_another_search_wrote_meanwhile_stays(tmp_path, monkeypatch):
    from mm15_jax.experiments import hardware

    path = tmp_path / "hardware.py"
    source = pathlib.Path(hardware.__file__).read_text()
    monkeypatch.setattr(hardware, "__file__", str(path))
    monkeypatch.setattr(hardware, "TABLE", {})  # as it was when this search began
    row = HardwareMesh("v6e:8x8", 1, MeshConfig(data=1, fsdp=64))
    path.write_text(search._rendered(source, {"mm15_1b_sft": (row,)}))
    search.keep({"mm15_3b_sft": [row]})
    assert runpy.run_path(str(path))["TABLE"] == {"mm15_1b_sft": (row,), "mm15_3b_sft": (row,)}


def test_tries_that_are_left_go_to_more_parts():
    given = ["mesh.data=1", "mesh.fsdp=0", "model.encoder.remat=full", "model.decoder.remat=full"]
    chosen = search.promising(load("mm15_1b_sft", given), parse("v6e:8x8"), (), 3)
    assert [c.train.accumulation for c in chosen] == [1, 2, 4]


def test_what_was_given_is_the_only_one_tried():
    given = load("mm15_1b_sft", ["train.accumulation=4", "model.decoder.remat=context"])
    chosen = search.promising(given, parse("v6e:8x8"), (), 6)
    assert {c.train.accumulation for c in chosen} == {4}
    assert {c.model.decoder.remat for c in chosen} == {"context"}
    assert len({c.model.encoder.remat for c in chosen}) > 1


def test_nothing_that_fits_leaves_the_table(config):
    found = found_with(config, [refused(120, 95.74)])
    with pytest.raises(ValueError, match="the table stays"):
        search.update("mm15_3b_sft", found)
    with pytest.raises(ValueError, match="add the mesh by hand"):
        search.update("other.py:mine", found_with(config, [raw()]))
