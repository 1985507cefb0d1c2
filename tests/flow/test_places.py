"""Upstreams with few places: who waits, who is refused, and that nobody pays for waiting."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.store.database import Database
from tests.flow.test_outcomes import PRICE
from tests.harness.books import Books, check_books
from tests.harness.dialects import DIALECTS, PATHS, body, ended_cleanly
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    wait_until,
)
from tests.harness.plain import NO_TLS
from tests.harness.raw import RawConnection, request_head

PLACES = 4
GRANTED = 10_000


def scarce(simulated: Simulated, *, fallback: str | None = None, **more: Any) -> dict[str, Any]:
    """A fleet whose one upstream has few places, and perhaps another for what fails there."""
    upstream = {"name": "scarce", "url": simulated.url, "concurrentRequests": PLACES, **more}
    model: dict[str, Any] = {"id": "kimi-k2.5", "upstream": "scarce", "upstreamModel": "kimi-k2.6"}
    upstreams = [upstream]
    if fallback is not None:
        upstreams.append({"name": "second", "url": fallback})
        model["fallbacks"] = [{"upstream": "second"}]
    return fleet("", upstreams=upstreams, models=[model], drain={"seconds": 20})


@contextmanager
def serving(folder: Path, database: Database, document: dict[str, Any]) -> Iterator[GatewayProcess]:
    documents = [document]
    for account in ("busy", "modest"):
        documents += [api_key(account, account), credit_grant(account, account, credits=GRANTED)]
    process = GatewayProcess(folder, documents, database_url=database.url).start()
    try:
        yield process
        if process.is_running:
            assert process.stop() == 0, process.log_text()
    finally:
        process.kill()
    check_books(process.database_url)


@contextmanager
def watched(simulated: Simulated) -> Iterator[list[int]]:
    """The number of requests under way at the upstream, looked at all the time."""
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.append(simulated.stats()["open"])

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    over.set()
    thread.join()


def client_of(process: GatewayProcess, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=process.url, headers={"x-api-key": key}, timeout=60, trust_env=False, verify=NO_TLS
    )


def ask(process: GatewayProcess, key: str, text: str, turn: int = 0) -> tuple[int, float]:
    """A request in one of the dialects, streamed or not: its status, and when it was over."""
    dialect, stream = DIALECTS[turn % 3], turn % 2 == 0
    with client_of(process, key) as http:
        response = http.post(PATHS[dialect], json={**body(dialect, text), "stream": stream})
    if response.status_code == 200:
        assert not stream or ended_cleanly(dialect, response.text)
    else:
        assert int(response.headers["retry-after"]) >= 1
        assert response.headers["x-credits-charged"] == "0"
    return response.status_code, time.monotonic()


def hold_all_places(
    pool: ThreadPoolExecutor, process: GatewayProcess, key: str, simulated: Simulated
) -> list[Future[tuple[int, float]]]:
    """Requests that take every place until the upstream is asked to release them."""
    held = [pool.submit(ask, process, key, "!silence hold") for _ in range(PLACES)]
    simulated.wait_held(PLACES)
    return held


def waiting(process: GatewayProcess, upstream: str = "scarce") -> int:
    line = f'faregate_upstream_waiting_requests{{upstream="{upstream}"}} '
    return int(float(process.metrics().split(line)[1].split("\n")[0]))


def test_a_hundred_clients_on_four_places(
    database: Database, simulated: Simulated, tmp_path: Path
) -> None:
    simulated.reset()
    with serving(tmp_path, database, scarce(simulated, queueSeconds=60)) as process:
        key = process.key("busy")
        with watched(simulated) as under_way, ThreadPoolExecutor(100) as pool:
            held = hold_all_places(pool, process, key, simulated)
            asked = [
                pool.submit(ask, process, key, "!chunks 3 10", turn) for turn in range(100 - PLACES)
            ]
            wait_until(lambda: waiting(process) == 100 - PLACES, "the others to wait")
            simulated.release()
            assert [each.result()[0] for each in [*held, *asked]] == [200] * 100
        assert max(under_way) == PLACES
        assert process.balance(key) == GRANTED - 100 * PRICE
        assert waiting(process) == 0


def test_who_gets_no_place_in_time_is_refused_and_pays_nothing(
    database: Database, simulated: Simulated, tmp_path: Path
) -> None:
    with serving(tmp_path, database, scarce(simulated, queueSeconds=0.3)) as process:
        key = process.key("busy")
        with ThreadPoolExecutor(40) as pool:
            held = hold_all_places(pool, process, key, simulated)
            done = list(pool.map(lambda turn: ask(process, key, "Hi", turn), range(36)))
            simulated.release()
            assert [each.result()[0] for each in held] == [200] * PLACES
        assert Counter(status for status, _ in done) == {503: 24, 529: 12}
        assert process.balance(key) == GRANTED - PLACES * PRICE


def test_accounts_take_turns(database: Database, simulated: Simulated, tmp_path: Path) -> None:
    """One account has asked for much before another asks for a little."""
    with serving(tmp_path, database, scarce(simulated, queueSeconds=60)) as process:
        busy, modest = process.key("busy"), process.key("modest")
        with ThreadPoolExecutor(40) as pool:
            held = hold_all_places(pool, process, busy, simulated)
            many = [pool.submit(ask, process, busy, "!chunks 5 40", n) for n in range(24)]
            wait_until(lambda: waiting(process) == 24, "all to wait")
            few = [pool.submit(ask, process, modest, "!chunks 5 40", n) for n in range(3)]
            wait_until(lambda: waiting(process) == 27, "the others to wait, too")
            simulated.release()
            assert [each.result()[0] for each in held] == [200] * PLACES
            ends = sorted(end for _, end in (each.result() for each in many))
            assert max(each.result()[1] for each in few) < ends[len(ends) // 2]


def test_a_client_that_leaves_the_queue_pays_nothing_and_takes_no_place(
    database: Database, simulated: Simulated, tmp_path: Path
) -> None:
    with serving(tmp_path, database, scarce(simulated, queueSeconds=60)) as process:
        key = process.key("busy")
        with ThreadPoolExecutor(PLACES) as pool:
            held = hold_all_places(pool, process, key, simulated)
            received = simulated.stats()["received"]
            for dialect in DIALECTS:
                asked = json.dumps(body(dialect, "Hi")).encode()
                head = request_head(
                    "POST", PATHS[dialect], x_api_key=key, content_length=len(asked)
                )
                with RawConnection(process.port) as connection:
                    connection.send(head + asked)
                    wait_until(lambda: waiting(process) == 1, "it to wait")
                wait_until(lambda: waiting(process) == 0, "the queue to be empty")
            simulated.release()
            assert [each.result()[0] for each in held] == [200] * PLACES
        assert simulated.stats()["received"] == received
        assert process.balance(key) == GRANTED - PLACES * PRICE
        assert ask(process, key, "Hi")[0] == 200


def test_who_waits_when_the_gateway_is_asked_to_stop_is_still_served(
    database: Database, simulated: Simulated, tmp_path: Path
) -> None:
    with serving(tmp_path, database, scarce(simulated, queueSeconds=20)) as process:
        key = process.key("busy")
        with ThreadPoolExecutor(12) as pool:
            held = hold_all_places(pool, process, key, simulated)
            asked = [pool.submit(ask, process, key, "Hi", n) for n in range(12 - PLACES)]
            wait_until(lambda: waiting(process) == 12 - PLACES, "the others to wait")
            process.send(signal.SIGTERM)
            wait_until(lambda: process.readiness() == 503, "the gateway to drain")
            simulated.release()
            assert [each.result()[0] for each in [*held, *asked]] == [200] * 12
        assert process.wait() == 0
    assert Books(database).balance("busy") == GRANTED - 12 * PRICE


def test_an_upstream_killed_under_load_is_stood_in_for(
    database: Database, simulated: Simulated, tmp_path: Path
) -> None:
    """An answer that had begun to arrive is broken and refunded; everybody else has an answer."""
    mortal = Simulated(tmp_path).start()
    with serving(tmp_path, database, scarce(mortal, fallback=simulated.url)) as process:
        key = process.key("busy")
        statuses: Counter[int] = Counter()
        clean = 0
        lock = threading.Lock()
        over = threading.Event()

        def load(number: int) -> None:
            nonlocal clean
            with client_of(process, key) as http:
                while not over.is_set():
                    asked = {**body("chat", "!chunks 4 15"), "stream": number % 2 == 0}
                    response = http.post(PATHS["chat"], json=asked)
                    whole = response.status_code == 200 and (
                        not asked["stream"] or ended_cleanly("chat", response.text)
                    )
                    with lock:
                        statuses[response.status_code] += 1
                        clean += whole

        with ThreadPoolExecutor(8) as pool:
            for number in range(8):
                pool.submit(load, number)
            wait_until(lambda: clean > 20, "a load")
            mortal.kill()
            before = clean
            wait_until(lambda: clean > before + 50, "the other upstream to stand in")
            over.set()
        broken = statuses.total() - clean
        assert broken <= PLACES
        assert set(statuses) == {200}
        assert process.balance(key) == GRANTED - clean * PRICE
        assert 'circuit_open{upstream="scarce"} 1' in process.metrics()
