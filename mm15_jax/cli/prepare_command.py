"""mm15 prepare DATASET ... [--out DIR] [--source DIR] [--workers N] [--list] [--json]

Makes data sets ready for training: shards of examples with checksums and a manifest. DATASET is a
name of `mm15 prepare --list`, `miniature` for all generated ones, or `open` for the open corpus.
Resumes after a stop; what is already prepared stays as it is.
"""

from __future__ import annotations

import json

from absl import flags as absl_flags

from mm15_jax.cli import common
from mm15_jax.config.names import unknown

GROUPS = {"miniature": "mini_", "open": "open_"}


def define_flags(flags) -> None:
    """From where to where, and how much of it at a time."""
    common.define_json(flags)
    common.define_string(
        flags,
        "out",
        None,
        f"where to: a folder, gs:// or s3://; {common.DATA_DIR}/ where not given",
    )
    common.define_string(flags, "source", None, "folder of the published files")
    absl_flags.DEFINE_integer(
        "workers", None, "processes; one a CPU where not given", lower_bound=1, flag_values=flags
    )
    absl_flags.DEFINE_integer(
        "limit", None, "at most so many examples a split", lower_bound=1, flag_values=flags
    )
    absl_flags.DEFINE_boolean("list", False, "list data sets, prepare nothing", flag_values=flags)


def main(arguments, flags) -> int:
    """Prepares every split of the named data sets; prints a line a split."""
    out = flags.out or common.DATA_DIR
    if flags.list:
        _print_list(out, flags.json)
        return 0
    if not arguments:
        raise ValueError("name the data sets to prepare; mm15 prepare --list lists them")
    from mm15_jax.data.prepare_many import prepare_many

    reports = prepare_many(
        expand(arguments), out, source=flags.source, workers=flags.workers, limit=flags.limit
    )
    if flags.json:
        print(json.dumps([report.as_dict() for report in reports], indent=1))
    else:
        for report in reports:
            kept = " (already prepared)" if report.shards_kept == report.shards else ""
            print(
                f"{report.name} {report.split}: {report.records:,} examples, {report.bad} bad, "
                f"{report.bytes / 1e6:.1f} MB{kept}"
            )
    return 0


def expand(names: list[str]) -> list[str]:
    """Data set names, with groups in place of their names; ValueError for an unknown one."""
    from mm15_jax.data.registry import all_preparations

    known, expanded = all_preparations(), []
    for name in names:
        if name in GROUPS:
            expanded += [other for other in known if other.startswith(GROUPS[name])]
        elif name in known:
            expanded.append(name)
        else:
            raise unknown("data set", name, [*known, *GROUPS])
    return list(dict.fromkeys(expanded))


def _print_list(data_dir: str, as_json: bool) -> None:
    from mm15_jax.data.records import MANIFEST
    from mm15_jax.data.registry import all_preparations
    from mm15_jax.data.storage import to_path

    rows = []
    for preparation in all_preparations().values():
        folder = to_path(data_dir) / preparation.name
        rows.append(
            {
                "name": preparation.name,
                "category": preparation.category,
                "requires_source": preparation.requires_source,
                "licence": preparation.licence,
                "present": all((folder / s / MANIFEST).exists() for s in preparation.splits),
                "description": preparation.description,
            }
        )
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        state = (
            "prepared" if row["present"] else "source" if row["requires_source"] else "generated"
        )
        print(f"{row['name']:<20} {row['category']:<13} {state:<10} {row['description']}")
