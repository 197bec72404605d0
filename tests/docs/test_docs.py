"""The documentation holds: commands parse, experiments load, examples run, links lead somewhere."""

import dataclasses
import importlib
import pathlib
import re
import shlex

import pytest
from absl import flags as absl_flags

from mm15_jax import config as config_lib
from mm15_jax import launch
from mm15_jax.cli import launch_command, launch_jobs, main, prepare_command
from mm15_jax.data import registry
from mm15_jax.data.miniature import SETS
from mm15_jax.evaluation import benchmarks
from mm15_jax.launch import options

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACEHOLDERS = ("EXPERIMENT", "NAME", "...")
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(text: str, languages: tuple[str, ...]) -> list[str]:
    """Fenced blocks of a page in these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def commands(page: pathlib.Path) -> list[str]:
    """What a page tells to type that begins with mm15, without comments."""
    found = []
    for body in blocks(page.read_text(), ("sh", "")):
        for line in body.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] in ("mm15", ".venv/bin/mm15"):
                found.append(shlex.join(words[1:]))
    # And in sentences and tables, between back quotes, where they are whole.
    for text in re.findall(r"`mm15 ([^`]+)`", page.read_text()):
        words = shlex.split(text)
        whole = words[0] == "list" or (len(words) > 1 and words[1] not in PLACEHOLDERS)
        if whole and (words[0] not in ("show", "train") or not words[1].startswith("-")):
            found.append(shlex.join(words))
    return found


COMMANDS = list(dict.fromkeys((page, line) for page in PAGES for line in commands(page)))


def write_files_of(page: pathlib.Path, folder: pathlib.Path) -> None:
    """Python blocks that begin with `# name.py` are files that a reader is told to write."""
    for body in blocks(page.read_text(), ("python",)):
        name = re.match(r"# (\w+\.py)\n", body)
        if name:
            (folder / name[1]).write_text(body)


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 30


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[line for _, line in COMMANDS])
def test_a_documented_command_is_understood(page, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files_of(page, tmp_path)
    name, *words = shlex.split(line)
    assert name in main.COMMANDS
    if "--help" in words:
        return  # it is run, below
    module = importlib.import_module(f"mm15_jax.cli.{name}_command")
    flags = absl_flags.FlagValues()
    module.define_flags(flags)
    arguments = flags([name, *main.gather_set(words)])[1:]
    if name in ("train", "show", "inspect"):
        (experiment,) = arguments
        config_lib.load(experiment, flags.set)
    elif name == "prepare":
        names, options = prepare_command.divide(arguments)
        assert not options or flags.runner == "beam"
        assert registry.expand(set(names) - {"NAME"}) or flags.list or names == ["NAME"]
    elif name == "launch":
        check_launch(arguments, flags)
    elif name == "eval":
        config_lib.load("mm15_nano_sft", flags.set)
        if flags.benchmarks:
            benchmarks.resolve(flags.benchmarks.split(","))


def check_launch(arguments, flags):
    """A launch's target takes its flags, and what it runs loads and fits by arithmetic."""
    target, *words = arguments or ["local"]
    options_ = options.read(flags, target, launch.TARGETS)
    if words and words[0] not in launch_command.VERBS:
        limits = dataclasses.replace(options_.hardware(), check="estimate")
        missing = launch_jobs.expand(words, limits, flags.name).missing
        assert flags.dry_run or not missing


QUICK = {
    line: page
    for page, line in COMMANDS
    if line.split()[0] in ("list", "show") or "--list" in line or "--help" in line
    if "://" not in line  # test_storage_page.py has buckets for these
}


@pytest.mark.parametrize("line", QUICK)
def test_a_quick_command_runs(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_files_of(QUICK[line], tmp_path)
    assert main.main(shlex.split(line)) == 0
    assert capsys.readouterr().out.strip()


INSPECT = [line for page, line in COMMANDS if page.name == "inspect.md" and "3b" not in line]


def test_the_examples_of_the_inspect_page_run(data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").symlink_to(data_dir)
    (tmp_path / "DIR").symlink_to(data_dir)
    hashes = set()
    assert len(INSPECT) > 6
    for line in INSPECT:
        assert main.main([*shlex.split(line), "--set", "train.batch_rows=8"]) == 0
        out = capsys.readouterr().out
        if "--hash" in line:
            hashes.add(out)
    assert len(hashes) == 1  # for any number of hosts, as the page says
    assert (tmp_path / "inspect" / "inspect.html").is_file()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for body in blocks(page.read_text(), ("python",)):
        exec(compile(body, str(page), "exec"), {"__name__": page.stem})


def anchors(page: pathlib.Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files_and_headings_that_exist(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path), link


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_are_named_exist(page):
    folders = "mm15_jax|experiments|launch|docker|tests|scripts"
    for path in re.findall(rf"`((?:{folders})/[\w/.]+)`", page.read_text()):
        assert (ROOT / path).exists(), path


def rows_of(page: str) -> dict[str, str]:
    """First and second column of the tables of a page."""
    text = (ROOT / "docs" / page).read_text()
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))


def test_the_data_page_lists_the_miniature():
    listed = {name: c for name, c in rows_of("data.md").items() if name.startswith("mini_")}
    assert listed == {name: generated.category for name, generated in SETS.items()}


def test_the_evaluation_page_lists_the_miniatures_benchmarks():
    listed = {n: c for n, c in rows_of("evaluation.md").items() if n.startswith("mini_")}
    assert listed == {b.name: b.category for b in benchmarks.TABLE if b.suite == "mini"}


def test_the_architecture_page_lists_the_batch_and_the_packages():
    from mm15_jax.data.batch import BatchShape, empty_batch

    text = (ROOT / "docs" / "architecture.md").read_text()
    for name, array in empty_batch(BatchShape(2, 8, 1, 4, 8)).items():
        assert f"| `{name}` | {array.dtype}[" in text
    packages = {path.parent.name for path in (ROOT / "mm15_jax").glob("*/__init__.py")}
    assert packages == set(rows_of_packages(text))


def rows_of_packages(text: str) -> list[str]:
    table = text.split("| package |")[1].split("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_the_training_page_lists_every_metric():
    from mm15_jax.train import loop

    source = pathlib.Path(loop.__file__).read_text()
    columns = re.findall(r'^        "(\w+)": ', source, re.MULTILINE)
    assert len(columns) > 8
    page = (ROOT / "docs" / "training.md").read_text()
    for column in columns:
        assert f"`{column}`" in page, column
