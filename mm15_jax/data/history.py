"""What a run has read: one integer, and the plans that it counted in, one after the other.

The data state of a checkpoint is JSON:

    cursor   the one integer: a row of the present plan (`PackPlan.batch`)
    plan     the present plan's fingerprint
    history  the plans of this run, oldest first: the step that each began at, and its sources with
             their weights and the position in each at which it began

A run that goes on with other data sets or weights begins a new plan. Each data set goes on where it
was read to; one that was prepared anew begins its next epoch. What the plan before had still to
give of its last window is passed over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mm15_jax.data.mixture import Mixture, MixtureSource
from mm15_jax.data.pack_plan import PackPlan


def begin(plan: PackPlan, cursor: int = 0) -> dict[str, Any]:
    """The data state of a run that begins with a plan."""
    return {"cursor": cursor, "plan": plan.fingerprint, "history": [_entry(plan, 0)]}


def resume(
    state: Mapping[str, Any], plan: PackPlan, *, step: int, on_change: str
) -> tuple[dict[str, Any], PackPlan]:
    """The data state to go on with, and the plan with its sources where they were read to.

    Args:
      state: of the checkpoint.
      plan: of the data as it is now.
      step: of the checkpoint.
      on_change: "stop" or "continue", what to do if it is another plan.

    Raises:
      ValueError: if it is another plan and may not be, or the state cannot tell what was read.
    """
    history = list(state.get("history", ()))
    if not history:
        raise ValueError(
            "the run's data state has no history of its plans: it was saved by another version"
        )
    if state["plan"] == plan.fingerprint:
        return dict(state), _started(plan, history[-1])
    if on_change != "continue":
        changes = _changes(history[-1], _entry(plan, step)) or ["rows are packed otherwise"]
        raise ValueError(
            "the data sets or their weights are not those that this run was started with "
            f"({'; '.join(changes)}): prepare them as they were, start another run with "
            "--run_dir, or go on with what there is now by --set data.on_change=continue"
        )
    read = _positions(history[-1], state["cursor"])
    entry = _entry(plan, step)
    for source in entry["sources"]:
        source["start"] = _start(source, read.pop(source["name"], None))
    entry |= {
        "from_row": state["cursor"],  # of the plan before
        "changes": _changes(history[-1], entry),
        "absent": list(read.values()),  # where those stand that this plan has not
    }
    now = {"cursor": 0, "plan": plan.fingerprint, "history": [*history, entry]}
    return now, _started(plan, entry)


def _entry(plan: PackPlan, step: int) -> dict[str, Any]:
    sources = [
        {
            "name": source.name,
            "weight": float(source.weight),
            "items": len(source.items),
            "ordered": source.ordered,
            "checksum": source.checksum,
            "version": source.version,
            "records": source.records,
            "start": source.start,
        }
        for source in plan.sources
    ]
    facts = {"plan": plan.fingerprint, "window": plan.window, "seed": plan.seed}
    facts["budgets"] = dataclasses.asdict(plan.budgets)
    return {"from_step": step, **facts, "sources": sources, "absent": []}


def _started(plan: PackPlan, entry: Mapping[str, Any]) -> PackPlan:
    return plan.starting_at({source["name"]: source["start"] for source in entry["sources"]})


def _positions(entry: Mapping[str, Any], cursor: int) -> dict[str, dict[str, Any]]:
    """Sources of a plan as they stand at a cursor: `start` moved on; also those it had not."""
    mixture = Mixture(
        [
            MixtureSource(s["name"], s["items"], s["weight"], s["ordered"], s["start"])
            for s in entry["sources"]
        ],
        window=entry["window"],
        seed=entry["seed"],
    )
    window, row = divmod(cursor, entry["window"])
    read = mixture.positions(window + bool(row))
    found = {source["name"]: source for source in entry["absent"]}
    return found | {s["name"]: {**s, "start": read[s["name"]]} for s in entry["sources"]}


def _start(source: Mapping[str, Any], read: Mapping[str, Any] | None) -> int:
    """Where a source begins in a new plan, from where it was read to in the plan before."""
    if read is None:
        return 0
    same = ("items", "ordered", "records")
    if all(source[key] == read[key] for key in same):
        return read["start"]
    return -(-read["start"] // read["items"]) * source["items"]


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two plans, in words."""
    old = {source["name"]: source for source in before["sources"]}
    new = {source["name"]: source for source in now["sources"]}
    changes = [f"{name} is new" for name in new if name not in old]
    changes += [f"{name} is gone" for name in old if name not in new]
    for name in old.keys() & new.keys():
        if old[name]["checksum"] != new[name]["checksum"]:
            changes.append(f"{name} was prepared or counted anew")
        elif old[name]["items"] != new[name]["items"]:
            changes.append(f"{name} has {new[name]['items']} items, not {old[name]['items']}")
        if old[name]["weight"] != new[name]["weight"]:
            weights = (old[name]["weight"], new[name]["weight"])
            changes.append("{} weighs {:.4g}, not {:.4g}".format(name, *reversed(weights)))
        if old[name]["ordered"] != new[name]["ordered"]:
            how = "in its order" if new[name]["ordered"] else "shuffled"
            changes.append(f"{name} is now read {how}")
    common = [name for name in old if name in new]
    if common != [name for name in new if name in old]:
        changes.append("the data sets stand in another order")
    if before["window"] != now["window"]:
        changes.append(f"the window is {now['window']}, not {before['window']}")
    if before.get("budgets", now["budgets"]) != now["budgets"]:  # older runs did not keep them
        changes.append("a row has other budgets")
    return sorted(changes)
