"""Two hundred of each at once: how long, how many writes, how much memory."""

import re
import time

import pytest

from tests.reconcile.objects import api_key, credit_grant
from tests.reconcile.world import World

_NUMBER = 200
_WRITES = re.compile(
    r'apiserver_request_total\{[^}]*,resource="(?P<resource>\w+)"[^}]*verb="(?P<verb>\w+)"[^}]*\}'
    r" (?P<count>\S+)"
)
_VERBS = ("POST", "PUT", "PATCH", "APPLY", "DELETE")


def _writes(world: World) -> dict[str, float]:
    """Write requests that the API server has had, by resource."""
    found: dict[str, float] = {}
    for match in _WRITES.finditer(world.team.metrics()):
        if match["verb"] in _VERBS:
            found[match["resource"]] = found.get(match["resource"], 0) + float(match["count"])
    return found


def test_two_hundred_keys_and_grants_at_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = world.operator()
    idle, cpu = operator.memory_mib(), operator.cpu_seconds()
    before = _writes(world)
    began = time.monotonic()
    for each in range(_NUMBER):
        world.team.apply(api_key(f"key-{each}", account=f"account-{each % 20}"))
        world.team.apply(credit_grant(f"grant-{each}", account=f"account-{each % 20}"))
    applied = time.monotonic() - began
    world.wait_settled(180)
    settled = time.monotonic() - began
    after = _writes(world)
    made = {name: after[name] - before.get(name, 0) for name in after}
    per_key = (made["apikeys"] - _NUMBER + made["secrets"]) / _NUMBER
    per_grant = (made["creditgrants"] - _NUMBER) / _NUMBER
    with capsys.disabled():
        print(
            f"\n{_NUMBER} keys and {_NUMBER} grants: applied in {applied:.1f} s,"
            f" all settled after {settled:.1f} s; writes for a key {per_key:.1f},"
            f" for a grant {per_grant:.1f}, events {made.get('events', 0):.0f};"
            f" the operator took {operator.cpu_seconds() - cpu:.1f} s of processor time and grew"
            f" from {idle:.0f} to {operator.memory_mib():.0f} MiB"
        )
    assert per_key <= 6
    assert per_grant <= 4
    assert operator.memory_mib() <= 256
    world.check()
    assert world.balance("account-0") == 100 * (_NUMBER // 20)
