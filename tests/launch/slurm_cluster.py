"""A Slurm of two nodes on this machine, with two partitions of which one preempts the other."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).parents[2]
_HOST = socket.gethostname().partition(".")[0]
# The first, in the order of names, must resolve: JAX takes it for the coordinator's address.
NODES = (_HOST, f"{_HOST}z")
_CONFIG = """
ClusterName=mm15
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
SlurmctldPort={ports[0]}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_min_interval=500000
ReturnToService=2
MpiDefault=none
KillWait=10
MinJobAge=3600
SlurmdParameters=config_overrides
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={nodes[0]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 State=UNKNOWN
NodeName={nodes[1]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=120 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


class UnavailableError(Exception):
    """Slurm cannot be had here; the message says why."""


@contextlib.contextmanager
def running(root: pathlib.Path):
    """Starts the cluster with its files in `root`; the environment that its commands need.

    Raises UnavailableError where Slurm is not installed and cannot be.
    """
    _install()
    config = _CONFIG.format(root=root, host=_HOST, ports=_free_ports(3), nodes=NODES)
    (root / "slurm.conf").write_text(config.lstrip())
    (root / "state").mkdir()
    root.chmod(0o755)  # munged refuses a socket in a folder that others write to
    environment = {**os.environ, "SLURM_CONF": str(root / "slurm.conf")}
    (root / "munge.key").write_bytes(os.urandom(1024))
    (root / "munge.key").chmod(0o400)
    daemons = []

    def start(*words):
        log = (root / f"{len(daemons)}.out").open("w")
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
        daemons.append(process)

    try:
        munge = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid"}
        munge |= {"log-file": "munge.log", "seed-file": "munge.seed"}
        flags = [f"--{key}={root / name}" for key, name in munge.items()]
        start("munged", "--foreground", "--force", *flags)
        _wait((root / "munge.socket").exists, root)
        start("slurmctld", "-D")
        for node in NODES:
            (root / "spool" / node).mkdir(parents=True)
            start("slurmd", "-D", "-N", node)
        idle = ["sinfo", "--noheader", "--Node", "--partition=low", "--format=%t"]

        def ready():
            done = subprocess.run(
                idle, env=environment, capture_output=True, text=True, check=False
            )
            return done.stdout.split() == ["idle", "idle"]

        _wait(ready, root)
        yield environment
    finally:
        for process in reversed(daemons):
            process.terminate()
        for process in daemons:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _install() -> None:
    if shutil.which("slurmctld") and shutil.which("slurmd") and shutil.which("munged"):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise UnavailableError("Slurm is not installed; scripts/get_slurm.sh installs it, as root")
    script = [ROOT / "scripts" / "get_slurm.sh"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=500, check=False)
    if done.returncode:
        raise UnavailableError(f"scripts/get_slurm.sh failed: {done.stderr.strip()[-300:]}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _wait(ready, root: pathlib.Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            logs = "".join(p.read_text(errors="replace")[-1500:] for p in root.glob("*.out"))
            raise TimeoutError(f"the cluster did not come up in {seconds:g} s: {logs}")
        time.sleep(0.5)
