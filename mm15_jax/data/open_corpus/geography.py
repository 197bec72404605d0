"""Knowledge of the world from KGeography: flags to name, capitals as text.

A flag that several maps use is one unit, by its content; a capital that several maps name is asked
for once. Options are regions of the same map.
"""

from __future__ import annotations

from pathlib import Path

from mm15_jax.data.convert.segments import conversation
from mm15_jax.data.open_corpus import common, kgm
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Example

OPTIONS = 4


def _maps(source: Path, data_set: str):
    root = common.folder(source, kgm.FOLDER, data_set)
    for path in sorted(root.glob("*.kgm")):
        try:
            yield kgm.read_map(root, path.stem)
        except DataError as error:
            common.log_unit(data_set, f"{kgm.FOLDER}/{path.name}", error)


def plan_flags(source: Path) -> list[common.Item]:
    """One question a flag."""
    root = source / kgm.FOLDER / "flags"
    seen: dict[str, tuple[str, str, str, tuple[str, ...]]] = {}
    for found in _maps(source, "open_flags"):
        flags: dict[str, tuple[str, str]] = {}  # content -> (region, path)
        for region in found.regions:
            if region.flag is None:
                continue
            try:
                content = common.content_hash(common.inside(root, region.flag))
            except DataError as error:
                common.log_unit("open_flags", f"{found.key}/{region.name}", error)
                continue
            flags.setdefault(content, (region.name, region.flag))
        for content, (name, flag) in flags.items():
            others = tuple(sorted({n for n, _ in flags.values() if n != name}))
            if others:
                seen.setdefault(content, (f"{found.key}/{name}", flag, name, others))
    # One region's flags are one unit, even where maps draw it in different files.
    units = common.linked((key, [name.lower()]) for key, _, name, _ in seen.values())
    return [
        common.Item(
            common.split_of(f"flags/{units[key]}"),
            key,
            f"{kgm.FOLDER}/flags/{flag}",
            (flag, name, others),
        )
        for key, flag, name, others in seen.values()
    ]


def build_flag(source: Path, item: common.Item) -> Example:
    """A flag and lettered options."""
    flag, name, others = item.payload
    image = common.read_image(common.inside(source / kgm.FOLDER / "flags", flag))
    prompt, letter, options = _choice("Whose flag is this?", name, others, item.key)
    metadata = {"answer": letter, "metric": "multiple_choice", "choices": options, "name": name}
    segments = conversation([image], [(prompt, letter)])
    return Example(segments, "open_flags", item.key, "knowledge", metadata)


def _choice(question: str, right: str, others: tuple[str, ...], key: str):
    generator = common.seeded("geography", key)
    wrong = generator.sample(others, min(OPTIONS - 1, len(others)))
    return common.multiple_choice(question, right, wrong, generator)


def plan_capitals(source: Path) -> list[common.Item]:
    """Two questions a capital: open, and with options."""
    items = []
    seen: set[tuple[str, str]] = set()
    for found in _maps(source, "open_capitals"):
        capitals = {r.name: r.capital for r in found.regions if r.capital}
        for name, capital in capitals.items():
            fact = (name.lower(), capital.lower())
            others = tuple(sorted({c for c in capitals.values() if c != capital}))
            if fact in seen or not others:
                continue
            seen.add(fact)
            if found.capital_question:
                question = found.capital_question.replace("%1", name)
            else:
                question = f"What is the capital of {name} ({found.name})?"
            split = common.split_of(f"capitals/{'/'.join(fact)}")
            unit = f"{kgm.FOLDER}/{found.key}.kgm"
            items += [
                common.Item(
                    split, f"{found.key}/{name}:{kind}", unit, (question, capital, others, kind)
                )
                for kind in ("open", "choice")
            ]
    return items


def build_capital(source: Path, item: common.Item) -> Example:
    """A question in text alone."""
    del source
    question, capital, others, kind = item.payload
    metadata: dict = {"kind": kind, "answer": capital, "metric": "exact_match"}
    answer = capital
    if kind == "choice":
        question, answer, options = _choice(question, capital, others, item.key)
        metadata |= {"answer": answer, "metric": "multiple_choice", "choices": options}
    segments = conversation([], [(question, answer)])
    return Example(segments, "open_capitals", item.key, "knowledge", metadata)


PREPARATIONS = (
    common.preparation(
        "open_flags",
        "knowledge",
        "Flags of countries and provinces, to be named among four.",
        kgm.LICENCE,
        plan_flags,
        build_flag,
    ),
    common.preparation(
        "open_capitals",
        "knowledge",
        "Capitals of countries and provinces: questions in text alone.",
        kgm.LICENCE,
        plan_capitals,
        build_capital,
    ),
)
