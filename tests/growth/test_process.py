"""The same bodies at a real gateway: what its event loop works for them, what they make of its
memory, and that another account is served meanwhile."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.growth.test_bodies import (
    HELLO,
    MANY,
    a_chain_of_references,
    message_results,
    references_to_one,
)
from tests.harness.books import check_books
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import GatewayProcess, Simulated, api_key, credit_grant, fleet

#: of the loop, for a body that is as large as may be: it has to arrive, and to leave
LOOP_SECONDS_MAX = 0.4
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [
        fleet(simulated.url),
        api_key("hostile", "mallory"),
        api_key("other", "alice"),
        credit_grant("mallory", "mallory", credits=1000),
        credit_grant("alice", "alice", credits=1_000_000),
    ]
    process = GatewayProcess(tmp_path_factory.mktemp("growth"), documents).start()
    yield process
    assert "met a bug" not in process.log_text()
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


def _with_model(made: dict[str, Any], model: str = "kimi-k2.5") -> bytes:
    return msgspec.json.encode({"model": model, **made})


def _image() -> bytes:
    url = "data:image/png;base64," + "QUJD" * (30 * MIB // 4)
    part = {"type": "image_url", "image_url": {"url": url}}
    return _with_model({"messages": [{"role": "user", "content": [part]}, HELLO]}, "open")


CASES: dict[str, tuple[str, Callable[[], bytes], int]] = {
    "messages": ("chat", lambda: MANY["chat"]["messages"], 413),
    "parts": ("chat", lambda: MANY["chat"]["parts"], 413),
    "guided_json": ("chat", lambda: MANY["chat"]["guided_json"], 413),
    "items": ("responses", lambda: MANY["responses"]["items"], 413),
    "references": ("chat", lambda: _with_model(references_to_one(3900)), 200),
    "chain": ("chat", lambda: _with_model(a_chain_of_references(20_000)), 200),
    "results": ("messages", lambda: _with_model(message_results(12_000)), 200),
    "image": ("chat", _image, 200),
}


def loop_seconds(process: GatewayProcess) -> float:
    """The processor's time of the thread that the event loop runs in, which is the first."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/schedstat").read_text()
    return int(found.split()[0]) / 1e9


def memory(process: GatewayProcess, name: str) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


class Other:
    """Asks small things for another account, one after the other, until it is asked to stop."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._http = httpx.Client(base_url=gateway.url, timeout=30, trust_env=False)
        self._http.headers["x-api-key"] = gateway.key("other")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.statuses: list[int] = []

    def __enter__(self) -> "Other":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._http.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            found = self._http.post(PATHS["chat"], json=body("chat", "Hello"))
            self.statuses.append(found.status_code)


@pytest.mark.parametrize("name", CASES)
def test_nobody_else_waits_for_what_a_hostile_body_makes(
    gateway: GatewayProcess, name: str
) -> None:
    dialect, make, status = CASES[name]
    content = make()
    headers = {"x-api-key": gateway.key("hostile"), "content-type": "application/json"}
    with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as http:
        small = http.post(PATHS["chat"], json=body("chat", "Hello"), headers=headers)
        assert small.status_code == 200
        Path(f"/proc/{gateway.pid}/clear_refs").write_text("5")  # the peak begins again
        before, worked = memory(gateway, "VmRSS"), loop_seconds(gateway)
        answer = http.post(PATHS[dialect], content=content, headers=headers)
        worked = loop_seconds(gateway) - worked
        grown = memory(gateway, "VmHWM") - before
    assert answer.status_code == status, answer.text[:500]
    assert worked < LOOP_SECONDS_MAX
    assert grown < 5 * len(content) + 64 * MIB


def test_others_are_served_while_hostile_bodies_are_worked_on(gateway: GatewayProcess) -> None:
    headers = {"x-api-key": gateway.key("hostile"), "content-type": "application/json"}
    with (
        httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as http,
        Other(gateway) as other,
    ):
        for name in ("references", "chain", "results"):
            dialect, make, _ = CASES[name]
            content = make()
            served = len(other.statuses)
            for _ in range(3):
                http.post(PATHS[dialect], content=content, headers=headers).raise_for_status()
            assert len(other.statuses) > served
    assert set(other.statuses) == {200}
