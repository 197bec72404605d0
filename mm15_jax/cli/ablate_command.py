"""mm15 ablate NAME [--scale nano] [--starts 2] [--seeds 2] [--rows 1,3] [--run_dir DIR] [--set]

Runs a table or figure of the paper at a scale: says what will run, trains what is not there yet,
each shared stage once a start, asks all rows, writes table, figure and verdicts into run_dir/NAME.
Started again it goes on. --list names all; --findings renews docs/findings.md and the pages from
docs/ablations.
"""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

from absl import flags as absl_flags

from mm15_jax.cli import common

RUN_DIR = f"{common.RUNS_DIR}/ablations"
PAGES = pathlib.Path("docs/ablations")
SCOREBOARD = pathlib.Path("docs/findings.md")


def define_flags(flags) -> None:
    """What is run, at which scale, how often, and where it lies."""
    common.define_json(flags)
    common.define_set(flags)
    common.define_data_dir(flags)
    common.define_string(
        flags,
        "scale",
        "nano",
        "nano, or a size of the family: 1b, 3b, 7b, 30b; --list says which each has",
    )
    common.define_string(
        flags, "run_dir", None, f"where all runs of all ablations are; {RUN_DIR} where not given"
    )
    define = {"flag_values": flags}
    absl_flags.DEFINE_list("rows", [], "keys of rows to run; all without", **define)
    common.define_string(
        flags,
        "starts",
        "1",
        "how often everything is trained, pre-training and all; 3:7 for draws 3 to 6",
    )
    common.define_string(
        flags, "seeds", "1", "how often a row's own stages are, from each start, or which draws"
    )
    absl_flags.DEFINE_integer(
        "workers", 0, "runs at once; 0: one a core at nano scale", lower_bound=0, **define
    )
    absl_flags.DEFINE_boolean("plan_only", False, "say what would run and what it costs", **define)
    absl_flags.DEFINE_boolean(
        "collect", False, "run nothing: table and figure of what is there", **define
    )
    absl_flags.DEFINE_boolean("list", False, "print all ablations", **define)
    absl_flags.DEFINE_boolean(
        "publish", False, f"also write the result into {PAGES}, and renew {SCOREBOARD}", **define
    )
    absl_flags.DEFINE_boolean(
        "join", False, f"--publish beside draws that {PAGES} has and --run_dir has not", **define
    )
    absl_flags.DEFINE_boolean(
        "findings", False, f"renew {SCOREBOARD} and the pages from {PAGES}", **define
    )
    common.define_string(
        flags, "topology", None, "hardware that chip-hours are reckoned for, such as v5p:4x4x4"
    )


def main(arguments, flags) -> int:
    """Prints the plan, then the result; exits with 1 where a run failed."""
    from mm15_jax.ablations import catalog

    if flags.list:
        _print_list(flags.json)
        return 0
    if flags.findings:
        print(_renew_scoreboard())
        return 0
    if len(arguments) != 1:
        given = f"{len(arguments)} ({' '.join(arguments)})" if arguments else "none"
        known = ", ".join(catalog.names())
        raise ValueError(
            f"mm15 ablate takes one table or figure, was given {given}; one of {known}"
        )
    from mm15_jax.ablations.runs import plan

    ablation = catalog.find(arguments[0], flags.scale)
    work = plan(
        ablation, starts=flags.starts, seeds=flags.seeds, rows=flags.rows, overrides=flags.set
    )
    if flags.topology and flags.scale == "nano":
        raise ValueError(
            f"--topology {flags.topology} is what chip-hours of 1b and larger are reckoned for; "
            "scale nano runs on the cores that are here: leave it out, or give --scale"
        )
    if flags.publish and not PAGES.parent.is_dir():
        raise ValueError(f"{PAGES.parent}/ is not here: --publish is for the repository")
    if flags.join and not flags.publish:
        raise ValueError(f"--join puts draws beside those in {PAGES}: it needs --publish")
    return _Call(work, flags).go()


class _Call:
    """One call of the command."""

    def __init__(self, work, flags):
        from mm15_jax.ablations.tasks import tasks_of
        from mm15_jax.data.storage import to_path

        self.work, self.flags = work, flags
        self.ablation = work.ablation
        self.nano = self.ablation.scale == "nano"
        self.run_dir = to_path(flags.run_dir or RUN_DIR)
        if self.run_dir.exists() and not self.run_dir.is_dir():
            raise ValueError(f"--run_dir {self.run_dir} is a file; expected a directory")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        self.workers = flags.workers or (cores if self.nano else 1)
        self.data_dir = flags.data_dir or common.DATA_DIR
        self.tasks = tasks_of(work, self.run_dir, self.data_dir)
        self.left = [task for task in self.tasks if not task.is_done()]

    def go(self) -> int:
        """Plan, run, result."""
        if self.flags.plan_only:
            self._print_plan()
            return 0
        if self.flags.collect:
            return 0 if self._write_result() else 1
        if not self.nano and self.left and not _has_accelerator():
            raise ValueError(
                f"scale {self.ablation.scale} needs accelerators, and there are none here: "
                "--plan_only says what it takes, mm15 launch TARGET -- ablate ... runs it on a pod"
            )
        self._print_plan(to=sys.stderr)
        failed = self._run() if self.left else []
        found = self._write_result()
        return 0 if found and not failed else 1

    def _run(self) -> list:
        from mm15_jax.ablations import same_data, workers
        from mm15_jax.cli import generated
        from mm15_jax.parallel.environment import CPU_DEVICES

        configs = [run.config for run in self.work.runs]
        benchmarks = [name for asked in self.work.asked for name in asked.benchmarks]
        generated.data_dir(self.flags.data_dir, configs, benchmarks)
        same_data.look_again()  # what was generated anew may have the records that runs have read
        self.left = [task for task in self.left if not task.is_done()]
        for task in self.left:
            if said := task.refusal():
                raise ValueError(f"{said} now; move it away, or name another --run_dir")
        progress = _Progress(self.left, self.workers)
        try:
            failed = workers.run_all(
                self.left,
                workers=self.workers,
                log_dir=self._log_dir(),
                started=progress.started,
                ended=progress.ended,
                # A run is the same, whatever the number of cores and of runs at once.
                environment={CPU_DEVICES: "1"} if self.nano else None,
            )
        except workers.Stopped as stopped:
            print("stopped; runs under way are saved, the same command continues", file=sys.stderr)
            raise SystemExit(128 + stopped.number) from None
        for end in failed:
            if end.code >= 0 or end.seconds:
                said = workers.log_tail(end.log)
                print(f"{end.task.title} failed ({end.code}): {said}: {end.log}", file=sys.stderr)
            else:
                print(f"{end.task.title} left out: what it starts from failed", file=sys.stderr)
        return failed

    def _log_dir(self) -> pathlib.Path:
        """A folder of this machine: a process cannot write into a bucket by itself."""
        from mm15_jax.ablations import workers
        from mm15_jax.data.storage import is_remote

        within = pathlib.Path(RUN_DIR) if is_remote(self.run_dir) else self.run_dir
        return within / workers.LOGS

    def _write_result(self) -> bool:
        """Table, figure and verdicts of what has run; false where nothing has."""
        from mm15_jax.ablations import publish, result_files, results

        for task in self.tasks:
            if task.asked and task.is_stale():
                why = "not all that are wanted, or of other settings or data"
                print(f"left out: the scores of {task.folder} are {why}", file=sys.stderr)
        found = results.collect(self.work, self.tasks, _versions(), self.flags.set)
        if not found.rows:
            name = self.ablation.name
            print(f"no row of {name} has a score yet in {self.run_dir}", file=sys.stderr)
            return False
        text = publish.write(self.ablation, found, self.run_dir / self.ablation.name)
        if self.flags.publish:
            found = self._joined(found) if self.flags.join else found
            text = publish.write(self.ablation, found, PAGES)
            print(_renew_scoreboard(), file=sys.stderr)
        if self.flags.json:
            from mm15_jax.ablations.findings import judge

            verdicts = {v.finding.name: v.verdict for v in judge(found)}
            print(json.dumps(result_files.to_json(found) | {"findings": verdicts}, indent=1))
        else:
            print(text)
        return True

    def _joined(self, found):
        """What is found here beside what is published."""
        from mm15_jax.ablations import join, result_files

        if not (PAGES / f"{found.name}_{found.scale}.json").is_file():
            return found  # the first of them
        published = result_files.read(PAGES, found.name, found.scale)
        both, left_out = join.joined(self.ablation, found, published, tuple(self.flags.set))
        if left_out:
            rows = ", ".join(left_out)
            print(f"published rows of other experiments, left out: {rows}", file=sys.stderr)
        return both

    def _print_plan(self, to=None) -> None:
        from mm15_jax.ablations import cost
        from mm15_jax.data.progress import duration

        left = {task.name for task in self.left}
        topology = None
        if not self.nano:
            import jax

            topology = self.flags.topology or cost.TOPOLOGIES[self.ablation.scale]
            # This process only reckons; those that train choose their platform themselves.
            jax.config.update("jax_platforms", "cpu")
        rows, chip_hours = [], 0.0
        for task in self.tasks:
            if task.run is None:
                continue
            row = {
                "run": task.name,
                "state": "to train" if task.name in left else "there",
                "steps": task.run.config.train.steps,
                "starts_from": task.run.start.folder if task.run.start else "",
                "command": shlex.join(("mm15", *task.command)),
            }
            if topology is None:
                row["core_minutes"] = round(task.seconds / 60, 1)
            else:
                # Runs that begin now have the machine's chips, not those that are reckoned for.
                hours = cost.chip_hours(task.run, topology, must_fit=self.flags.plan_only)
                row |= {"hours": round(hours.hours, 1), "chip_hours": round(hours.total)}
                chip_hours += hours.total if task.name in left else 0
            rows.append(row)
        total: dict[str, object] = {
            "ablation": self.ablation.name,
            "scale": self.ablation.scale,
            "rows": len(self.work.asked),
            "to_train": sum(task.run is not None for task in self.left),
            "to_score": sum(task.run is None for task in self.left),
        }
        if topology is None:
            seconds = cost.wall_seconds(self.left, self.workers) if self.left else 0.0
            total["hours_here"] = round(seconds / 3600, 2)
            price = f"about {duration(seconds)} here, {self.workers} at once"
        else:
            total |= {"topology": topology, "chip_hours": round(chip_hours)}
            price = f"{chip_hours:,.0f} chip-hours on {topology} at best, by arithmetic"
        if self.flags.json and to is None:
            print(json.dumps(total | {"runs": rows}, indent=1))
            return
        _print_runs(rows, to)
        sentence = (
            f"{self.ablation.name} at {self.ablation.scale}: {total['to_train']} runs to train, "
            f"{total['to_score']} to score; {price}"
        )
        print(sentence, file=to or sys.stdout)


class _Progress:
    """A line as each command begins and ends, with the time left by the pace so far."""

    def __init__(self, tasks, workers: int):
        self._began = time.monotonic()
        self._whole = sum(task.seconds for task in tasks)
        self._count, self._workers = len(tasks), workers
        self._done = 0.0
        self._ended = 0

    def started(self, task) -> None:
        from mm15_jax.data.progress import duration

        print(f"{task.title} ... (about {duration(task.seconds)})", file=sys.stderr, flush=True)

    def ended(self, end) -> None:
        from mm15_jax.data.progress import duration

        self._ended += 1
        self._done += end.task.seconds
        spent = time.monotonic() - self._began
        left = spent / self._done * (self._whole - self._done)
        word = "done" if not end.code else f"FAILED ({end.code})"
        print(
            f"[{self._ended}/{self._count}] {end.task.title}: {word} in {duration(end.seconds)}  "
            f"eta {duration(left)}",
            file=sys.stderr,
            flush=True,
        )


def _renew_scoreboard() -> str:
    from mm15_jax.ablations import publish

    if not PAGES.is_dir():
        raise ValueError(f"{PAGES}/ is not here: run this in the repository, after --publish")
    count = publish.renew_scoreboard(PAGES, SCOREBOARD, lambda line: print(line, file=sys.stderr))
    return f"{SCOREBOARD}: from {count} result{'s' * (count != 1)}"


def _print_list(as_json: bool) -> None:
    from mm15_jax.ablations import catalog
    from mm15_jax.ablations.findings import findings_of

    rows = []
    for name in catalog.names():
        scales = catalog.scales_of(name)
        ablation = catalog.find(name, "3b" if "3b" in scales else scales[0])
        rows.append(
            {
                "id": name,
                "title": ablation.title,
                "source": ablation.source,
                "rows": [row.key for row in ablation.rows],
                "measures": list(ablation.measures),
                "scales": list(scales),
                "findings": [finding.name for finding in findings_of(name)],
            }
        )
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    import rich.box
    import rich.console
    import rich.table

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for head in ("ablation", "source", "what is varied", "rows", "findings", "scales"):
        table.add_column(head, no_wrap=head != "what is varied")
    for row in rows:
        cells = (str(len(row["rows"])), " ".join(row["findings"]), " ".join(row["scales"]))
        table.add_row(row["id"], row["source"], row["title"], *cells)
    console = rich.console.Console()
    rich.console.Console(width=max(console.width, 120)).print(table)


def _print_runs(rows, to) -> None:
    import rich.box
    import rich.console
    import rich.table

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    names = [name for name in rows[0] if name != "command"]
    for name in names:
        numeric = not isinstance(rows[0][name], str)
        table.add_column(
            name.replace("_", " "), justify="right" if numeric else "left", no_wrap=True
        )
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v := row[n], int) else str(v) for n in names))
    console = rich.console.Console(file=to)
    rich.console.Console(file=to, width=max(console.width, 140)).print(table)


def _has_accelerator() -> bool:
    """Asked in a process that ends: who looks at a TPU holds it, and runs would find it taken."""
    look = (
        "from mm15_jax.parallel.startup import start_jax; start_jax(); import jax; "
        "print(jax.local_devices()[0].platform)"
    )
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    if said.returncode:
        *_, last = ["no output", *said.stderr.strip().splitlines()]
        raise ValueError(f"the accelerators here cannot be used: {last}")
    return said.stdout.split()[-1] != "cpu"


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("mm15_jax", "jax", "flax", "optax")}
