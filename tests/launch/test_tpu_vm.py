"""The driver of TPU VMs, against a cloud that a test plays."""

import os
import signal
import subprocess
import threading
import time

import pytest

from mm15_jax.cli import main
from mm15_jax.config.jobs import Job
from mm15_jax.launch import bundle, fan_out, programs, tpu_host, tpu_vm
from tests.launch.tpu_cloud import ONE_HOST, TWO_HOSTS, launch, stop_training


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


def test_a_command_that_hangs_ends_when_asked_to_stop(cloud, capsys):
    """As gcloud's ssh does to hosts that went away; waiting has an end of its own besides."""
    cloud.codes, cloud.hangs = ["wait"], "worker.sh state"

    def terminate():
        cloud.hanging.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate, daemon=True).start()
    assert launch(ONE_HOST) == 128 + signal.SIGTERM
    assert "paid for until mm15 launch tpu-vm stop job" in capsys.readouterr().err
    assert cloud.left == ["ACTIVE"]


def test_set_up_may_take_longer_than_a_look_up(cloud):
    assert launch(ONE_HOST) == 0
    look_up, work = programs.LOOK_UP_SECONDS, programs.WORK_SECONDS
    assert cloud.patience["mm15-job/worker.sh state"] == look_up < work
    assert {cloud.patience[words] for words in ("scp", "mm15-job/worker.sh setup", "delete")} == {
        work
    }


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
    """Launches, and is interrupted when the job runs and has been looked at."""
    cloud.verbs.clear()

    def interrupt():
        while "eta" not in "".join(p.read_text() for p in cloud.folder.glob("machines0/*/*/log")):
            time.sleep(0.02)
        while cloud.verbs.count("ssh") < 2:
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
