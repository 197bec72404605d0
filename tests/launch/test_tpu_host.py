import pytest

from mm15_jax.launch import tpu_host
from mm15_jax.launch.tpu_host import Began, Host

OURS = Began("a0", "b1")
EARLIER = Began("a0", "b0")
OTHER = Began("a9", "b1")
NEW = Host("absent")


def running(began):
    return Host("running", 0, began)


def ended(code, began):
    return Host("ended", code, began)


def test_what_hosts_say_is_read_and_other_lines_are_not():
    text = "warning: mm15-host x\nmm15-log 3/10 eta 7s\nmm15-host w0 ended 7 job=a0 tree=b0\n"
    text += "mm15-host new absent\nmm15-host w2 running job=a0 tree=b1\n"
    assert tpu_host.said(text) == [ended(7, EARLIER), NEW, running(OURS)]
    assert tpu_host.progress(text) == "3/10 eta 7s"


@pytest.mark.parametrize(
    ("hosts", "begin"),
    [
        ([NEW, NEW], True),
        ([running(OURS)] * 2, False),
        ([running(OURS), NEW], True),  # gcloud left one out
        ([ended(2, OURS)] * 2, False),  # the answer of this tree
        ([running(EARLIER)] * 2, False),
        ([running(EARLIER), ended(0, EARLIER)], False),
        ([running(EARLIER), ended(134, EARLIER)], False),  # is restarted while it is watched
        ([running(EARLIER), NEW], True),
        ([running(EARLIER), running(OURS)], True),
        ([ended(0, EARLIER)] * 2, False),
        ([Host("stopped", 0, EARLIER)] * 2, False),
        ([running(EARLIER), ended(2, EARLIER)], True),
        ([ended(0, EARLIER), ended(2, EARLIER)], True),
        ([ended(134, EARLIER), ended(143, EARLIER)], True),
        ([ended(0, OTHER)] * 2, True),
    ],
)
def test_what_is_to_be_begun(hosts, begin):
    assert tpu_host.is_to_begin(hosts, OURS) is begin


def test_a_job_that_runs_is_not_another_ones():
    with pytest.raises(ValueError, match="another job runs"):
        tpu_host.is_to_begin([running(OTHER), NEW], OURS)


def test_only_what_was_begun_otherwise_is_in_the_way():
    assert not tpu_host.is_in_the_way([running(OURS), NEW], OURS)
    assert tpu_host.is_in_the_way([running(EARLIER), NEW], OURS)


@pytest.mark.parametrize(
    ("hosts", "code"),
    [
        ([running(OURS), ended(0, OURS)], None),
        ([running(OURS), ended(134, OURS)], 134),
        ([ended(134, OURS), ended(2, OURS)], 2),
        ([ended(0, OURS)] * 2, 0),
    ],
)
def test_the_verdict_of_hosts(hosts, code):
    assert tpu_host.verdict(hosts) == code
