"""XPK takes the command line that we make of a job, and makes of it the JobSet that was meant."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest
import yaml

from tests.goldens.renew import FOLDER

XPK = "xpk==1.16.0"  # in an environment of its own: it wants other versions than we have
UV = pathlib.Path(sys.executable).parent / "uv"


@pytest.mark.slow
@pytest.mark.skipif(not UV.exists(), reason="uv, which brings XPK, is not in this environment")
def test_xpk_makes_the_jobset_that_was_meant(tmp_path):
    words = shlex.split((FOLDER / "launch" / "gke_xpk.txt").read_text())
    assert words[:3] == ["xpk", "workload", "create"]
    dry = ["--dry-run", "--skip-validation", "--project-number=1", "--output-manifest-file=m.yaml"]
    # XPK keeps its settings in the home directory; uv may have it from an earlier run.
    cache = os.environ.get("UV_CACHE_DIR") or pathlib.Path.home() / ".cache" / "uv"
    environment = {**os.environ, "HOME": str(tmp_path), "UV_CACHE_DIR": str(cache)}
    command = [UV, "tool", "run", "--from", XPK, *words, *dry]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    made = yaml.safe_load((tmp_path / "m.yaml").read_text())
    assert made["kind"] == "JobSet" and made["metadata"]["name"] == "mm15-3b-sft"
    assert made["spec"]["failurePolicy"]["maxRestarts"] == 20
    (replicated,) = made["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    assert (replicated["replicas"], job["parallelism"]) == (2, 16)
    pod = job["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5p-slice",
        "cloud.google.com/gke-tpu-topology": "4x4x4",
    }
    assert pod["terminationGracePeriodSeconds"] == 120
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/mm15:1"
    script = words[words.index("--command") + 1]
    assert script in container["command"][-1]
    # What does not begin anew with us does not with XPK.
    rule = job["podFailurePolicy"]["rules"][0]["onExitCodes"]
    assert rule["operator"] == "NotIn" and set(rule["values"]) - {42} == set(range(127, 256))
