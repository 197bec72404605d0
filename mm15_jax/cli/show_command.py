"""mm15 show EXPERIMENT [--set key=value ...] [--json]

The resolved config of an experiment, or of path/to/file.py:function.
"""

from __future__ import annotations

import json

from mm15_jax.cli import common
from mm15_jax.config import mixture, to_dict, to_text


def define_flags(flags) -> None:
    """Changes to resolve, and JSON in place of text."""
    common.define_json(flags)
    common.define_set(flags)


def main(arguments, flags) -> int:
    """Prints every field with its value, and the mixture's shares as comments."""
    config = common.load_experiment(arguments, flags, "show")
    if flags.json:
        print(json.dumps(to_dict(config), indent=1))
        return 0
    print(to_text(config))
    print(f"\n# mixture {config.data.mixture}: share of examples by category")
    groups = mixture(config)
    total = sum(group.weight for group in groups)
    for group in groups:
        print(f"# {group.weight / total:7.2%}  {group.category}: {', '.join(group.datasets)}")
    return 0
