"""Files of results: table, page and figure of each, and the scoreboard of all."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

from mm15_jax.ablations import catalog, join, plot, render, result_files
from mm15_jax.ablations.results import Result
from mm15_jax.ablations.scoreboard import scoreboard
from mm15_jax.config.ablation import Ablation
from mm15_jax.data.storage import write_atomically


def write(ablation: Ablation, found: Result, folder: pathlib.Path) -> str:
    """All files of a result, by the ablation's name and scale; returns its page."""
    stem = f"{found.name}_{found.scale}"
    result_files.save(found, folder)
    # What is shown is what is kept: the file has scores of questions in steps.
    found = result_files.read(folder, found.name, found.scale)
    plot.draw(ablation, found, folder / f"{stem}.png")
    text = write_page(ablation, found, folder)
    table = render.comma_separated(ablation, found)
    write_atomically(folder / f"{stem}.csv", table.encode())
    return text


def write_page(
    ablation: Ablation, found: Result, folder: pathlib.Path, changed: Sequence[str] = ()
) -> str:
    """The Markdown page of a result alone; returns it. `changed` as of `render.markdown`."""
    stem = f"{found.name}_{found.scale}"
    text = render.markdown(ablation, found, f"{stem}.png", changed)
    write_atomically(folder / f"{stem}.md", text.encode())
    return text


def renew_scoreboard(pages: pathlib.Path, path: pathlib.Path, told: Callable[[str], None]) -> int:
    """Holds every finding to the results of a folder; returns how many results it has.

    Pages are written anew too: findings may be others than when they were made. Those of rows whose
    settings are others by now say so. Comparing these takes a minute.

    Args:
      pages: folder of what `write` wrote.
      path: the file to write.
      told: is given a line for each page of such rows.
    """
    found = [
        result_files.read(pages, name, scale)
        for name in catalog.names()
        for scale in catalog.scales_of(name)
        if (pages / f"{name}_{scale}.json").is_file()
    ]
    changed = []
    for result in found:
        ablation = catalog.find(result.name, result.scale)
        keys = join.changed_rows(ablation, result)
        write_page(ablation, result, pages, keys)
        if keys:
            changed.append((result.name, result.scale))
            page = pages / f"{result.name}_{result.scale}.md"
            told(f"{page}: ran with other settings: {', '.join(keys)}")
    write_atomically(path, scoreboard(found, changed).encode())
    return len(found)
