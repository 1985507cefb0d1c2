"""One account against another: what one sends or holds keeps nobody else from being served."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from gateway.core.errors import RequestTooLarge
from gateway.core.shares import Shares, largest_share
from gateway.http.cycle import Cycle
from gateway.http.entrance import AT_ONCE
from gateway.pipeline.connection import CYCLE, NAMED, Connection
from tests.harness.dialects import DIALECTS, PATHS, body
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
    wait_until,
)
from tests.harness.raw import RawConnection, chunk, request_head, resident_bytes

BODY_BYTES = 4 * 2**20
BUFFERED_BYTES = 32 * 2**20
FREE = "/api/openai/v1/models"
ACCOUNT = "/api/v1/account"
COUNT = "/api/anthropic/v1/messages/count_tokens"

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    limits = {
        "bodyBytes": BODY_BYTES,
        "bufferedBytes": BUFFERED_BYTES,
        "bodySilenceSeconds": 1,
        "bodySeconds": 3,
    }
    document = fleet(simulated.url, limits=limits)
    document["spec"]["models"].append({"id": "vectors", "upstream": "main", "embeddings": True})
    others = [f"other-{number}" for number in range(8)]
    main = document["spec"]["upstreams"][0]
    document["spec"]["upstreams"] += [{**main, "name": name} for name in others]
    fallbacks = [{"upstream": name} for name in others]
    document["spec"]["models"].append({"id": "many", "upstream": "main", "fallbacks": fallbacks})
    documents = [
        document,
        api_key("alice", "alice"),
        api_key("bob", "bob"),
        *(api_key(f"two-a-minute-{name}", limits={"requestsPerMinute": 2}) for name in DIALECTS),
        api_key("one-at-a-time", limits={"concurrentRequests": 1}),
        credit_grant("alice", "alice"),
        credit_grant("bob", "bob"),
    ]
    with running_gateway(tmp_path_factory.mktemp("fairness"), documents) as process:
        yield process


def test_half_sent_bodies_of_one_account_leave_room_for_the_others(
    gateway: GatewayProcess,
) -> None:
    """Eight bodies that fill all the memory except for a last byte each."""
    almost = BODY_BYTES - 1
    with ExitStack() as stack:
        hungry = [stack.enter_context(RawConnection(gateway.port)) for _ in range(8)]
        for connection in hungry:
            head = request_head(
                "POST", PATHS["chat"], x_api_key=gateway.key("alice"), content_length=BODY_BYTES
            )
            connection.send(head + b" " * almost)
        large = {**body("chat", "Hi"), "padding": "x" * (BODY_BYTES * 9 // 10)}

        def ask() -> httpx.Response:
            return gateway.http.post(
                PATHS["chat"], json=large, headers={"x-api-key": gateway.key("alice")}
            )

        wait_until(lambda: ask().status_code == 429, "the account's share of bodies")
        assert ask().headers["retry-after"] == "1"
        for dialect in DIALECTS:
            served = gateway.http.post(
                PATHS[dialect],
                json={**body(dialect, "Hi"), "padding": "x" * 20_000},
                headers={"x-api-key": gateway.key("bob")},
            )
            assert served.status_code == 200, served.text


def test_an_account_has_its_share_again_when_its_bodies_are_answered(
    gateway: GatewayProcess,
) -> None:
    assert largest_share(BUFFERED_BYTES) > 2 * BODY_BYTES
    large = json.dumps({**body("chat", "Hi"), "padding": "x" * (BODY_BYTES - 200)}).encode()
    for _ in range(6):
        served = gateway.http.post(
            PATHS["chat"], content=large, headers={"x-api-key": gateway.key("alice")}
        )
        assert served.status_code == 200


def test_vectors_that_nobody_reads_are_within_their_account_s_share(
    gateway: GatewayProcess,
) -> None:
    """A hundred bytes ask for megabytes of them."""
    path, asked = "/api/openai/v1/embeddings", {"model": "vectors", "dimensions": 4096}
    content = json.dumps({**asked, "input": ["a"] * 30}).encode()
    alice = gateway.key("alice")
    head = request_head("POST", path, x_api_key=alice, content_length=len(content))

    def ask(name: str, number: int = 30) -> httpx.Response:
        headers = {"x-api-key": gateway.key(name)}
        return gateway.http.post(path, json={**asked, "input": ["a"] * number}, headers=headers)

    with ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(RawConnection(gateway.port, receive_bytes=65536))
            connection.send(head + content)
            assert connection.receive_line() == "HTTP/1.1 200 OK"
        refused = ask("alice")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["error"]["details"]["limit"] == "buffered_bytes"
        assert refused.headers["x-credits-charged"] == "0"
        assert ask("alice", 1).status_code == 200, "a small one fits"
        assert ask("bob").status_code == 200
    wait_until(lambda: ask("alice").status_code == 200, "the share of who has left")


@every_dialect
def test_a_stream_keeps_no_body_that_counts_no_more(
    gateway: GatewayProcess, simulated: Simulated, dialect: str
) -> None:
    """Each body is given back as soon as the upstream has it, and there may be any number."""
    padding = {"role": "user", "content": "x" * (BODY_BYTES * 9 // 10)}
    asked = [padding, {"role": "user", "content": "!stall 1 hold"}]
    members: dict[str, Any] = {"input" if dialect == "responses" else "messages": asked}
    content = json.dumps({**body(dialect, ""), **members, "stream": True, "model": "open"}).encode()
    with ExitStack() as stack:
        stack.callback(simulated.release)
        before = 0
        for number in range(14):
            assert begin_stream(stack, gateway, dialect, content)[0] == 200
            before = before if number > 1 else resident_bytes(gateway.pid)
        assert resident_bytes(gateway.pid) - before < 5 * BODY_BYTES


#: repeated by the answer; and names that were cut, which may come back in it
KEPT: dict[str, dict[str, Any]] = {
    "responses": {"instructions": "x" * 2**20},
    "chat": {
        "tools": [
            {"type": "function", "function": {"name": f"{number}." + "x" * 10_000}}
            for number in range(240)
        ]
    },
}


@pytest.mark.parametrize("dialect", KEPT)
def test_what_is_kept_of_a_request_for_its_answer_counts_until_its_end(
    gateway: GatewayProcess, simulated: Simulated, dialect: str
) -> None:
    asked = body(dialect, "!stall 1 hold", model="open", stream=True)
    content = json.dumps({**asked, **KEPT[dialect]}).encode()
    headers = {"x-api-key": gateway.key("alice")}
    with ExitStack() as stack:
        stack.callback(simulated.release)
        begun = [begin_stream(stack, gateway, dialect, content) for _ in range(3)]
        assert [status for status, *_ in begun] == [200, 200, 429]
        refused = begun[-1][1].receive_bytes(begun[-1][2])
        assert json.loads(refused)["error"]["details"]["limit"] == "buffered_bytes"
        small = gateway.http.post(PATHS[dialect], json=body(dialect, "Hi"), headers=headers)
        assert small.status_code == 200, "of which little is kept"


def test_a_body_is_kept_for_no_more_upstreams_than_there_is_room(
    gateway: GatewayProcess, simulated: Simulated
) -> None:
    """Each fallback has a body of its own."""
    simulated.reset()
    asked = body("chat", "!error 500", model="many")
    large = {"role": "system", "content": "x" * (BODY_BYTES * 9 // 10)}
    for messages, number in ((asked["messages"], 9), ([large, *asked["messages"]], 7)):
        failed = simulated.stats()["failed"]
        content = {**asked, "messages": messages}
        answer = gateway.http.post(
            PATHS["chat"], json=content, headers={"x-api-key": gateway.key("alice")}
        )
        assert answer.status_code == 502, answer.text
        assert simulated.stats()["failed"] - failed == number


def begin_stream(
    stack: ExitStack, gateway: GatewayProcess, dialect: str, content: bytes
) -> tuple[int, RawConnection, int]:
    """A stream of alice's that goes on until the upstream is released: its status, and the length
    of what is no stream."""
    connection = stack.enter_context(RawConnection(gateway.port, receive_bytes=65536))
    length, key = len(content), gateway.key("alice")
    connection.send(request_head("POST", PATHS[dialect], x_api_key=key, content_length=length))
    connection.send(content)
    status, headers = connection.receive_head()
    return status, connection, int(headers.get("content-length", 0))


def test_a_body_that_stops_arriving_is_not_waited_for(gateway: GatewayProcess) -> None:
    """A body that is half here counts against the memory of all bodies."""
    key = gateway.key("alice")
    with RawConnection(gateway.port) as connection:
        head = request_head("POST", PATHS["chat"], x_api_key=key, content_length=1000)
        connection.send(head + b'{"model":')
        answer = connection.receive()
    assert answer is not None
    assert answer.status == 400


def test_a_body_that_trickles_is_not_waited_for(gateway: GatewayProcess) -> None:
    """A byte now and then is no silence, but it is less than a body may arrive by."""
    key = gateway.key("alice")
    with RawConnection(gateway.port) as connection:
        connection.send(request_head("POST", PATHS["chat"], x_api_key=key, content_length=9000))
        trickled = 0
        while trickled < 100 and not connection.has_answer(0.1):
            connection.send(b" ")
            trickled += 1
        answer = connection.receive()
    assert answer is not None
    assert answer.status == 400
    assert "less than 1024 bytes of the body arrived within 1 s" in answer.body.decode()


def test_a_body_has_a_time_in_which_all_of_it_must_be_here(gateway: GatewayProcess) -> None:
    key = gateway.key("alice")
    with RawConnection(gateway.port) as connection:
        connection.send(
            request_head("POST", PATHS["chat"], x_api_key=key, transfer_encoding="chunked")
        )
        sent = 0
        while sent < BODY_BYTES and not connection.has_answer(0.1):
            connection.send(chunk(b" " * 500))
            sent += 500
        answer = connection.receive()
    assert answer is not None
    assert answer.status == 400
    assert "the body did not arrive within 3 s" in answer.body.decode()


@every_dialect
def test_what_is_refused_counts_among_the_requests_of_a_minute(
    gateway: GatewayProcess, dialect: str
) -> None:
    """A key's limit is counted before a byte of its body is read."""
    headers = {"x-api-key": gateway.key(f"two-a-minute-{dialect}")}
    unknown = gateway.http.post(
        PATHS[dialect], json=body(dialect, "Hi", model="unknown"), headers=headers
    )
    broken = gateway.http.post(PATHS[dialect], content=b"{", headers=headers)
    assert (unknown.status_code, broken.status_code) == (404, 400)
    with RawConnection(gateway.port) as connection:
        connection.send(
            request_head(
                "POST",
                PATHS[dialect],
                x_api_key=headers["x-api-key"],
                content_length=50_000,
                expect="100-continue",
            )
        )
        assert connection.receive_line() == "HTTP/1.1 429 Too Many Requests"


def test_a_body_under_way_is_one_of_the_requests_at_once(gateway: GatewayProcess) -> None:
    key = gateway.key("one-at-a-time")
    headers = {"x-api-key": key}
    with RawConnection(gateway.port) as connection:
        connection.send(
            request_head(
                "POST", PATHS["chat"], x_api_key=key, content_length=50, expect="100-continue"
            )
        )
        assert connection.receive_line() == "HTTP/1.1 100 Continue"
        assert gateway.http.post(PATHS["chat"], json={}, headers=headers).status_code == 429
        assert gateway.http.get(FREE, headers=headers).status_code == 429
        counted = gateway.http.post(COUNT, json=body("messages", "Hi"), headers=headers)
        assert counted.status_code == 429
        assert counted.json()["error"]["type"] == "rate_limit_error"
        assert counted.headers["request-id"] == counted.json()["request_id"]
        assert counted.headers["retry-after"] == "1"
    wait_until(
        lambda: gateway.http.get(FREE, headers=headers).status_code == 200, "its client's leaving"
    )


def test_reads_of_one_account_hold_up_nobody_else_s(gateway: GatewayProcess) -> None:
    """More connections than an account may read by: some wait, the others are asked to."""
    alice, bob = gateway.key("alice"), gateway.key("bob")
    with ExitStack() as stack:
        asking = [stack.enter_context(RawConnection(gateway.port)) for _ in range(400)]
        for connection in asking:
            connection.send(request_head("GET", ACCOUNT, x_api_key=alice))
        for path in (ACCOUNT, FREE, "/api/anthropic/v1/models"):
            served = gateway.http.get(path, headers={"x-api-key": bob})
            assert served.status_code == 200, served.text
        answers = [connection.receive("GET") for connection in asking]
    statuses = Counter(answer.status for answer in answers if answer is not None)
    assert sum(statuses.values()) == 400
    assert statuses.keys() == {200, 429}
    assert statuses[200] >= largest_share(AT_ONCE)
    for answer in answers:
        assert answer is not None
        assert answer.status == 200 or answer.headers["retry-after"] == "1"


def test_counts_of_one_account_hold_up_nobody_else_s(gateway: GatewayProcess) -> None:
    """A long count is worked on in portions, and between two of them others have their turn."""
    long = json.dumps(body("messages", "Hello, world! " * 140_000)).encode()
    alice = gateway.key("alice")
    with ExitStack() as stack:
        asking = [stack.enter_context(RawConnection(gateway.port)) for _ in range(2)]
        for connection in asking:
            connection.send(
                request_head("POST", COUNT, x_api_key=alice, content_length=len(long)) + long
            )
        served = gateway.http.post(
            COUNT, json=body("messages", "Hi"), headers={"x-api-key": gateway.key("bob")}
        )
        assert served.status_code == 200
        assert not all(connection.has_answer(0) for connection in asking), "it came first"
        answers = [connection.receive() for connection in asking]
    assert [answer and answer.status for answer in answers] == [200, 200]


def test_a_body_that_becomes_more_than_a_replica_has_is_too_large() -> None:
    """There will never be room for it: its client is not to try again."""

    async def hold() -> None:
        line: Any = None
        cycle = Cycle(line, b"POST", "1.1", keep_alive=True, expects_continue=False)
        cycle.task = asyncio.ensure_future(asyncio.sleep(0))
        connection = Connection({"headers": [], NAMED: {}, CYCLE: cycle}, Shares(100))
        connection.hold(101)

    with pytest.raises(RequestTooLarge, match="101 bytes"):
        asyncio.run(hold())
