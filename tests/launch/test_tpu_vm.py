"""The driver of TPU VMs: against a cloud that a test plays, and with gcloud itself."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from mm15_jax.cli import main
from mm15_jax.config.jobs import Job
from mm15_jax.launch import (
    bundle,
    fan_out,
    gcloud,
    patience,
    programs,
    tpu_host,
    tpu_run,
    tpu_vm,
)
from mm15_jax.plan import topology
from tests.launch import tpu_api, tpu_hosts

TRAIN = "train mm15_nano_sft --run_dir gs://b/run --data_dir gs://b/data --set train.batch_rows=32"
ONE_HOST = "--topology v5e:2x2 --check=estimate"
TWO_HOSTS = "--topology v5e:2x2 --slices 2 --check=estimate"


UNREACHABLE = "Failed to resolve 'tpu.googleapis.com' (host not found) at 0x7f404a"


class Cloud:
    """Answers gcloud's commands: resources with states that a test lists, hosts as folders.

    Attributes:
        states: Of each resource that is made, one list after the other; the last state stays.
        codes: With which the runs of a host end, one after the other.
        host_codes: The same of each host, where they differ.
        silent: How often a command to the hosts reaches none, as gcloud does without an error.
        outage: How many commands of all kinds fail, one after the other.
        verbs: What was asked for.
    """

    def __init__(self, folder):
        self.states = [["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]]
        self.codes: list = [0]
        self.host_codes: list[list] = []
        self.silent = 0
        self.outage = 0
        self.verbs: list[str] = []
        self.folder = folder
        self.environment = {**os.environ, **tpu_hosts.programs(folder / "programs")}
        self.left: list[str] | None = None
        self.hosts: list[pathlib.Path] = []
        self.made = 0
        self.name, self.label = "", ""

    def answer(self, words, *, text=None):
        assert words[:4] == ["gcloud", "compute", "tpus", "queued-resources"], words
        verb, *rest = words[4:]
        self.verbs.append(verb)
        if self.outage:
            self.outage -= 1
            raise programs.ProgramError("no", 1, UNREACHABLE)
        flags = dict(re.findall(r"--([-\w]+)=(.*)", "\n".join(rest), re.MULTILINE))
        return getattr(self, verb)(rest, flags)

    def create(self, rest, flags):
        assert self.left is None, "made twice"
        self.left = list(self.states.pop(0))
        self.name, self.label = rest[0], flags["labels"]
        count = int(flags.get("node-count", 1))
        self.hosts = [self.folder / f"machines{self.made}" / f"host{i}" for i in range(count)]
        self.made += 1
        for host, codes in zip(self.hosts, self.host_codes or [self.codes] * count, strict=True):
            tpu_hosts.prepare(host, codes)
        return ""

    def describe(self, rest, flags):
        if self.left is None or rest[0] != self.name:
            raise programs.ProgramError("no", 1, f"NOT_FOUND: {rest[0]} was not found")
        if "error" in rest[1]:
            return "no capacity\n"
        if len(self.left) > 1:
            return self.left.pop(0) + "\n"
        return self.left[0] + "\n"

    def list(self, rest, flags):
        there = self.left is not None and flags["filter"].endswith(f".{self.label}")
        return f"{self.name}\t{self.left[0]}\n" if there else ""

    def delete(self, rest, flags):
        self.left = None
        return ""

    def scp(self, rest, flags):
        for host in self.hosts:
            shutil.copy(rest[0], host)
        return ""

    def ssh(self, rest, flags):
        if self.left is None or self.left[0] != "ACTIVE":
            raise programs.ProgramError("down", 255, "connection refused")
        if self.silent:
            self.silent -= 1
            return ""
        hosts = self.hosts if flags["worker"] == "all" else [self.hosts[int(flags["node"])]]
        command = next(w for w in rest if w.startswith("--command=")).removeprefix("--command=")
        out = ""
        for host in hosts:
            environment = {**self.environment, "HOME": str(host)}
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=host,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            out += done.stdout
            if done.returncode:
                said = done.stderr.strip()
                raise programs.ProgramError(said, done.returncode, said)
        return out


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    played = Cloud(tmp_path)
    monkeypatch.setattr(programs, "output_of", played.answer)
    monkeypatch.setattr(programs, "check_installed", lambda program: None)
    monkeypatch.setattr(tpu_run, "POLL_SECONDS", 0.1)
    yield played
    tpu_hosts.end_all(tmp_path / "programs")


def launch(words, *, name="job") -> int:
    return main.main(["launch", "tpu-vm", "--name", name, *words.split(), "--", *TRAIN.split()])


def log(folder, worker=0) -> str:
    return (folder / "runs" / "launches" / "job" / f"worker_{worker}.log").read_text()


def test_machines_are_asked_for_set_up_run_and_given_back(cloud, tmp_path, capsys):
    assert launch(f"{TWO_HOSTS} --env A=b") == 0
    verbs = [v for v in cloud.verbs if v != "describe"]
    assert verbs[:5] == ["create", "ssh", "scp", "ssh", "ssh"] and verbs[-1] == "delete"
    for worker in range(2):
        ran = log(tmp_path, worker)
        assert "ran train mm15_nano_sft --run_dir gs://b/run" in ran and "with A=b in source" in ran
    assert "mesh.slice=2" in log(tmp_path)
    assert "job: asking for 2 slices of v5e:2x2" in capsys.readouterr().err


def test_a_host_that_gcloud_leaves_out_is_asked_again_for_its_log(cloud, tmp_path, capsys):
    """gcloud ends with 0 and prints nothing of a host that it could not prepare."""
    answered, left_out = cloud.ssh, [2, 0]

    def ssh(rest, flags):
        if flags["worker"] != "all" and left_out[int(flags["node"])]:
            left_out[int(flags["node"])] -= 1
            return ""
        return answered(rest, flags)

    cloud.ssh = ssh
    assert launch(TWO_HOSTS) == 0
    assert all("ran train" in log(tmp_path, worker) for worker in range(2))
    assert not any(tpu_host.LOG_ENDS in log(tmp_path, worker) for worker in range(2))
    assert "they say why not" not in capsys.readouterr().err
    left_out[0] = 99
    cloud.states.append(["ACTIVE"])
    assert launch(TWO_HOSTS) == 0
    assert "not collected: the host was left out 3 times" in log(tmp_path)
    assert "of 1 hosts they say why not" in capsys.readouterr().err


def test_a_job_that_fails_for_good_ends_the_launch_and_the_machines(cloud, tmp_path):
    cloud.codes = [2]
    assert launch(ONE_HOST) == 2
    assert cloud.left is None and "ran train" in log(tmp_path)


def test_machines_stay_where_they_are_to_be_kept(cloud, capsys):
    assert launch(f"{ONE_HOST} --keep") == 0
    assert cloud.left == ["ACTIVE"]
    assert "paid for until mm15 launch tpu-vm stop job" in capsys.readouterr().err


def test_after_a_crash_every_host_begins_anew(cloud, tmp_path, capsys):
    cloud.codes = [134, 0]
    assert launch(TWO_HOSTS) == 0
    assert log(tmp_path, 0).count("ran train") == log(tmp_path, 1).count("ran train") == 2
    assert "ended with 134; begins anew, number 1" in capsys.readouterr().err
    assert cloud.made == 1


def test_crashes_have_a_limit(cloud, tmp_path):
    cloud.codes = [139] * 9
    assert launch(f"{ONE_HOST} --max_restarts 2") == 139
    assert log(tmp_path).count("ran train") == 3 and cloud.left is None


def test_machines_that_were_taken_back_are_asked_for_again(cloud, tmp_path, capsys):
    cloud.states = [["ACTIVE"] * 2, ["WAITING_FOR_RESOURCES", "ACTIVE"]]
    cloud.codes = ["wait"]

    def take_back():
        while "eta" not in "".join(p.read_text() for p in tmp_path.glob("machines0/*/*/log")):
            time.sleep(0.02)
        cloud.codes = [0]
        cloud.left = ["SUSPENDED"]

    threading.Thread(target=take_back, daemon=True).start()
    assert launch(f"{ONE_HOST} --spot") == 0
    assert cloud.made == 2 and cloud.verbs.count("delete") == 2
    assert "taken back; asking for others" in capsys.readouterr().err


def test_hosts_that_gcloud_left_out_are_waited_for(cloud, capsys):
    cloud.silent = 2
    assert launch(TWO_HOSTS) == 0
    assert "not yet: 0 of 2 hosts answered" in capsys.readouterr().err


def test_an_outage_of_the_cloud_is_waited_for(cloud, capsys):
    """While machines are waited for, and while the job runs."""
    made, cloud.codes = cloud.create, ["wait"]

    def create(rest, flags):
        cloud.outage = 3
        return made(rest, flags)

    def interfere():
        while not (pids := list(cloud.folder.glob("machines0/*/*/pid"))):
            time.sleep(0.02)
        cloud.outage = 8
        while cloud.outage:
            time.sleep(0.02)
        stop_training(pids[0])

    cloud.create = create
    threading.Thread(target=interfere, daemon=True).start()
    assert launch(f"{ONE_HOST} --max_restarts 0") == 143
    assert capsys.readouterr().err.count("no answer: Failed to resolve") > 6
    assert cloud.made == 1 and cloud.left is None


def test_an_outage_without_end_is_told_with_what_is_paid_for(cloud, capsys, monkeypatch):
    monkeypatch.setattr(patience, "_FORGIVEN", 2)
    made = cloud.create

    def create(rest, flags):
        cloud.outage = 99
        return made(rest, flags)

    cloud.create = create
    assert launch(ONE_HOST) == main.USER_ERROR
    last = capsys.readouterr().err.splitlines()[-1]
    assert "no answer of job for" in last and "paid for until mm15 launch tpu-vm stop job" in last


def test_a_refusal_is_told_at_once(cloud, capsys):
    def describe(rest, flags):
        raise programs.ProgramError("no", 1, "PERMISSION_DENIED: of this project")

    cloud.describe = describe
    assert launch(ONE_HOST) == main.USER_ERROR
    assert cloud.verbs == ["describe"]


def test_a_request_whose_answer_was_lost_is_found(cloud):
    made = cloud.create

    def create(rest, flags):
        made(rest, flags)
        raise programs.ProgramError("no", 1, UNREACHABLE)

    cloud.create = create
    assert launch(ONE_HOST) == 0
    assert cloud.made == 1


def test_machines_are_given_back_though_it_fails_at_first(cloud, capsys):
    deleted, failures = cloud.delete, [1, 1]

    def delete(rest, flags):
        if failures:
            failures.pop()
            raise programs.ProgramError("no", 1, "HttpError 503: try again")
        return deleted(rest, flags)

    cloud.delete = delete
    assert launch(ONE_HOST) == 0
    assert cloud.left is None and cloud.verbs.count("delete") == 3


def test_a_request_that_fails_is_told_and_given_back(cloud, capsys):
    cloud.states = [["WAITING_FOR_RESOURCES", "FAILED"]]
    assert launch(f"{ONE_HOST} --valid_until 1h") == main.USER_ERROR
    assert "no machines for job: FAILED no capacity" in capsys.readouterr().err
    assert cloud.left is None


def test_machines_that_somebody_deleted_are_not_asked_for_again(cloud, capsys):
    cloud.codes = ["wait"]

    def delete():
        while not list(cloud.folder.glob("machines0/*/*/log")):
            time.sleep(0.02)
        cloud.left = None

    threading.Thread(target=delete, daemon=True).start()
    assert launch(ONE_HOST) == main.USER_ERROR
    assert "deleted from outside" in capsys.readouterr().err
    assert cloud.made == 1


def interrupted(cloud, words) -> int:
    """Launches, and is interrupted when the job runs."""

    def interrupt():
        while "eta" not in "".join(p.read_text() for p in cloud.folder.glob("machines0/*/*/log")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    return launch(words)


def test_the_same_launch_goes_on_watching_after_an_interruption(cloud, tmp_path, capsys):
    cloud.codes = ["wait"]
    assert interrupted(cloud, ONE_HOST) == 130
    assert "the same command watches it again" in capsys.readouterr().err
    assert cloud.left == ["ACTIVE"]
    (pid,) = cloud.folder.glob("machines0/*/*/pid")
    threading.Timer(1.0, stop_training, [pid]).start()
    assert launch(f"{ONE_HOST} --max_restarts 0") == 143
    assert log(tmp_path).count("ran train") == 1 and cloud.made == 1


@pytest.fixture
def tree(cloud, tmp_path, monkeypatch):
    """A working tree that a test may edit."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / bundle.LOCK).touch()
    subprocess.run(["git", "init", "-q", root], check=True)
    monkeypatch.setattr(bundle, "source_root", lambda: root)
    return root


def test_a_running_job_goes_on_with_the_code_that_it_began_with(cloud, tree, tmp_path, capsys):
    cloud.codes = ["wait"]
    assert interrupted(cloud, TWO_HOSTS) == 130
    (tree / "edited.py").touch()
    installed = [path.stat().st_mtime_ns for path in cloud.folder.glob("machines0/*/*/venv")]
    cloud.verbs.clear()
    assert interrupted(cloud, TWO_HOSTS) == 130
    assert "goes on with the code that it began with" in capsys.readouterr().err
    assert "scp" not in cloud.verbs and len(installed) == 2
    assert installed == [p.stat().st_mtime_ns for p in cloud.folder.glob("machines0/*/*/venv")]
    assert launch(f"{TWO_HOSTS} --env A=b") == main.USER_ERROR
    assert "another job runs there; its machines are paid for" in capsys.readouterr().err


def test_a_failed_job_begins_anew_on_all_hosts_with_a_mended_tree(cloud, tree, tmp_path, capsys):
    cloud.host_codes = [[0, 0], [2, 0]]
    assert launch(f"{TWO_HOSTS} --keep") == 2
    assert launch(f"{TWO_HOSTS} --keep") == 2
    assert log(tmp_path, 0).count("ran train") == log(tmp_path, 1).count("ran train") == 1
    (tree / "mended.py").touch()
    assert launch(TWO_HOSTS) == 0
    assert "begins anew" in capsys.readouterr().err
    assert log(tmp_path, 0).count("ran train") == log(tmp_path, 1).count("ran train") == 2


ROWS = [Job("table0_row1", (("train", "x"),)), Job("table0_row2", (("train", "y"),))]


def test_an_ablation_is_stopped_by_its_name(cloud, tree, capfd):
    """Its machines are named like its jobs; and who still runs it does not ask for more."""
    cloud.codes, codes = ["wait"], []

    def stop():
        while "eta" not in "".join(p.read_text() for p in cloud.folder.glob("machines0/*/*/log")):
            time.sleep(0.02)
        assert main.main(["launch", "tpu-vm", "status", "table0"]) == 0
        codes.append(main.main(["launch", "tpu-vm", "stop", "table0"]))

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    options = tpu_vm.TpuVm(topology="v5e:2x2")
    assert options.start("table0", ROWS, dry_run=False) == fan_out.STOPPED
    thread.join()
    said = capfd.readouterr().out
    assert codes == [0] and "table0-row1 ended; its machines are given back" in said
    assert "mm15-host host0 running" in said
    assert cloud.left is None and cloud.made == 1
    (kept,) = cloud.folder.glob("machines0/*/*/log")
    assert kept.read_text().endswith("saved\n")


class Listed:
    """Answers gcloud for a launch of several resources, one of which cannot be deleted."""

    def __init__(self, states):
        self.states, self.deleted = states, []

    def answer(self, words, **unused):
        verb, name = words[4:6]
        if verb == "list":
            assert "--filter=tpu.nodeSpec.node.labels.mm15=table0" in words
            return "".join(f"{name}\t{state}\n" for name, state in self.states.items())
        if verb == "delete" and name == "stuck":
            raise programs.ProgramError("503", 1, "503")
        self.deleted += [name] if verb == "delete" else []
        return ""


def test_all_that_can_be_stopped_is_stopped(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    listed = Listed({"stuck": "ACTIVE", "a": "ACTIVE", "b": "WAITING_FOR_RESOURCES"})
    monkeypatch.setattr(programs, "output_of", listed.answer)
    assert main.main(["launch", "tpu-vm", "logs", "table0"]) == main.USER_ERROR
    assert "logs of stuck or a?" in capsys.readouterr().err
    assert main.main(["launch", "tpu-vm", "stop", "table0"]) == main.USER_ERROR
    assert sorted(listed.deleted) == ["a", "b"]
    assert "the machines of stuck were not given back: 503" in capsys.readouterr().err


def stop_training(pid: pathlib.Path) -> None:
    """Asks the training alone, as the preemption of a host would."""
    group = pid.read_text().strip()
    subprocess.run(["pkill", "-TERM", "-g", group, "-f", "mm15 train"], check=True)


def test_a_launch_is_stopped_from_elsewhere(cloud, tmp_path, capsys):
    cloud.codes = ["wait"]
    assert interrupted(cloud, ONE_HOST) == 130
    assert main.main(["launch", "tpu-vm", "stop", "job"]) == 0
    assert cloud.left is None
    (kept,) = cloud.folder.glob("machines0/*/*/log")
    assert kept.read_text().endswith("saved\n")
    assert main.main(["launch", "tpu-vm", "stop", "job"]) == 0
    assert "job has no machines" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--topology v5p-8 --accelerator v5p-8", "give one of them"),
        ("--accelerator v5p-9", "did you mean"),
        ("--accelerator v5p-8 --bundle bucket", "gs://BUCKET/FOLDER"),
        ("--accelerator v5p-8 --spot --reserved", "exclude one another"),
        ("--accelerator v5p-8 --image a", "--image is no option of tpu-vm"),
        ("", "--topology"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(words, said, capsys):
    assert launch(words) == main.USER_ERROR
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not installed")
class TestWithGcloud:
    """The real gcloud, a stand-in of the API on loopback, stand-ins of ssh and of the hosts."""

    @pytest.fixture
    def api(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(tpu_run, "POLL_SECONDS", 0.5)
        with tpu_api.running(tmp_path) as (api, environment):
            for key, value in environment.items():
                monkeypatch.setenv(key, value)
            hosts = tpu_hosts.programs(tmp_path / "host_programs")
            monkeypatch.setenv("MM15_TEST_PROGRAMS", hosts["MM15_TEST_PROGRAMS"])
            yield api
        tpu_hosts.end_all(tmp_path / "host_programs")

    def test_two_slices_of_four_hosts_run_to_the_end(self, api, tmp_path, capsys):
        api.hosts = 4
        api.prepare = lambda home: tpu_hosts.prepare(home, [0])
        words = "--topology v5e:4x4 --slices 2 --spot --check=estimate --valid_until 6h"
        assert launch(words) == 0, capsys.readouterr().err
        (made,) = api.made()
        (spec,) = made["tpu"]["nodeSpec"]
        assert spec["multisliceParams"] == {"nodeCount": 2, "nodeIdPrefix": "job"}
        assert spec["node"]["acceleratorType"] == "v5litepod-16"
        assert spec["node"]["labels"] == {"mm15": "job"}
        assert made["spot"] == {} and made["queueingPolicy"] == {"validUntilDuration": "21600s"}
        assert len(api.deleted()) == 1 and "force=True" in api.deleted()[0]
        logs = sorted((tmp_path / "runs" / "launches" / "job").glob("worker_*.log"))
        assert len(logs) == 8 and all("ran train" in path.read_text() for path in logs)

    def test_spot_machines_are_asked_for_again(self, api, tmp_path, capsys):
        api.prepare = lambda home: tpu_hosts.prepare(home, ["wait"])

        def take_back():
            while "eta" not in "".join(p.read_text() for p in tmp_path.glob("hosts/*/*/log")):
                time.sleep(0.1)
            api.prepare = lambda home: tpu_hosts.prepare(home, [0])
            api.resources["job"]["left"] = ["SUSPENDED"]
            (tmp_path / "hosts" / "127.0.0.2" / "down").touch()

        threading.Thread(target=take_back, daemon=True).start()
        assert launch(f"{ONE_HOST} --spot") == 0, capsys.readouterr().err
        assert len(api.made()) == len(api.deleted()) == 2

    def test_a_launch_of_several_jobs_is_stopped_by_its_label(self, api, capsys):
        api.states, place, there = (
            ["WAITING_FOR_RESOURCES"],
            gcloud.Place(),
            topology.parse("v5e:2x2"),
        )
        for name, label in (("a", "table0"), ("b", "table0"), ("c", "table0-b")):
            programs.output_of(place.create(name, label, there, {"runtime-version": "a"}))
        assert place.states("table0") == dict.fromkeys("ab", "WAITING_FOR_RESOURCES")
        assert main.main(["launch", "tpu-vm", "stop", "table0"]) == 0
        assert list(api.resources) == ["c"]
        assert main.main(["launch", "tpu-vm", "stop", "c"]) == 0  # by the name of a job
        assert main.main(["launch", "tpu-vm", "stop", "c"]) == 0
        assert api.resources == {} and "c has no machines" in capsys.readouterr().out

    def test_status_tells_what_is_there(self, api, capsys):
        place = gcloud.Place()
        there = topology.parse("v5e:2x2")
        programs.output_of(place.create("job", "job", there, {"runtime-version": "a"}))
        assert main.main(["launch", "tpu-vm", "status"]) == 0
        assert re.search(r"^job .*v5litepod-4", capsys.readouterr().out, re.MULTILINE)
