"""The JobSet of a job on GKE: one or several slices of TPUs, and what follows from an exit code.

Names and rules are JobSet's (jobset.sigs.k8s.io, v1alpha2; rules by failure reason since 0.6),
Kubernetes' (batch/v1, pod failure policy) and GKE's ("Plan TPUs in GKE", "About TPUs in GKE").
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mm15_jax.config.jobs import Job
from mm15_jax.launch import hardware, names

if TYPE_CHECKING:
    from mm15_jax.launch.gke import Gke

CONTAINER = "mm15"
SLICES = "slice"  # the replicated job: one job a slice
OURS = {"app.kubernetes.io/managed-by": "mm15"}
LAUNCH_LABEL = "mm15/launch"
# Bad configuration, damaged data, a loss that is not finite: what would only fail again.
FINAL_CODES = range(1, 127)
CACHE_FOLDER = "/cache"  # shards that were fetched from a bucket
_CACHE, _MEMORY = "cache", "memory"


def jobset(job: Job, launch: str, options: Gke, variables: Mapping[str, str]) -> dict[str, Any]:
    """The manifest.

    An exit code of 1 to 126 fails the JobSet; with any other, as of a preempted, lost or crashed
    process, all of it begins anew, at most `max_restarts` times.

    Args:
        job: What runs on every host.
        launch: Name of the launch that it is of.
        options: Of the cluster.
        variables: Of the environment.
    """
    topology = options.parsed_topology()
    hosts = hardware.hosts(topology)
    labels = {**OURS, LAUNCH_LABEL: launch}
    queue = {"kueue.x-k8s.io/queue-name": options.queue} if options.queue else {}
    pod_spec = _pod_spec(job, options, variables)
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {
            "name": names.job_name(job.name),
            "namespace": options.namespace,
            "labels": labels | queue,
            # The hosts of a slice are those of one node pool.
            "annotations": {
                "alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"
            },
        },
        "spec": {
            "failurePolicy": {
                "maxRestarts": options.max_restarts,
                "rules": [
                    {
                        "name": "final",
                        "action": "FailJobSet",
                        "onJobFailureReasons": ["PodFailurePolicy"],
                    }
                ],
            },
            "replicatedJobs": [
                {
                    "name": SLICES,
                    "replicas": topology.slices,
                    "template": {
                        "spec": {
                            "parallelism": hosts,
                            "completions": hosts,
                            "completionMode": "Indexed",
                            "backoffLimit": 0,  # one lost host ends the slice
                            "podFailurePolicy": {"rules": [_final_rule()]},
                            "template": {"metadata": {"labels": labels}, "spec": pod_spec},
                        }
                    },
                }
            ],
        },
    }


def _final_rule() -> dict[str, Any]:
    codes = {"containerName": CONTAINER, "operator": "In", "values": list(FINAL_CODES)}
    return {"action": "FailJob", "onExitCodes": codes}


def _pod_spec(job: Job, options: Gke, variables: Mapping[str, str]) -> dict[str, Any]:
    chips = hardware.chips_per_host(options.parsed_topology())
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": int(options.grace),
        **_network(options),
        "nodeSelector": _node_selector(options),
        "tolerations": _tolerations(options),
        "containers": [
            {
                "name": CONTAINER,
                "image": options.image or "IMAGE",
                "command": ["bash", "-c", shell(job)],
                "env": [{"name": key, "value": value} for key, value in variables.items()],
                "resources": {
                    "requests": {"google.com/tpu": chips},
                    "limits": {"google.com/tpu": chips},
                },
                "securityContext": _security(options),
                "volumeMounts": [
                    {"name": _MEMORY, "mountPath": "/dev/shm"},
                    {"name": _CACHE, "mountPath": CACHE_FOLDER},
                ],
            }
        ],
        "volumes": [
            {"name": _MEMORY, "emptyDir": {"medium": "Memory"}},
            {"name": _CACHE, "emptyDir": {}},
        ],
    }
    if options.secret:
        references = [{"secretRef": {"name": name}} for name in options.secret]
        spec["containers"][0]["envFrom"] = references
    if options.kubernetes_service_account:
        spec["serviceAccountName"] = options.kubernetes_service_account
    if options.priority_class:
        spec["priorityClassName"] = options.priority_class
    return spec


def _network(options: Gke) -> dict[str, Any]:
    """The nodes' own, where slices talk over it; else the pods'.

    On the nodes' a pod is the node pool's account, whatever Kubernetes account it is given ("About
    Workload Identity Federation for GKE"), and within a slice hosts talk over the chips' links.
    """
    if options.parsed_topology().slices == 1 or options.kubernetes_service_account:
        return {}
    return {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}


def shell(job: Job, *, first: bool = True) -> str:
    """The commands for bash, which passes SIGTERM on to the one that runs.

    Args:
      job: with its commands.
      first: whether this bash is the first process of its container, to which Kubernetes sends
        signals. A single command would take its place, and in a first process a signal that nobody
        handles does nothing: one that has not joined the others yet, or that evaluates, would go on
        until it is killed. So a single command takes the place of another bash alone.
    """
    commands = [shlex.join(("mm15", *command)) for command in job.commands]
    if len(commands) == 1 and not first:
        return f"exec {commands[0]}"
    return _RUN + " &&\n".join(f"run {command}" for command in commands)


# `wait` ends early when a signal comes.
_RUN = """\
run() {
  "$@" & child=$!
  trap 'kill -TERM "$child"' TERM
  wait "$child"; code=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
  return "$code"
}
"""


def _node_selector(options: Gke) -> dict[str, str]:
    topology = options.parsed_topology()
    selector = {
        "cloud.google.com/gke-tpu-accelerator": hardware.MACHINES[topology.chip.name].gke,
        "cloud.google.com/gke-tpu-topology": "x".join(map(str, topology.shape)),
    }
    if options.spot:
        selector["cloud.google.com/gke-spot"] = "true"
    if options.reservation:
        selector["cloud.google.com/reservation-name"] = options.reservation
    return selector


def _tolerations(options: Gke) -> list[dict[str, str]]:
    tolerations = [{"key": "google.com/tpu", "operator": "Exists", "effect": "NoSchedule"}]
    if options.spot:
        taint = {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true"}
        tolerations.append({**taint, "effect": "NoSchedule"})
    return tolerations


def _security(options: Gke) -> dict[str, Any]:
    if options.privileged:
        return {"privileged": True}
    return {
        "allowPrivilegeEscalation": False,
        # TPUs lock memory beyond the usual limit.
        "capabilities": {"drop": ["ALL"], "add": ["SYS_RESOURCE"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
