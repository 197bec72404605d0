"""Manifests held against the schemas of JobSet and Kubernetes; no unknown field passes."""

import json
import pathlib

import jsonschema
import kubernetes_validate

KUBERNETES = "1.33"
_JOBSET = json.loads((pathlib.Path(__file__).parent / "jobset_schema.json").read_text())


def validate(manifest: dict) -> None:
    """Raises jsonschema's ValidationError for a JobSet that a cluster would refuse or misread."""
    jsonschema.validate(manifest, _JOBSET)
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": manifest["metadata"]},
        KUBERNETES,
        strict=True,
    )
    for replicated in manifest["spec"]["replicatedJobs"]:
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, **replicated["template"]}
        kubernetes_validate.validate(job, KUBERNETES, strict=True)
