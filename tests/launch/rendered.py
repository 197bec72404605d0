"""What launches would send, as text: the same on every machine, for golden texts and checks."""

import contextlib
import io
import os
import pathlib
import re
import shlex
import sys
import tempfile
from unittest import mock

from mm15_jax.cli import main
from mm15_jax.cli.launch_jobs import Launch
from mm15_jax.config.jobs import Job

# A pod's command that lacks nothing.
TRAIN = (
    "train mm15_3b_sft --run_dir gs://bucket/runs/3b_sft --data_dir gs://bucket/datasets "
    "--set inputs.tokenizer=gs://bucket/tokenizer.model"
)
ESTIMATE = "--check=estimate --price 4.2"
LAUNCHES = {
    "local": "local --processes 2 --devices 4 -- train mm15_nano_sft --set train.steps=4",
    "slurm": "slurm --nodes 2 --gpus_per_node 8 --cpus_per_task 4 --partition low --time 24:00:00 "
    '--sbatch=--qos=low --env "GREETING=it is $HOME" -- train mm15_nano_sft --run_dir "my runs/a"',
    "slurm_pyxis": "slurm --nodes 2 --gpus_per_node 8 --container registry.example/mm15:1 "
    "--mounts /data:/data --mounts /runs:/runs -- train mm15_nano_sft",
    "slurm_apptainer": "slurm --gpus_per_node 8 --container mm15.sif --mounts /data "
    "--container_runtime apptainer -- eval --run_dir runs/mm15_nano_sft",
    "tpu_vm": f"tpu-vm --accelerator v5p-128 --spot {ESTIMATE} --project us --zone us-east5-a -- "
    + TRAIN,
    "tpu_vm_slices": f"tpu-vm --topology v5e:4x4 --slices 2 --reserved {ESTIMATE} --valid_until 6h "
    "--network pods --subnetwork pods-1 --internal_ips --bundle gs://bucket/bundles/ "
    "--service_account trainer@us.iam.gserviceaccount.com --env A='b c' -- "
    "train mm15_nano_sft --run_dir gs://bucket/runs/nano --data_dir gs://bucket/datasets "
    "--set train.batch_rows=32",
    "gke": f"gke --topology v5p:8x8x8 {ESTIMATE} --image registry.example/mm15:1 -- "
    + TRAIN.replace("3b", "30b"),
    "gke_slices": f"gke --topology v5p:4x4x8 --slices 2 {ESTIMATE} --image registry.example/mm15:1 "
    "--namespace research --queue pods --priority_class high --kubernetes_service_account trainer "
    "--secret judge --spot --grace 300 --env A=b -- " + TRAIN,
    "gke_reservation": f"gke --topology v5e:2x4 {ESTIMATE} --image registry.example/mm15:1 "
    "--reservation ours --privileged -- train mm15_nano_sft --run_dir gs://bucket/runs/nano "
    "--data_dir gs://bucket/datasets",
    "gke_xpk": f"gke --xpk --cluster pod --project us --zone us-east5-a --topology v5p-128 --spot "
    f"--slices 2 {ESTIMATE} --image registry.example/mm15:1 -- " + TRAIN,
}
# An ablation's jobs: a shared stage first, rows that train and are evaluated, their comparison.
ROWS = (
    Job("table0_nano_shared", (("train", "mm15_nano_continual", "--run_dir", "gs://b/shared"),)),
    Job(
        "table0_nano_row1",
        (
            ("train", "mm15_nano_sft", "--run_dir", "gs://b/1"),
            ("eval", "--run_dir", "gs://b/1", "--data_dir", "gs://b/data"),
        ),
        ("table0_nano_shared",),
    ),
    Job(
        "table0_nano_row2",
        (
            ("train", "mm15_nano_sft", "--run_dir", "gs://b/2", "--set", "train.seed=2"),
            ("eval", "--run_dir", "gs://b/2", "--data_dir", "gs://b/data"),
        ),
        ("table0_nano_shared",),
    ),
    Job(
        "table0_nano_compared",
        (("eval", "--run_dir", "gs://b/1", "--paper"),),
        ("table0_nano_row1", "table0_nano_row2"),
        alone=True,
    ),
)
FAN_OUTS = {
    "slurm_ablation": "slurm --nodes 2 --at_once 2",
    "tpu_vm_ablation": "tpu-vm --topology v5e:2x2",
    "gke_ablation": "gke --topology v5e:2x2 --image registry.example/mm15:1",
}


def texts() -> dict[str, str]:
    """File name to text, of every launch above."""
    found = {f"launch/{name}.txt": rendered(line) for name, line in LAUNCHES.items()}
    launch = Launch("table0_nano", ROWS, (), ())
    with mock.patch("mm15_jax.cli.launch_jobs.expand", return_value=launch):
        for name, line in FAN_OUTS.items():
            found[f"launch/{name}.txt"] = rendered(f"{line} -- ablate table0 --scale nano")
    return found


def rendered(line: str) -> str:
    """What `mm15 launch LINE --dry_run` prints, without what is of this machine."""
    target, *words = shlex.split(line)
    before = os.getcwd()
    out, errors = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                code = main.main(["launch", target, "--dry_run", *words])
        finally:
            os.chdir(before)
        text = out.getvalue().replace(str(pathlib.Path(folder).resolve()), "FOLDER")
    assert code == 0, errors.getvalue()
    text = text.replace(sys.executable, "PYTHON")
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
