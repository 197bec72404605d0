import collections

import pytest

from mm15_jax.data import history
from tests.data.test_pack_plan import make, source


def base(**changes):
    return make([source("a", 70, 1, **changes), source("b", 90, 2, weight=0.5)])


def examples(plan, cursor, rows):
    """Examples of the next rows, by source's name; and the cursor after them."""
    taken, cursor = plan.batch(cursor, rows)
    found = [
        (plan.sources[s].name, r)
        for row in taken
        for s, r in zip(row.sources.tolist(), row.records.tolist(), strict=True)
    ]
    return found, cursor


def advanced(plan, rows):
    state = history.begin(plan)
    _, state["cursor"] = plan.batch(0, rows)
    return state


def test_the_same_plan_goes_on_as_it_was():
    state = advanced(base(), 20)
    now, plan = history.resume(state, base(), step=3, on_change="stop")
    assert now == state and [entry["from_step"] for entry in now["history"]] == [0]
    assert examples(plan, now["cursor"], 9) == examples(base(), state["cursor"], 9)


def test_other_data_is_refused_and_the_difference_told():
    state = advanced(base(), 20)
    other = make([source("a", 70, 1, weight=2.0), source("c", 30, 3)])
    with pytest.raises(ValueError, match=r"a weighs 2, not 1; b is gone; c is new.*on_change"):
        history.resume(state, other, step=3, on_change="stop")


def test_after_a_change_every_data_set_goes_on_where_it_was():
    first = base()
    state = advanced(first, 7)
    window, row = divmod(state["cursor"], first.window)
    assert row  # inside a window, the rest of which is passed over
    read = collections.Counter()
    for number in range(window + 1):
        for planned in first.rows(number):
            read.update(
                (first.sources[s].name, r)
                for s, r in zip(planned.sources.tolist(), planned.records.tolist(), strict=True)
            )
    other = make([source("a", 70, 1, weight=3.0), source("b", 90, 2), source("c", 200, 3)])
    now, plan = history.resume(state, other, step=5, on_change="continue")
    assert now["cursor"] == 0 and now["plan"] == other.fingerprint
    again = [pair for pair in examples(plan, 0, 5)[0] if pair in read]
    assert not again  # all of it is still the first epoch
    read_to = first.mixture.positions(window + 1)
    assert {s.name: s.start for s in plan.sources} == {**read_to, "c": 0}
    *_, entry = now["history"]
    assert (entry["from_step"], entry["from_row"]) == (5, state["cursor"])
    assert entry["changes"] == ["a weighs 3, not 1", "b weighs 1, not 0.5", "c is new"]


@pytest.mark.parametrize(
    ("other", "change"),
    [
        ([source("b", 90, 2, weight=0.5), source("a", 70, 1)], "stand in another order"),
        (
            [source("a", 70, 1, ordered=True), source("b", 90, 2, weight=0.5)],
            "a is now read in its",
        ),
    ],
)
def test_what_changed_is_told_where_sources_and_weights_are_the_same(other, change):
    state = base()
    with pytest.raises(ValueError, match=change):
        history.resume(history.begin(state), make(other), step=1, on_change="stop")
    now, _ = history.resume(history.begin(state), make(other), step=1, on_change="continue")
    (told,) = now["history"][-1]["changes"]
    assert change in told


def test_a_later_restart_repeats_what_followed_the_change():
    state = advanced(base(), 7)
    other = make([source("a", 70, 1, weight=3.0), source("b", 90, 2)])
    now, plan = history.resume(state, other, step=5, on_change="continue")
    _, cursor = examples(plan, 0, 10)
    rest, _ = examples(plan, cursor, 10)
    # As if saved and read again, on a fresh plan, whether changes may be or not.
    fresh = make([source("a", 70, 1, weight=3.0), source("b", 90, 2)])
    again, resumed = history.resume({**now, "cursor": cursor}, fresh, step=9, on_change="stop")
    assert examples(resumed, again["cursor"], 10)[0] == rest
    assert again["history"] == now["history"] and len(now["history"]) == 2
    # And the change itself, had the run been lost before it saved again.
    repeated = history.resume(state, other, step=5, on_change="continue")[0]
    assert repeated == now


def test_a_data_set_that_was_prepared_anew_begins_an_epoch():
    state = advanced(base(), 30)
    other = make([source("a", 50, 9, checksum="new"), source("b", 90, 2, weight=0.5)])
    now, plan = history.resume(state, other, step=5, on_change="continue")
    starts = {s.name: s.start for s in plan.sources}
    assert starts["a"] % 50 == 0 and starts["a"] > 0
    assert starts["b"] > 0
    assert "a was prepared or counted anew" in now["history"][-1]["changes"]


def test_the_same_records_counted_otherwise_go_on_where_they_were():
    state = advanced(base(), 30)
    other = make([source("a", 70, 1, checksum="new"), source("b", 90, 2, weight=0.5)])
    with pytest.raises(ValueError, match="a was prepared or counted anew"):
        history.resume(state, other, step=5, on_change="stop")
    _, plan = history.resume(state, other, step=5, on_change="continue")
    _, same = history.resume(state, base(), step=5, on_change="stop")
    read = same.mixture.positions(state["cursor"] // same.window + 1)
    assert {s.name: s.start for s in plan.sources} == read


def test_other_records_begin_an_epoch_though_they_are_as_many():
    state = advanced(base(records="x"), 30)
    other = make([source("a", 70, 1, records="y", checksum="y"), source("b", 90, 2, weight=0.5)])
    _, plan = history.resume(state, other, step=5, on_change="continue")
    starts = {s.name: s.start for s in plan.sources}
    assert starts["a"] % 70 == 0 and starts["b"] % 90 != 0


def test_a_data_set_that_comes_back_goes_on_where_it_was():
    state = advanced(base(), 20)
    alone = make([source("a", 70, 1)])
    without, plan = history.resume(state, alone, step=5, on_change="continue")
    (absent,) = without["history"][-1]["absent"]
    assert absent["name"] == "b" and absent["start"] > 0
    _, without["cursor"] = plan.batch(0, 10)
    back, plan = history.resume(without, base(), step=8, on_change="continue")
    assert {s.name: s.start for s in plan.sources}["b"] == absent["start"]
    changes = [entry.get("changes") for entry in back["history"]]
    assert changes == [None, ["b is gone"], ["b is new"]]


def test_a_state_without_a_history_is_refused():
    with pytest.raises(ValueError, match="has no history"):
        history.resume({"cursor": 0, "plan": "x"}, base(), step=1, on_change="continue")
