"""Ending a process in a pod as a crash does.

The first process of a container ignores what its own namespace sends it, and the kubelet asks
politely first. So a pod that sees the node's processes does it.
"""

from tests.cluster.harness.kube import Document, Kube

_PLACE = "harness"
_PROGRAM = """
import os, pathlib, signal, sys
uid, word = sys.argv[1:]
found = []
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        group = (process / "cgroup").read_text().replace("_", "-")
        line = (process / "cmdline").read_text()
    except OSError:
        continue
    if uid in group and word in line:
        found.append(int(process.name))
for number in found:
    os.kill(number, signal.SIGKILL)
print(len(found))
"""


class Killer:
    """A privileged pod; one for the run."""

    def __init__(self, kube: Kube, image: str) -> None:
        self._kube = kube
        container = {
            "name": "killer",
            "image": image,
            "command": ["sleep", "86400"],
            "securityContext": {"runAsUser": 0, "runAsNonRoot": False, "privileged": True},
        }
        pod: Document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "killer", "namespace": _PLACE},
            "spec": {
                "hostPID": True,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
            },
        }
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _PLACE}}
        kube.apply(space, pod)
        kube("wait", "pod/killer", "-n", _PLACE, "--for=condition=Ready", "--timeout=60s")

    def kill(self, pod: Document, word: str) -> int:
        """Kill the processes of a pod whose command line holds a word; how many there were."""
        uid = pod["metadata"]["uid"]
        output = self._kube.execute("killer", _PLACE, "python", "-c", _PROGRAM, uid, word)
        return int(output)
