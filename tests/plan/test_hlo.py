"""Reading a compiled program: a program of two loops, as libtpu prints one, cut down."""

import pathlib

import pytest

from mm15_jax.plan import hlo, roofline, work
from mm15_jax.plan.chips import CHIPS
from mm15_jax.plan.topology import parse

HERE = pathlib.Path(__file__).parent
PROGRAM = (HERE / "program.hlo").read_text()
MATMUL = 2 * 4 * 128 * 32 * 64
SCORES = 2 * 4 * 16 * 1024 * 1024 * 128


@pytest.fixture(scope="module")
def program():
    return hlo.parse(PROGRAM)


@pytest.fixture(scope="module")
def done(program):
    return work.work_of(program, CHIPS["v5p"])


def test_a_loop_runs_from_its_start_to_its_limit(program):
    assert program.trips == {"body": 4}  # 2, 3, 4, 5
    assert program.runs == {"main": 1, "body": 4}
    assert program.unknown_loops == 0


def test_what_another_core_runs_ends_as_other_computations_do(program):
    marked = PROGRAM.replace("\n}\n", '\n}, execution_thread="sparsecore"\n', 1)
    assert marked != PROGRAM
    assert hlo.parse(marked).computations.keys() == program.computations.keys()


def test_a_loop_without_a_constant_limit_counts_once_and_is_told():
    program = hlo.parse(PROGRAM.replace("constant(6)", "parameter(1)"))
    assert program.runs["body"] == 1
    assert program.unknown_loops == 1


def test_flops_are_of_products_times_trips_and_of_kernels_that_tell_theirs(done):
    assert done.flops == 4 * MATMUL + SCORES + 777
    assert done.flops_once == MATMUL + SCORES + 777
    assert done.kernels == {"jit(step)/gmm": 1}


def test_cycles_are_summed_over_trips(done):
    assert done.cycles == 4 * 1100


def test_slices_and_updates_of_stacks_move_their_part_only(program):
    body = program.computations["body"]
    part = 64 * 32 * 4
    assert work.traffic_of(program, body["own"], body) == part + 4  # its result stays on the chip
    assert work.traffic_of(program, body["kept"], body) == part + 4  # and is written from there


SLICES = """
ENTRY %main (x: f32[88,2304], y: f32[88,2304]) -> f32[88,1] {
  %x = f32[88,2304]{0,1:T(8,128)} parameter(0)
  %row = f32[88,1]{1,0:T(8,128)} slice(%x), slice={[0:88], [4:5]}
  %to-chip = f32[88,1]{1,0:T(8,128)S(1)} slice(%x), slice={[0:88], [5:6]}
  %begun = ((f32[88,2304]{0,1:T(8,128)}), f32[88,1]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%x)
  %there = f32[88,1]{1,0:T(8,128)S(1)} slice-done(%begun)
  %y = f32[88,2304]{1,0:T(8,128)} parameter(1)
  ROOT %lane = f32[88,1]{1,0:T(8,128)S(1)} slice(%y), slice={[0:88], [4:5]}
}
"""


def test_a_slice_reads_the_tiles_it_lies_in():
    program = hlo.parse(SLICES)
    main = program.computations["main"]
    traffic = {name: work.traffic_of(program, main[name], main) for name in main}
    part, tiles = 88 * 4, 88 * 8 * 4  # eight rows are a tile's
    assert traffic["row"] == tiles + part
    assert traffic["to-chip"] == traffic["begun"] == tiles
    assert traffic["there"] == 0
    assert traffic["lane"] == 88 * 128 * 4


def test_names_for_parts_move_nothing(program):
    for computation in ("main", "body"):
        for instruction in program.computations[computation].values():
            if instruction.opcode in ("tuple", "parameter", "get-tuple-element", "while"):
                assert not work.traffic_of(program, instruction, program.computations[computation])


def test_collectives_by_kind_size_group_and_runs(done):
    found = {c.kind: c for c in done.collectives}
    gather = found["all-gather"]
    assert (gather.group, gather.runs, gather.places) == ((0, 4, 8, 12), 4, 1)
    assert gather.payload == 4 * 64 * 32 * 4  # whole: a group's parts together
    # A reduction of which every device keeps its part is a reduce-scatter.
    assert "all-reduce" not in found
    assert found["reduce-scatter"].payload == 64 * 32 * 4
    assert found["all-to-all"].group == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("replica_groups={{0,2},{1,3}}", (0, 2)),
        ("replica_groups=[2,4]<=[8]", (0, 1, 2, 3)),
        ("replica_groups=[4,2]<=[2,4]T(1,0)", (0, 4)),
        ("replica_groups=mesh['a'=2,'b'=4] {'b'}", (0, 1, 2, 3)),
        ("replica_groups=mesh['a'=2,'b'=4] {'a'}", (0, 4)),
        ("replica_groups=mesh['a'=2,'b'=4] {'a', 'b'}", tuple(range(8))),
        ("replica_groups=mesh['a'=2,'b'=4] {'b':(1)2}", (0, 2)),
        ("replica_groups=mesh['a'=2,'b'=4] {'b':(2)2}", (0, 1)),
        ("source_target_pairs={{0,3},{1,2}}", (0, 3)),
    ],
)
def test_groups_in_every_spelling(text, group):
    line = f"  %x = f32[8]{{0}} all-gather(%y), channel_id=1, {text}, dimensions={{0}}"
    instruction = hlo._instruction(line)
    assert work.first_group(instruction) == group


SEND = """ENTRY %main (x: bf16[64,8,128]) -> token[] {
  %x = bf16[64,8,128]{2,1,0:T(8,128)(2,1)} parameter(0)
  %after-all.1 = token[] after-all()
  ROOT %send.1 = (bf16[64,8,128]{2,1,0:T(8,128)(2,1)}, u32[], token[]) send(%x, %after-all.1), \
channel_id=6, is_host_transfer=true, frontend_attributes={_xla_megascale_reduce_operation="SUM",\
_xla_megascale_target="{1,2}x{0:7}",_xla_megascale_transfer_type="ALL_REDUCE"}
}
"""


def test_what_hosts_of_slices_exchange_is_between_slices():
    done = work.work_of(hlo.parse(SEND), CHIPS["v5p"])
    size = 64 * 8 * 128 * 2
    assert done.collectives == (work.Collective("all-reduce", size, (0, 8), 1, 1),)
    assert done.traffic == size
    places = [(slice_, x, 0, 0) for slice_ in (0, 1) for x in range(8)]
    found = roofline.exchange(done.collectives[0], parse("v5p:2x2x2", 2), places)
    assert found.network == "dcn" and found.ici_seconds == 0
    assert found.dcn_seconds == pytest.approx(size / CHIPS["v5p"].dcn_bandwidth)


def test_copies_to_and_from_the_host_are_no_traffic_of_the_part_that_stays_there():
    program = hlo.parse((HERE / "host_program.hlo").read_text())
    main = program.computations["main"]
    whole, part = 8 * 64 * 4, 4 * 64 * 2
    copies = {name: work.host_copies(main[name], main) for name in main}
    assert {name: pair for name, pair in copies.items() if any(pair)} == {
        "to-device": (whole, 0),
        "back": (0, whole),
        "slice": (part, 0),
        "update": (0, part),
    }
    done = work.work_of(program, CHIPS["v5p"])
    assert (done.from_host, done.to_host) == (whole + part, whole + part)
    for name, size in {"to-device": whole, "back": whole, "slice": part, "update": part}.items():
        assert work.traffic_of(program, main[name], main) == size


ASYNC = """
%away (p: bf16[8,64]) -> bf16[64,64] {
  %p = bf16[8,64]{1,0} parameter(0)
  ROOT %whole = bf16[64,64]{1,0} all-gather(%p), channel_id=1, replica_groups=[1,8]<=[8]
}, execution_thread="sparsecore"

ENTRY %main (x: bf16[8,64]) -> bf16[64,64] {
  %x = bf16[8,64]{1,0} parameter(0)
  %begun = ((bf16[8,64]{1,0}), bf16[64,64]{1,0}, u32[]) async-start(%x), calls=%away
  %on = ((bf16[8,64]{1,0}), bf16[64,64]{1,0}, u32[]) async-update(%begun)
  ROOT %there = bf16[64,64]{1,0} async-done(%on)
}
"""


def test_what_runs_beside_others_counts_once():
    done = work.work_of(hlo.parse(ASYNC), CHIPS["v5p"])
    part, whole = 8 * 64 * 2, 64 * 64 * 2
    assert done.collectives == (work.Collective("all-gather", whole, tuple(range(8)), 1, 1),)
    assert done.traffic == part + whole


def test_array_sizes():
    def array(dtype, *shape):
        return hlo.Array(dtype, shape).size

    assert array("bf16", 3, 5) == 30
    assert array("pred", 7) == 7
    assert array("f8e4m3fn", 4) == 4
    assert array("s4", 3) == 2
    assert array("token") == 0


def places_of(topology):
    """Chips of one or several slices in the order of their coordinates."""
    import itertools

    sides = [range(side) for side in topology.shape]
    return [(s, *xyz) for s in range(topology.slices) for xyz in itertools.product(*sides)]


def test_a_gather_over_a_whole_torus_uses_all_its_links():
    topology = parse("v5p:4x4x4")
    gather = work.Collective("all-gather", 64_000_000, tuple(range(64)), runs=10, places=1)
    found = roofline.exchange(gather, topology, places_of(topology))
    assert found.ici_seconds == pytest.approx(10 * 63_000_000 / (6 * 100e9))
    assert found.network == "ici"


def test_a_reduction_along_one_ring_moves_twice_and_a_line_has_one_link():
    torus, line = parse("v5p:4x4x4"), parse("v5p:2x4x4")
    ring = work.Collective("all-reduce", 1_000_000, (0, 1, 2, 3), runs=1, places=1)
    found = roofline.exchange(ring, torus, places_of(torus))
    assert found.ici_seconds == pytest.approx(2 * 750_000 / (2 * 100e9))
    found = roofline.exchange(ring, line, places_of(line))
    assert found.ici_seconds == pytest.approx(2 * 750_000 / 100e9)


def test_an_exchange_of_experts_is_bound_by_the_middle_of_a_ring():
    topology = parse("v5p:4x4x4")
    moved = work.Collective("all-to-all", 8_000_000, tuple(range(16)), runs=1, places=1)
    found = roofline.exchange(moved, topology, places_of(topology))
    assert found.ici_seconds == pytest.approx(8_000_000 * 4 / 8 / 100e9)


def test_slices_share_what_crosses_between_them():
    topology = parse("v5p:4x4x4", slices=2)
    both = work.Collective("all-reduce", 64_000_000, tuple(range(128)), runs=1, places=1)
    found = roofline.exchange(both, topology, places_of(topology))
    assert found.network == "both"
    assert found.dcn_seconds == pytest.approx(2 * 0.5 * 1_000_000 / 6.25e9)
    across = work.Collective("all-reduce", 1_000_000, (0, 64), runs=1, places=1)
    found = roofline.exchange(across, topology, places_of(topology))
    assert (found.network, found.ici_seconds) == ("dcn", 0.0)


def test_what_takes_longest_binds():
    topology = parse("v5p:4x4x4")
    assert roofline.bound(topology, 459e12, 0.5 * 2765e9, []).by == "compute"
    found = roofline.bound(topology, 459e11, 2765e9, [])
    assert (found.by, found.seconds) == ("memory", 1.0)
    slow = roofline.Exchange("all-gather", 2, "dcn", 1, 1, ici_seconds=0.2, dcn_seconds=3.0)
    assert roofline.bound(topology, 459e12, 2765e9, [slow]).by == "interconnect"
    # Both directions of the link to the host work at once.
    assert roofline.bound(topology, 459e12, 2765e9, [], (32e9, 24e9)).host == 2.0
    assert roofline.bound(topology, 459e12, 2765e9, [], (32e9, 24e9)).by == "host"
