"""mm15 prepare DATASET ... [--source DIR_OR_URL] [--out DIR] [--list] [-- BEAM_OPTIONS]

Makes data sets ready for training: shards of examples with checksums and a manifest. DATASET is a
name of `mm15 prepare --list`, `miniature` for all generated ones, or `open` for the open corpus.
Resumes after a stop; what is already prepared stays as it is.
"""

from __future__ import annotations

import concurrent.futures
import json
import pathlib

from absl import flags as absl_flags

from mm15_jax.cli import common
from mm15_jax.data.storage import folder_names, to_path


def define_flags(flags) -> None:
    """From where to where, and how much of it at a time."""
    common.define_json(flags)
    common.define_string(
        flags,
        "out",
        None,
        f"where to: a folder, gs:// or s3://; {common.DATA_DIR}/ where not given",
    )
    common.define_string(
        flags, "source", None, "folder or URL (gs://, s3://) of the published files"
    )
    absl_flags.DEFINE_boolean(
        "follow_links",
        False,
        "links in --source may lead out of it: they are yours, no archive's",
        flag_values=flags,
    )
    absl_flags.DEFINE_list("split", None, "which splits; all where not given", flag_values=flags)
    absl_flags.DEFINE_integer(
        "workers", None, "processes; one a CPU where not given", lower_bound=1, flag_values=flags
    )
    absl_flags.DEFINE_integer(
        "limit", None, "at most so many examples a split", lower_bound=1, flag_values=flags
    )
    absl_flags.DEFINE_float(
        "max_bad_fraction",
        0.001,
        "share of a split's records that may be bad; ten are forgiven in a small split",
        lower_bound=0,
        upper_bound=1,
        flag_values=flags,
    )
    absl_flags.DEFINE_boolean(
        "retry_bad",
        False,
        "make shards again that left out bad records: what was missing may be there now",
        flag_values=flags,
    )
    common.define_string(flags, "tokenizer", None, "count text tokens with it, for the report")
    absl_flags.DEFINE_enum(
        "runner",
        "processes",
        ["processes", "beam"],
        "who makes the shards: processes here, or Apache Beam with the options after --",
        flag_values=flags,
    )
    absl_flags.DEFINE_boolean("list", False, "list data sets, prepare nothing", flag_values=flags)


def main(arguments, flags) -> int:
    """Prepares the named data sets; prints what each split holds."""
    from mm15_jax.data import registry

    out = flags.out or common.DATA_DIR
    arguments, options = divide(arguments)
    if flags.list:
        _print_list(registry.expand(arguments) or registry.all_preparations(), out, flags.json)
        return 0
    if not arguments:
        raise ValueError("name the data sets to prepare; mm15 prepare --list lists them")
    names = registry.expand(arguments)
    if flags.source and not any(registry.get(name).requires_source for name in names):
        raise ValueError(f"{', '.join(arguments)}: made here, not of --source {flags.source}")
    common.folder_to_write("out", out)
    from mm15_jax.data.prepare import prepare_many

    runner = None
    if flags.runner == "beam":
        from mm15_jax.data.beam import in_pipeline

        runner = in_pipeline(options)
    elif options:
        raise ValueError(f"{options[0]} is an option of Beam's: it goes with --runner=beam")
    reports = prepare_many(
        names,
        out,
        splits=flags.split,
        source=flags.source,
        follow_links=flags.follow_links,
        workers=flags.workers,
        limit=flags.limit,
        max_bad_fraction=flags.max_bad_fraction,
        retry_bad=flags.retry_bad,
        tokenizer=flags.tokenizer,
        runner=runner,
    )
    if flags.json:
        print(json.dumps([report.as_dict() for report in reports], indent=1))
    else:
        print("\n".join(report.as_text() for report in reports))
    return 0


def divide(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Names of data sets, and Beam's options, which come behind them and after "--"."""
    first = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return arguments[:first], arguments[first:]


def _print_list(names, data_dir: str, as_json: bool) -> None:
    folder = to_path(data_dir)
    begun = folder_names(folder)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:  # a bucket answers slowly
        rows = list(pool.map(lambda name: _row(name, folder, name in begun), names))
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        counts = ", ".join(f"{split} {count:,}" for split, count in row["records"].items())
        state = f"prepared: {counts}" if counts else "needs --source" if row["layout"] else ""
        print(f"{row['name']:<28} {row['category']:<13} {row['format']:<12} {state}".rstrip())
        print(f"    {row['description']}")


def _row(name: str, data_dir: pathlib.Path, begun: bool) -> dict:
    """What is known of a data set, and how much of it is prepared, if that was begun."""
    from mm15_jax.data import records, registry

    preparation = registry.get(name)
    splits = preparation.splits if begun else ()
    found = {split: records.find_manifest(data_dir / name / split) for split in splits}
    counts = {split: manifest.records for split, manifest in found.items() if manifest}
    return {
        "name": name,
        "category": preparation.category,
        "format": preparation.format,
        "licence": preparation.licence,
        "layout": preparation.layout,
        "requires_source": preparation.requires_source,
        "groups": [group for group, members in registry.groups().items() if name in members],
        "splits": list(preparation.splits),
        "present": bool(counts),
        "path": str(data_dir / name) if counts else None,
        "records": counts,
        "description": preparation.description,
    }
