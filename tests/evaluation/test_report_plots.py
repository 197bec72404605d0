import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm15_jax.evaluation.report_plots import loss_chart, nice_ticks, smooth


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_enclose_the_range_and_are_few(low, span):
    high = low + span
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1)
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 9 and ticks == sorted(ticks)


def test_smoothing_keeps_a_constant_and_does_not_cling_to_the_start():
    assert smooth([2.0] * 9, 0.9) == pytest.approx([2.0] * 9)
    assert smooth([5.0, 1.0], 0.9)[1] == pytest.approx((0.9 * 5 + 1) / 1.9)


@pytest.mark.parametrize("count", [1, 2, 25, 400])
def test_charts_are_valid_and_inside_their_frame(count):
    rows = [{"step": s, "loss": 5 / s, "loss/a": 1.0, "loss/b": 2.0} for s in range(1, count + 1)]
    root = ElementTree.fromstring(loss_chart(rows, "Loss & <more>"))
    assert root.attrib["aria-label"] == "Loss & <more>"
    width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
    lines = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert len(lines) == 1 + 2 * (count > 1) + (count > 30)
    for line in lines:
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width and 0 <= y <= height
