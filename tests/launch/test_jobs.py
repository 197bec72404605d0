import dataclasses

import pytest

from mm15_jax.cli.launch_jobs import expand
from mm15_jax.launch.fan_out import check_order
from mm15_jax.launch.hardware import Hardware
from mm15_jax.launch.names import job_name
from mm15_jax.plan import topology

HERE = Hardware()
POD = Hardware(topology.parse("v5p-128"), check="estimate", shared_disk=False)
BUCKETS = ["--run_dir", "gs://b/run", "--data_dir", "gs://b/data"]


def test_a_command_is_one_job_of_the_experiments_name():
    words = ["train", "mm15_nano_sft", "--set", "train.steps=3"]
    launch = expand(words, HERE)
    (job,) = launch.jobs
    assert (launch.name, job.name, job.commands) == (
        "mm15_nano_sft",
        "mm15_nano_sft",
        (tuple(words),),
    )
    assert expand(words, HERE, "mine").jobs[0].name == "mine"


def test_a_pods_command_has_the_mesh_of_its_hardware_last():
    words = ["train", "mm15_3b_sft", *BUCKETS, "--set", "inputs.tokenizer=gs://b/t.model"]
    launch = expand(words, POD)
    ((command,),) = (job.commands for job in launch.jobs)
    assert command[: len(words)] == tuple(words)
    assert command[len(words) :] == ("--set", "mesh.data=1", "mesh.fsdp=64")
    assert launch.missing == () and "mm15_3b_sft on v5p:4x4x4" in launch.summaries[0]


def test_what_hosts_would_not_find_is_told():
    missing = "; ".join(expand(["train", "mm15_3b_sft"], POD).missing)
    assert all(word in missing for word in ("--run_dir gs://", "--data_dir gs://", "tokenizer"))
    missing = expand(["eval", "--run_dir", "runs/a"], POD).missing
    assert len(missing) == 2
    assert expand(["eval", "--run_dir", "runs/a"], HERE).missing == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "mm15_3b_sft"], "command to launch"),
        (["train", "mm15_3b_stf"], "mm15_3b_sft"),
        (["train", "mm15_3b_sft", "--rundir", "a"], "mm15 train --help"),
        (["train", "mm15_3b_sft", "--set", "train.step=1"], "train.steps"),
        (["train", "mm15_3b_sft", "--chain"], "one stage a launch"),
        (["ablate", "table99"], "table9"),
        (["ablate", "table2", "table3"], "was given table2 table3"),
        (["ablate", "table2", "--plan_only"], "run mm15 ablate table2 --plan_only here"),
        (["eval", "mm15_nano_stf", "--run_dir", "r"], "mm15_nano_sft"),
        (["eval", "mm15_nano_sft", "mm15_3b_sft", "--run_dir", "r"], "takes one experiment"),
        (["eval", "--run_dir", "r", "--benchmarks", "docvaq"], "did you mean 'docvqa'"),
        (["eval", "--run_dir", "r", "--set", "eval.exampels=3"], "eval.examples"),
        (["eval", "--run_dir", "r", "--set", "train.steps=3"], "changes nothing in an evaluation"),
        (["eval"], "name the run with --run_dir"),
        (["eval", "--list"], "run mm15 eval --list here"),
        (["ablate", "--list"], "run mm15 ablate --list here"),
        (["ablate", "table2", "--workers", "2"], "--at_once"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(words, said):
    with pytest.raises(ValueError, match=said):
        expand(words, POD)


@pytest.mark.parametrize("words", [["train"], ["eval", "--run_dir", "gs://b/run"]])
def test_a_file_that_no_image_holds_is_told(words, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from tests.launch.launched import short\n")
    cluster = dataclasses.replace(POD, only_image=True)
    with pytest.raises(ValueError, match="into experiments/ and build the image anew"):
        expand([*words, f"{path}:short"], cluster, "mine")


@pytest.mark.parametrize(("scale", "hardware"), [("nano", HERE), ("3b", POD)])
def test_an_ablations_jobs_are_in_order_and_fit_their_targets(scale, hardware):
    words = ["ablate", "table2", "--scale", scale, *BUCKETS]
    launch = expand([*words, "--set", "inputs.tokenizer=nano"], hardware)
    assert launch.name == f"table2_{scale}" and launch.missing == ()
    check_order(launch.jobs)
    assert len({job_name(job.name) for job in launch.jobs}) == len(launch.jobs)
    first, *_, last = launch.jobs
    assert first.after == () and last.alone and last.commands[0][:2] == ("ablate", "table2")
    trained = [c for job in launch.jobs for c in job.commands if c[0] == "train"]
    assert len(trained) > 4
    meshes = [any(word.startswith("mesh.") for word in command) for command in trained]
    assert all(meshes) if hardware is POD else not any(meshes)
