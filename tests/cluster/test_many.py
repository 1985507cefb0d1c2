"""Two hundred keys and two hundred grants at once: how long, how much writing, how much memory."""

import re
import time
from collections import Counter
from collections.abc import Callable

from tests.cluster.harness import objects
from tests.cluster.harness.clients import Client
from tests.cluster.harness.installation import Installation
from tests.cluster.harness.kube import Kube, wait_until
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]
_OBJECTS = 200
_READY_SECONDS = 180
_WRITES = {"POST", "PUT", "PATCH", "APPLY", "DELETE"}
_RESOURCES = ("apikeys", "creditgrants", "secrets", "events")
#: for one key and its grant: a finalizer, a Secret, two statuses, two Events and two annotations of
#: what was handled are eight, and the balance a ninth; now and then the sweep and a handler do the
#: same
_WRITES_MAX = 9.5
_MEMORY_MAX_MIB = 256


def test_four_hundred_objects_at_once(
    team: Teams, client: Client, faregate: Installation, kube: Kube
) -> None:
    place = team("many")
    names = [f"key-{number:03}" for number in range(_OBJECTS)]
    kube.wait_calm()
    before = _writes(kube)
    began = time.monotonic()
    place.apply(
        *(objects.api_key(name, name) for name in names),
        *(objects.credit_grant(name, name, credits=3) for name in names),
        seconds=_READY_SECONDS,
    )
    applied = time.monotonic() - began
    wait_until(
        lambda: place.ready("apikey") + place.ready("creditgrant") == 2 * _OBJECTS,
        "all to be Ready", _READY_SECONDS, pause=1,
    )  # fmt: skip
    ready = time.monotonic() - began
    time.sleep(5)  # what would be written twice is written by now
    made = _writes(kube) - before
    made["apikeys POST"] -= _OBJECTS  # these are ours
    made["creditgrants POST"] -= _OBJECTS
    memory, highest = _memory_mib(faregate)
    each = made.total() / _OBJECTS
    print(
        f"\n{_OBJECTS} ApiKeys and {_OBJECTS} CreditGrants: applied in {applied:.0f} s, "
        f"all Ready after {ready:.0f} s\n"
        f"writes for a key and its grant: {each:.2f} ({_shown(made)})\n"
        f"memory of the operator: {memory} MiB, {highest} MiB at most"
    )
    assert each <= _WRITES_MAX
    assert highest < _MEMORY_MAX_MIB
    keys = place.keys()
    assert sorted(keys) == names
    assert {name for name, key in keys.items() if client.balance(key) != 3} == set()
    faregate.check()


def test_a_namespace_of_two_hundred_keys_goes_in_one_piece(
    team: Teams, client: Client, faregate: Installation
) -> None:
    """Deleting it hangs on nothing, and none of its keys works any more."""
    place = team("many")
    names = [f"key-{number:03}" for number in range(_OBJECTS)]
    place.apply(*(objects.api_key(name, name) for name in names), seconds=_READY_SECONDS)
    wait_until(lambda: place.ready("apikey") == _OBJECTS, "all to be Ready", _READY_SECONDS)
    keys = list(place.keys().values())
    began = time.monotonic()
    place.kube.delete("namespace", place.name)
    print(f"\na namespace of {_OBJECTS} keys was gone after {time.monotonic() - began:.0f} s")
    faregate.forget(*keys)
    assert [client.status(key) for key in keys] == [401] * len(keys)
    faregate.check()


def _writes(kube: Kube) -> Counter[str]:
    """Writes that the API server has counted, by resource and verb."""
    found: Counter[str] = Counter()
    for line in kube("get", "--raw", "/metrics").splitlines():
        if not line.startswith("apiserver_request_total{"):
            continue
        labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
        is_ours = labels["resource"] in _RESOURCES and labels["verb"] in _WRITES
        if is_ours and labels["code"].startswith("2"):
            found[f"{labels['resource']} {labels['verb']}"] += int(float(line.split()[-1]))
    return found


def _shown(made: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(made.items()) if count)


def _memory_mib(faregate: Installation) -> tuple[int, int]:
    """The memory that the operator's process holds now, and has held at most."""
    pod = faregate.operator_pod()["metadata"]["name"]
    status = faregate.kube.execute(pod, faregate.namespace, "cat", "/proc/1/status")
    found = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", status))
    return int(found["VmRSS"]) // 1024, int(found["VmHWM"]) // 1024
