"""mm15 inspect EXPERIMENT [--data_dir DIR] [--out DIR] [--stats] [--hash] [--batches N] [--json]

What training will see, from real rows. --out DIR writes a page: tiles in their grid, tokens with
their loss mask, fill, the mixture as it comes out. --stats (the default) prints a table. --hash
prints one sha256 over the global batches, as --hosts would feed them; `--hosts 4,2` feeds the first
half by 4 hosts, then starts again and feeds the rest by 2.
"""

from __future__ import annotations

import json

from absl import flags as absl_flags

from mm15_jax.cli import common
from mm15_jax.data.storage import to_path

_LAST = 2**62  # a larger cursor would count examples beyond 64 bits


def define_flags(flags) -> None:
    """What to look at, and how to show it."""
    common.define_json(flags)
    common.define_set(flags)
    common.define_data_dir(flags)
    common.define_string(flags, "out", None, "folder for the page, inspect.html")
    absl_flags.DEFINE_boolean("stats", False, "print the table", flag_values=flags)
    absl_flags.DEFINE_boolean("hash", False, "print the hash of the batches", flag_values=flags)
    for name, default, text in (
        ("batches", 8, "global batches to look at"),
        ("rows", 6, "rows to read and show"),
        ("cursor", 0, "data state to begin at; 0: the first row"),
    ):
        low, high = (0, _LAST) if name == "cursor" else (1, None)
        absl_flags.DEFINE_integer(name, default, text, low, high, flag_values=flags)
    common.define_string(flags, "split", "train", "of the data sets")
    absl_flags.DEFINE_list(
        "hosts", ["1"], "for --hash: number of hosts; several: after restarts", flag_values=flags
    )


def main(arguments, flags) -> int:
    """Plans and reads rows; trains nothing."""
    config = common.load_experiment(arguments, flags, "inspect")
    data_dir = to_path(flags.data_dir or common.DATA_DIR)
    out = common.folder_to_write("out", flags.out) if flags.out else None
    where = {"split": flags.split, "cursor": flags.cursor}
    report: dict = {"experiment": config.name, "cursor": flags.cursor}
    if flags.hash:
        from mm15_jax.cli.inspect_hash import hash_batches

        hosts = _hosts(flags.hosts)
        report |= hash_batches(config, data_dir, batches=flags.batches, hosts=hosts, **where)
        if not flags.json:
            print(report["sha256"])
    if flags.out or flags.stats or not flags.hash:
        from mm15_jax.cli import inspect_page, inspect_stats

        found = inspect_stats.inspect(
            config, data_dir, batches=flags.batches, read=flags.rows, **where
        )
        report |= found.as_dict()
        if out:
            path = inspect_page.write_page(found, out)
            report["page"] = str(path)
            if not flags.json:
                print(path)
        if not flags.json and (flags.stats or not flags.out):
            inspect_stats.print_stats(found)
    if flags.json:
        print(json.dumps(report, indent=1))
    return 0


def _hosts(given: list[str]) -> list[int]:
    if not all(word.strip().isdecimal() and int(word) > 0 for word in given):
        raise ValueError(
            f"--hosts is {','.join(given)!r}; expected numbers above 0, such as 4 or 4,2"
        )
    return [int(word) for word in given]
