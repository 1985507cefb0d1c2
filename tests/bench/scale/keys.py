"""Thousands of ApiKeys at once on a real API server: time, writes, memory, and a stranger's wait.

One operator serves the whole cluster. Its own figures are read from its metrics and from /proc; the
writes are counted by the API server.
"""

import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.bench.processes import cpu_seconds
from tests.harness.apiserver import ApiServer
from tests.harness.plain import get
from tests.reconcile.objects import VERSION, Objects, api_key, condition
from tests.reconcile.world import Operator, World

_CLIENTS = 4
_PLACES = 5
_POLL_SECONDS = 0.5
_SWEEP_SECONDS = 300
_WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
_REQUEST = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class KeysFigures:
    """The figures of one number of keys; `writes` and `own_writes` are per key: all that the
    operator wrote for it, and those to the ApiKey itself."""

    keys: int
    applied_seconds: float = 0.0
    ready_seconds: float = 0.0
    stranger_seconds: float = 0.0
    writes: float = 0.0
    own_writes: float = 0.0
    cpu_ms: float = 0.0
    peak_mib: float = 0.0
    restart_seconds: float = 0.0
    restart_peak_mib: float = 0.0
    sweep_ms: float = 0.0


def measure_keys(server: ApiServer, world: World, keys: int) -> KeysFigures:
    """Apply so many keys at once, and a stranger's when half of them are Ready."""
    figures = KeysFigures(keys)
    operator = world.operator(sweep_seconds=str(_SWEEP_SECONDS))
    before, cpu = count_writes(server), cpu_seconds(operator.pid)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as thread:
        applied = thread.submit(_apply, server, world, keys)
        wait(lambda: ready(operator) >= keys // 2, 600)
        figures.stranger_seconds = _wait_of_a_stranger(world)
        figures.applied_seconds = applied.result() - began
    wait(lambda: ready(operator) >= keys + 1, 600)
    figures.ready_seconds = time.monotonic() - began
    figures.cpu_ms = (cpu_seconds(operator.pid) - cpu) * 1000 / keys
    time.sleep(5)  # what would be written twice is written by now
    made = count_writes(server) - before
    made["apikeys POST"] -= keys + 1
    print(dict(made), flush=True)
    figures.writes = made.total() / keys
    figures.own_writes = sum(n for name, n in made.items() if name.startswith("apikeys")) / keys
    figures.peak_mib = peak_mib(operator)
    operator.kill()
    _measure_restart(world, figures)
    return figures


def _measure_restart(world: World, figures: KeysFigures) -> None:
    began = time.monotonic()
    operator = world.operator(sweep_seconds="5")
    figures.restart_seconds = time.monotonic() - began
    first = sweeps_at(operator)
    wait(lambda: sweeps_at(operator) > first, 120)
    cpu, first, sweeps = cpu_seconds(operator.pid), sweeps_at(operator), 0
    for _ in range(3):
        last = sweeps_at(operator)
        wait(lambda last=last: sweeps_at(operator) > last, 120)  # type: ignore[misc]
        sweeps += 1
    figures.sweep_ms = (cpu_seconds(operator.pid) - cpu) * 1000 / sweeps / figures.keys
    figures.restart_peak_mib = peak_mib(operator)
    operator.kill()


def _apply(server: ApiServer, world: World, keys: int) -> float:
    """Make the keys in some namespaces; the moment at which all are there."""
    places = [f"bulk-{keys}-{number}" for number in range(_PLACES)]
    for place in places:
        Objects(server, place).create_namespace()

    def make(part: int) -> None:
        with server.client() as http:
            for number in range(part, keys, _CLIENTS):
                body = api_key(f"key-{number}", f"account-{number}")
                path = f"/apis/{VERSION}/namespaces/{places[number % _PLACES]}/apikeys"
                answer = http.post(path, json=body, timeout=120)
                assert answer.is_success, answer.text

    with ThreadPoolExecutor(_CLIENTS) as threads:
        list(threads.map(make, range(_CLIENTS)))
    return time.monotonic()


def _wait_of_a_stranger(world: World) -> float:
    began = time.monotonic()
    world.team.apply(api_key("stranger", "stranger"))

    def is_ready() -> bool:
        found = world.team.get("ApiKey", "stranger")
        return found is not None and condition(found, "Ready").get("status") == "True"

    wait(is_ready, 600)
    return time.monotonic() - began


def count_writes(server: ApiServer) -> Counter[str]:
    """The API server's count of writes to what belongs to keys, by resource and verb."""
    with server.client() as http:
        text = http.get("/metrics", timeout=120).text
    counted: Counter[str] = Counter()
    for labels, value in _REQUEST.findall(text):
        found = dict(_LABEL.findall(labels))
        if found["verb"] in _WRITES and found["resource"] in ("apikeys", "secrets", "events"):
            what = "/".join(filter(None, (found["resource"], found["subresource"])))
            counted[f"{what} {found['verb']}"] += int(float(value))
    return counted


def ready(operator: Operator) -> int:
    """The ApiKeys that are Ready, as the operator's watch has brought them."""
    return int(metric(operator, 'faregate_objects{kind="ApiKey",reason="Issued"}'))


def sweeps_at(operator: Operator) -> float:
    return metric(operator, "faregate_sweep_timestamp_seconds")


def metric(operator: Operator, series: str) -> float:
    """The value of one of the operator's series; 0 where it is not there, or nobody answers."""
    try:
        lines = get(f"http://127.0.0.1:{operator.port}/metrics").text.splitlines()
    except httpx.TransportError:
        return 0.0
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(series)), 0.0)


def peak_mib(operator: Operator) -> float:
    status = Path(f"/proc/{operator.pid}/status").read_text(encoding="ascii")
    found: Any = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) / 1024


def wait(condition: Callable[[], bool], seconds: float) -> None:
    """Poll until it is true. Raises `TimeoutError`."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(_POLL_SECONDS)
