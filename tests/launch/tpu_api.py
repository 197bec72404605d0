"""A stand-in of Google's TPU API on loopback, and of SSH to the machines: folders on this machine.

The real gcloud talks to it. A queued resource goes through the states that a test lists, one each
time it is asked for; its hosts are folders, in which a stand-in of ssh runs the commands.
"""

import contextlib
import os
import pathlib
import re
import shutil
import stat
from urllib.parse import parse_qs, urlparse

from tests.launch import loopback

PROJECT, ZONE = "test-project", "us-east5-a"
_SSH = """#!/usr/bin/env python3
# ssh [options] USER@ADDRESS [-- COMMAND ...]: runs the command in the host's folder.
import os, subprocess, sys
words = sys.argv[1:]
place = next(i for i, word in enumerate(words) if "@127.0.0." in word)
home = os.path.join(os.environ["MM15_TEST_HOSTS"], words[place].split("@")[1])
if os.path.exists(os.path.join(home, "down")):
    sys.exit(1)
command = words[place + 1:]
command = command[1:] if command[:1] == ["--"] else command
path = os.environ["MM15_TEST_PROGRAMS"] + ":" + os.environ["PATH"]
environment = {**os.environ, "HOME": home, "PATH": path}
sys.exit(subprocess.run(["bash", "-c", " ".join(command)], cwd=home, env=environment).returncode)
"""
_SCP = """#!/usr/bin/env python3
# scp [options] FILE ... USER@ADDRESS:[PATH]
import os, shutil, sys
*words, target = sys.argv[1:]
home = os.path.join(os.environ["MM15_TEST_HOSTS"], target.split("@")[1].split(":")[0])
for word in words:
    if os.path.isfile(word) and word.endswith(".tar.gz"):
        shutil.copy(word, home)
"""


class TpuApi:
    """Queued resources and their hosts.

    Attributes:
        requests: Method, path and body of every request, in their order.
        states: What a resource that is made goes through; the last one stays.
        hosts: Of each slice.
        prepare: Called with the folder of each host that is made.
    """

    def __init__(self, folder: pathlib.Path):
        self.requests: list[tuple[str, str, dict]] = []
        self.states = ["WAITING_FOR_RESOURCES", "ACTIVE"]
        self.hosts = 1
        self.prepare = lambda home: home.mkdir()
        self.resources: dict[str, dict] = {}
        self.host_folder = folder / "hosts"
        self.host_folder.mkdir()
        self._programs = folder / "programs"
        self._programs.mkdir()
        for name, text in (("ssh", _SSH), ("scp", _SCP)):
            path = self._programs / name
            path.write_text(text)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self._home = folder / "home"
        self._home.mkdir()

    def environment(self, address: str) -> dict[str, str]:
        """For gcloud: endpoints, no credentials, a configuration and SSH keys of its own."""
        return {
            "HOME": str(self._home),
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "MM15_TEST_HOSTS": str(self.host_folder),
            "CLOUDSDK_CONFIG": str(self._home / "gcloud"),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_TPU": f"{address}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{address}/compute/v1/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_COMPUTE_ZONE": ZONE,
        }

    def made(self) -> list[dict]:
        """What was asked for, in its order."""
        return [b for m, path, b in self.requests if m == "POST" and "queuedResourceId" in path]

    def deleted(self) -> list[str]:
        """Paths of what was given back."""
        return [path for method, path, _ in self.requests if method == "DELETE"]

    def answer(self, method: str, path: str, body: dict) -> tuple[int, dict]:
        """Status and content of a request."""
        url = urlparse(path)
        self.requests.append((method, path, body))
        parent = f"projects/{PROJECT}/locations/{ZONE}"
        if url.path.startswith("/compute/v1/projects/"):
            return 200, {"name": PROJECT, "commonInstanceMetadata": {"kind": "", "items": []}}
        resource = re.fullmatch(rf"/v2/{parent}/queuedResources(?:/([^/:]+))?", url.path)
        if resource:
            return self._queued(method, resource[1], url, body)
        node = re.fullmatch(rf"/v2/{parent}/nodes/([^/:]+)(:\w+)?", url.path)
        if method == "PATCH" and node:  # an SSH key
            done = {"name": f"{parent}/nodes/{node[1]}"}
            return 200, {"name": f"{parent}/operations/{node[1]}", "done": True, "response": done}
        if node:
            return 200, self._guest_attributes(body) if node[2] else self._node(node[1])
        if "/operations/" in url.path:
            done = {"name": url.path.removeprefix("/v2/").replace("operations", "nodes")}
            return 200, {"name": url.path.removeprefix("/v2/"), "done": True, "response": done}
        return 404, {"error": {"code": 404, "message": f"nothing at {path}", "status": "NOT_FOUND"}}

    def _queued(self, method, name, url, body) -> tuple[int, dict]:
        operation = f"projects/{PROJECT}/locations/{ZONE}/operations/one"
        if method == "POST":
            name = parse_qs(url.query)["queuedResourceId"][0]
            self.resources[name] = {**body, "left": list(self.states), "asked": 0}
            count = body["tpu"]["nodeSpec"][0].get("multisliceParams", {}).get("nodeCount", 1)
            for i in range(int(count) * self.hosts):
                home = self.host_folder / f"127.0.0.{i + 2}"
                shutil.rmtree(home, ignore_errors=True)
                self.prepare(home)
            return 200, {"name": operation, "done": True, "response": {}}
        if method == "DELETE":
            self.resources.pop(name, None)
            return 200, {"name": operation, "done": True, "response": {}}
        if name is None:
            found = [self._described(name) for name in self.resources]
            return 200, {"queuedResources": found}
        if name not in self.resources:
            message = f"{name} was not found"
            return 404, {"error": {"code": 404, "message": message, "status": "NOT_FOUND"}}
        left = self.resources[name]["left"]
        if len(left) > 1:
            left.pop(0)
        return 200, self._described(name)

    def _described(self, name: str) -> dict:
        resource = self.resources[name]
        (spec,) = resource["tpu"]["nodeSpec"]
        nodes = [spec | {"nodeId": node} for node in self._nodes(name)]
        full = f"projects/{PROJECT}/locations/{ZONE}/queuedResources/{name}"
        return {"name": full, "state": {"state": resource["left"][0]}, "tpu": {"nodeSpec": nodes}}

    def _nodes(self, name: str) -> list[str]:
        (spec,) = self.resources[name]["tpu"]["nodeSpec"]
        several = spec.get("multisliceParams")
        if not several:
            return [spec["nodeId"]]
        return [f"{several['nodeIdPrefix']}-{i}" for i in range(int(several["nodeCount"]))]

    def _guest_attributes(self, body: dict) -> dict:
        """Of all hosts of a slice, or of the one that is asked about; none has published a key."""
        count = 1 if body.get("workerIds") else self.hosts
        return {"guestAttributes": [{"queryValue": {"items": []}}] * count}

    def _node(self, node: str) -> dict:
        nodes = [n for name in self.resources for n in self._nodes(name)]
        first = nodes.index(node) * self.hosts + 2
        addresses = [f"127.0.0.{first + i}" for i in range(self.hosts)]
        endpoints = [{"ipAddress": a, "accessConfig": {"externalIp": a}} for a in addresses]
        return {
            "name": f"projects/{PROJECT}/locations/{ZONE}/nodes/{node}",
            "state": "READY",
            "health": "HEALTHY",
            "apiVersion": "V2",
            "id": "1",
            "networkEndpoints": endpoints,
            "metadata": {"enable-oslogin": "FALSE"},
        }


@contextlib.contextmanager
def running(folder: pathlib.Path):
    """Serves a `TpuApi`; it, and the environment that leads gcloud to it."""
    api = TpuApi(folder)
    with loopback.serving(api.answer) as address:
        yield api, api.environment(address)
