"""Options of the launch targets: a dataclass for each target, whose fields are flags.

A flag that several targets have is defined once, and means the same for all of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, TypeVar, get_type_hints

from absl import flags as absl_flags

from mm15_jax.config.names import nearest

T = TypeVar("T")
_DEFINE = {
    str: absl_flags.DEFINE_string,
    int: absl_flags.DEFINE_integer,
    float: absl_flags.DEFINE_float,
    bool: absl_flags.DEFINE_boolean,
    tuple[str, ...]: absl_flags.DEFINE_multi_string,
}


def option(default: Any, text: str, least: int = 0) -> Any:
    """A field of a target's dataclass that is a flag: what explains it, and a number's least."""
    return dataclasses.field(default=default, metadata={"text": text, "least": least})


# Flags of several targets.
ENVIRONMENT = option((), "variable for the processes, KEY=VALUE, no secret; may be repeated")
TOPOLOGY = option("", "chip and shape of a slice, such as v5p:4x4x8, or v5p-256")
SLICES = option(1, "equal slices", least=1)
CHECK = option("compile", "whether the experiment fits, by: compile, or estimate (arithmetic)")
PRICE = option(0.0, "of a chip for an hour, in any currency: to tell what a stage costs")
PROJECT = option("", "Google Cloud project; gcloud's where not given")
ZONE = option("", "Google Cloud zone; gcloud's where not given")
SPOT = option(False, "machines that may be taken back at any time, for less")
GRACE = option(120.0, "seconds that training has to save, from SIGTERM on")
MAX_RESTARTS = option(
    20, "restarts after crashes; preemptions are not counted, but on gke they are"
)
AT_ONCE = option(1, "jobs of an ablation that run at once", least=1)


def define(flags: absl_flags.FlagValues, targets: dict[str, type]) -> None:
    """Defines the flags of all targets; each tells whose it is."""
    owners: dict[str, list[str]] = {}
    fields: dict[str, tuple[Any, Any, str]] = {}
    for target, kind in targets.items():
        hints = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            found = (hints[field.name], field.default, field.metadata["text"])
            known = fields.setdefault(field.name, found)
            assert known == found, f"--{field.name} means one thing for {target}, another elsewhere"
            owners.setdefault(field.name, []).append(target)
    for name, (hint, default, text) in fields.items():
        whose = "" if len(owners[name]) == len(targets) else f"[{', '.join(owners[name])}] "
        value = list(default) if isinstance(default, tuple) else default
        _DEFINE[hint](name, value, whose + text, flag_values=flags)


def read(flags: absl_flags.FlagValues, target: str, targets: dict[str, type[T]]) -> T:
    """The target's options as they were given.

    Raises:
        ValueError: For a flag that only other targets have, naming the nearest of this one, and for
            a number that is too small, or none.
    """
    kind: Any = targets[target]
    own = [field.name for field in dataclasses.fields(kind)]
    for name in _names(targets.values()):
        if name not in own and flags[name].present:
            raise ValueError(
                f"--{name} is no option of {target}; did you mean --{nearest(name, own)[0]}?"
            )
    values = {name: getattr(flags, name) for name in own}
    for field in dataclasses.fields(kind):
        value, least = values[field.name], field.metadata["least"]
        if isinstance(value, int | float) and not least <= value < math.inf:
            raise ValueError(f"--{field.name} is {value:g}; expected {least} or more")
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in values.items()})


def _names(kinds: Iterable[type]) -> Iterable[str]:
    return dict.fromkeys(field.name for kind in kinds for field in dataclasses.fields(kind))
