"""Reading a compiled program: a program of two loops, as libtpu prints one, cut down."""

import pytest

from mm15_jax.plan import hlo, roofline, work
from mm15_jax.plan.chips import CHIPS
from mm15_jax.plan.topology import parse

PROGRAM = """\
HloModule jit_step, is_scheduled=true

FileNames
1 "step.py"

%fused_slice (param_0: f32[6,64,32], param_1: s32[]) -> f32[1,64,32] {
  %param_0 = f32[6,64,32]{2,1,0:T(8,128)} parameter(0)
  %param_1 = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  ROOT %slice = f32[1,64,32]{2,1,0:T(8,128)S(1)} dynamic-slice(%param_0, %param_1, %zero, %zero), dynamic_slice_sizes={1,64,32}
}

%fused_matmul (param_0.1: bf16[4,128,64], param_1.1: bf16[64,32,1]) -> bf16[4,128,32] {
  %param_0.1 = bf16[4,128,64]{2,1,0:T(8,128)(2,1)} parameter(0)
  %param_1.1 = bf16[64,32,1]{1,0,2:T(8,128)(2,1)} parameter(1)
  ROOT %convolution.1 = bf16[4,128,32]{2,1,0:T(8,128)(2,1)} convolution(%param_0.1, %param_1.1), window={size=1}, dim_labels=0bf_io0->0bf, metadata={op_name="jit(step)/while/body/dot_general" stack_frame_id=20}
}

%fused_batched (param_0.2: bf16[4,1024,16,128]) -> bf16[4,16,1024,1024] {
  %param_0.2 = bf16[4,1024,16,128]{3,2,1,0:T(8,128)(2,1)} parameter(0)
  ROOT %convolution.2 = bf16[4,16,1024,1024]{2,3,1,0:T(8,128)(2,1)} convolution(%param_0.2, %param_0.2), window={size=4x16 stride=3x15 lhs_dilate=4x16}, dim_labels=0b1f_0o1i->01bf
}

%fused_update (param_0.3: f32[6,64,32], param_1.3: s32[], param_2.3: f32[1,64,32]) -> f32[6,64,32] {
  %param_0.3 = f32[6,64,32]{2,1,0:T(8,128)} parameter(0)
  %param_1.3 = s32[]{:T(128)} parameter(1)
  %param_2.3 = f32[1,64,32]{2,1,0:T(8,128)} parameter(2)
  %zero.3 = s32[]{:T(128)} constant(0)
  ROOT %update = f32[6,64,32]{2,1,0:T(8,128)} dynamic-update-slice(%param_0.3, %param_2.3, %param_1.3, %zero.3, %zero.3)
}

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[]{:T(128)} parameter(0)
  %y = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%x, %y)
}

%all-reduce-scatter.1 (input: f32[64,32]) -> f32[4,32] {
  %input = f32[64,32]{1,0:T(8,128)} parameter(0)
  %all-reduce.1 = f32[64,32]{1,0:T(8,128)} all-reduce(%input), channel_id=8, replica_groups={{0,4,8,12},{1,5,9,13},{2,6,10,14},{3,7,11,15}}, use_global_device_ids=true, to_apply=%add
  %start = u32[]{:T(128)} constant(0)
  ROOT %part = f32[4,32]{1,0:T(8,128)} dynamic-slice(%all-reduce.1, %start, %start), dynamic_slice_sizes={4,32}
}

%body (state: (s32[], bf16[4,128,64], f32[6,64,32])) -> (s32[], bf16[4,128,64], f32[6,64,32]) {
  %state = (s32[]{:T(128)}, bf16[4,128,64]{2,1,0:T(8,128)(2,1)}, f32[6,64,32]{2,1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%state), index=0
  %activation = bf16[4,128,64]{2,1,0:T(8,128)(2,1)} get-tuple-element(%state), index=1
  %stack = f32[6,64,32]{2,1,0:T(8,128)} get-tuple-element(%state), index=2
  %own = f32[1,64,32]{2,1,0:T(8,128)S(1)} fusion(%stack, %i), kind=kLoop, calls=%fused_slice, backend_config={"window_config":{"estimated_cycles":"100"}}
  %whole = bf16[64,32,1]{1,0,2:T(8,128)(2,1)} all-gather(%own), channel_id=1, replica_groups=[4,4]<=[4,4]T(1,0), dimensions={0}, use_global_device_ids=true
  %product = bf16[4,128,32]{2,1,0:T(8,128)(2,1)} fusion(%activation, %whole), kind=kOutput, calls=%fused_matmul, backend_config={"window_config":{"estimated_cycles":"1000"}}
  %one = s32[]{:T(128)} constant(1)
  %next = s32[]{:T(128)} add(%i, %one)
  %kept = f32[6,64,32]{2,1,0:T(8,128)} fusion(%stack, %i, %own), kind=kLoop, calls=%fused_update
  ROOT %result = (s32[]{:T(128)}, bf16[4,128,64]{2,1,0:T(8,128)(2,1)}, f32[6,64,32]{2,1,0:T(8,128)}) tuple(%next, %activation, %kept)
}

%condition (state.1: (s32[], bf16[4,128,64], f32[6,64,32])) -> pred[] {
  %limit = s32[]{:T(128)} constant(6)
  %state.1 = (s32[]{:T(128)}, bf16[4,128,64]{2,1,0:T(8,128)(2,1)}, f32[6,64,32]{2,1,0:T(8,128)}) parameter(0)
  %i.1 = s32[]{:T(128)} get-tuple-element(%state.1), index=0
  ROOT %less = pred[]{:T(512)} compare(%i.1, %limit), direction=LT
}

ENTRY %main (a: bf16[4,128,64], b: f32[6,64,32], c: f32[64,32], q: bf16[4,1024,16,128]) -> f32[4,32] {
  %a = bf16[4,128,64]{2,1,0:T(8,128)(2,1)} parameter(0)
  %b = f32[6,64,32]{2,1,0:T(8,128)} parameter(1)
  %c = f32[64,32]{1,0:T(8,128)} parameter(2)
  %q = bf16[4,1024,16,128]{3,2,1,0:T(8,128)(2,1)} parameter(3)
  %start = s32[]{:T(128)} constant(2)
  %begin = s32[]{:T(128)} copy(%start)
  %initial = (s32[]{:T(128)}, bf16[4,128,64]{2,1,0:T(8,128)(2,1)}, f32[6,64,32]{2,1,0:T(8,128)}) tuple(%begin, %a, %b)
  %loop = (s32[]{:T(128)}, bf16[4,128,64]{2,1,0:T(8,128)(2,1)}, f32[6,64,32]{2,1,0:T(8,128)}) while(%initial), condition=%condition, body=%body
  %scores = bf16[4,16,1024,1024]{2,3,1,0:T(8,128)(2,1)} fusion(%q), kind=kOutput, calls=%fused_batched
  %kernel = bf16[4,1024,16,128]{3,2,1,0:T(8,128)(2,1)} custom-call(%q), custom_call_target="tpu_custom_call", metadata={op_name="jit(step)/gmm"}, backend_config={"custom_call_config":{"cost_estimate":{"flops":"777"}}}
  %exchanged = bf16[4,1024,16,128]{3,2,1,0:T(8,128)(2,1)} all-to-all(%q), channel_id=5, replica_groups=mesh['axis_0'=4,'axis_1'=4] {'axis_1'}, dimensions={0}
  ROOT %out = f32[4,32]{1,0:T(8,128)} fusion(%c), kind=kCustom, calls=%all-reduce-scatter.1
}
"""
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


def test_names_for_parts_move_nothing(program):
    for computation in ("main", "body"):
        for instruction in program.computations[computation].values():
            if instruction.opcode in ("tuple", "parameter", "get-tuple-element", "while"):
                assert not work.traffic_of(
                    program, instruction, program.computations[computation]
                )


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


def test_array_sizes():
    def array(dtype, *shape):
        return hlo.Array(dtype, shape, on_chip=False).size

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
