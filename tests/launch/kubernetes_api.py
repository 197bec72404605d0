"""A stand-in of a Kubernetes API server on loopback: JobSets, which it validates, and pods.

The real kubectl talks to it. A JobSet that is not as the schemas say is refused, as a server with
strict field validation refuses it.
"""

import contextlib
import pathlib
import re
from urllib.parse import parse_qs, urlparse

import jsonschema
import yaml

from tests.launch import kubernetes, loopback

GROUP, VERSION = "jobset.x-k8s.io", "v1alpha2"
_JOBSETS = {"name": "jobsets", "singularName": "jobset", "kind": "JobSet", "namespaced": True}
_PODS = {"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": True}
_VERBS = {"verbs": ["create", "delete", "get", "list", "watch"]}
_GROUP_VERSION = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
_DISCOVERY = {
    "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {"name": GROUP, "versions": [_GROUP_VERSION], "preferredVersion": _GROUP_VERSION}
        ],
    },
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            _PODS | _VERBS,
            {"name": "pods/log", "singularName": "", "namespaced": True, "kind": "Pod"}
            | {"verbs": ["get"]},
        ],
    },
    f"/apis/{GROUP}/{VERSION}": {
        "kind": "APIResourceList",
        "groupVersion": f"{GROUP}/{VERSION}",
        "resources": [_JOBSETS | _VERBS],
    },
    # By which kubectl learns that fields are validated here.
    "/openapi/v3": {
        "paths": {f"apis/{GROUP}/{VERSION}": {"serverRelativeURL": "/openapi/v3/jobset"}}
    },
    "/openapi/v3/jobset": {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "1"},
        "paths": {
            f"/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/jobsets/{{name}}": {
                "patch": {
                    "parameters": [
                        {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
                    ],
                    "responses": {"200": {"description": "OK"}},
                    "x-kubernetes-group-version-kind": {
                        "group": GROUP,
                        "kind": "JobSet",
                        "version": VERSION,
                    },
                }
            }
        },
    },
}


class KubernetesApi:
    """JobSets by name; `states` gives each one's terminal state when it is asked for."""

    def __init__(self):
        self.jobsets: dict[str, dict] = {}
        self.states: dict[str, list[str]] = {}
        self.created: list[str] = []
        self.log = "mm15_nano_sft 3/10  eta 7s\n"

    def answer(self, method: str, path: str, body: dict) -> tuple[int, dict | str]:
        """Status and content of a request."""
        url = urlparse(path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path in _DISCOVERY:
            return 200, _DISCOVERY[url.path]
        there = re.fullmatch(
            rf"/apis/{GROUP}/{VERSION}/namespaces/(\w+)/jobsets(?:/([-\w]+))?", url.path
        )
        if there:
            return self._jobsets(method, there[2], query, body)
        pods = re.fullmatch(r"/api/v1/namespaces/\w+/pods(?:/([-\w]+))?(/log)?", url.path)
        if pods:
            return (200, self.log) if pods[2] else (200, self._pods(pods[1], query))
        return _status(404, "NotFound", f"nothing at {path}")

    def _jobsets(self, method, name, query, body) -> tuple[int, dict]:
        if method == "POST":
            name = body["metadata"]["name"]
            if name in self.jobsets:
                return _status(409, "AlreadyExists", f"jobsets {name} already exists")
            assert query["fieldValidation"] == "Strict", query
            try:
                kubernetes.validate(body)
            except jsonschema.ValidationError as error:
                return _status(400, "BadRequest", error.message)
            self.jobsets[name] = body
            self.created.append(name)
            return 201, body
        if name is None:
            return 200, _list("JobSetList", f"{GROUP}/{VERSION}", self._selected(query))
        if name not in self.jobsets:
            return _status(404, "NotFound", f'jobsets "{name}" not found')
        if method == "DELETE":
            del self.jobsets[name]
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        left = self.states.get(name, [""])
        state = left.pop(0) if len(left) > 1 else left[0]
        return 200, self.jobsets[name] | {"status": {"terminalState": state}}

    def _selected(self, query) -> list[dict]:
        wanted = dict(term.split("=") for term in query.get("labelSelector", "").split(",") if term)
        return [
            jobset
            for jobset in self.jobsets.values()
            if wanted.items() <= jobset["metadata"]["labels"].items()
        ]

    def _pods(self, name, query) -> dict:
        pods = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"{jobset}-slice-0-0-abcde", "namespace": "default"},
                "spec": {"containers": [{"name": "mm15"}]},
                "status": {"phase": "Running"},
            }
            for jobset in self.jobsets
        ]
        if name:
            return next(pod for pod in pods if pod["metadata"]["name"] == name)
        return _list("PodList", "v1", pods)


def _list(kind: str, version: str, items: list) -> dict:
    return {"kind": kind, "apiVersion": version, "metadata": {}, "items": items}


def _status(code: int, reason: str, message: str) -> tuple[int, dict]:
    content = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return code, content | {"reason": reason, "message": message}


@contextlib.contextmanager
def running(folder: pathlib.Path):
    """Serves a `KubernetesApi`; it, and a configuration of kubectl that leads there."""
    api = KubernetesApi()
    with loopback.serving(api.answer) as address:
        config = _config(address)
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        yield api, folder / "kubeconfig"


def _config(address: str) -> dict:
    named = [{"name": "test", "cluster": {"server": address}}]
    context = [{"name": "test", "context": {"cluster": "test", "user": "nobody"}}]
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "test", "clusters": named}
    config |= {"contexts": context, "users": [{"name": "nobody", "user": {}}]}
    return config
