"""The limits of connections, at a real gateway: they cost no key, and everybody else goes on."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from resource import RLIMIT_NOFILE, prlimit

import pytest

from tests.fuzz.support import check_envelope
from tests.harness.dialects import PATHS
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    wait_until,
)
from tests.harness.plain import get
from tests.harness.raw import RawConnection, chunk, request_head, resident_bytes, wait_steady

HELLO = [{"role": "user", "content": "Hi"}]
MEBIBYTE = 1024 * 1024
CONNECTIONS, PER_PEER = 60, 40
QUICK = {
    "FAREGATE_CONNECTIONS": str(CONNECTIONS),
    "FAREGATE_CONNECTIONS_PER_PEER": str(PER_PEER),
    "FAREGATE_HEAD_SECONDS": "2",
    "FAREGATE_UNREAD_SECONDS": "2",
}


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [fleet(simulated.url), api_key("alice"), credit_grant("alice")]
    folder = tmp_path_factory.mktemp("connections")
    process = GatewayProcess(folder, documents, environment=QUICK).start()
    yield process
    assert process.stop() == 0, process.log_text()


def cut(gateway: GatewayProcess, reason: str) -> int:
    """The number of connections that were cut for this reason."""
    name = f'faregate_cut_connections_total{{reason="{reason}"}} '
    lines = [line for line in gateway.metrics().splitlines() if line.startswith(name)]
    return int(float(lines[0].split()[1])) if lines else 0


def is_served(gateway: GatewayProcess) -> bool:
    with contextlib.suppress(OSError), RawConnection(gateway.port) as connection:
        key = gateway.key("alice")
        connection.send(request_head("GET", "/api/v1/account", x_api_key=key, connection="close"))
        answer = connection.receive("GET")
        return answer is not None and answer.status == 200
    return False


def connect(gateway: GatewayProcess, peer: str = "127.0.0.1") -> socket.socket:
    connection = socket.socket()
    connection.settimeout(30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)  # before it connects
    connection.bind((peer, 0))
    connection.connect(("127.0.0.1", gateway.port))
    return connection


def rest(connection: socket.socket) -> bytes:
    """Everything up to the connection's end, which must come."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(65536):
            data += more
    return data


@pytest.mark.parametrize("port", ["clients", "operations"])
def test_a_head_that_does_not_end_is_cut_in_time(gateway: GatewayProcess, port: str) -> None:
    """True if nothing comes of it or a little all the while."""
    number = gateway.port if port == "clients" else gateway.ops_port
    drips = [(b"", b""), (b"\r\n", b"\r\n"), (b"GET /", b"x"), (b"GET / HTTP/1.1\r\na:", b"b")]
    with contextlib.ExitStack() as stack:
        open_ones = [(stack.enter_context(RawConnection(number)), *drip) for drip in drips]
        for connection, start, _ in open_ones:
            connection.send(start)
        deadline = time.monotonic() + 25
        while open_ones:
            assert time.monotonic() < deadline
            silent = [each for each in open_ones if not each[2]]
            for connection, _, _ in silent:
                assert connection.receive_rest() == b""
            open_ones = [each for each in open_ones if each[2] and each[0].send(each[2])]
            time.sleep(0.05)


def test_a_connection_is_kept_between_heads_that_are_quick(gateway: GatewayProcess) -> None:
    with RawConnection(gateway.port) as connection:
        for pause in (0, 3, 0):
            time.sleep(pause)  # for longer than a head may take
            connection.send(request_head("GET", "/api/v1/account"))
            status, headers = connection.receive_head()
            connection.receive_bytes(int(headers["content-length"]))
            assert status == 401


def test_one_peer_leaves_places_to_others(gateway: GatewayProcess) -> None:
    before = cut(gateway, "peer")
    with contextlib.ExitStack() as stack:
        for _ in range(PER_PEER):
            stack.enter_context(connect(gateway, "127.0.0.2"))
        refused = stack.enter_context(connect(gateway, "127.0.0.2"))
        assert rest(refused).startswith(b"HTTP/1.1 503 ")
        assert is_served(gateway)
        assert f"faregate_client_connections {float(PER_PEER)}" in gateway.metrics()
    assert cut(gateway, "peer") == before + 1
    wait_until(lambda: "faregate_client_connections 0.0" in gateway.metrics(), "them to be gone")


def test_all_peers_together_leave_the_port_for_operations_alone(gateway: GatewayProcess) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(CONNECTIONS):
            stack.enter_context(connect(gateway, f"127.0.0.{2 + number % 5}"))
        refused = stack.enter_context(connect(gateway, "127.0.0.9"))
        assert rest(refused).startswith(b"HTTP/1.1 503 ")
        for route in ("healthz", "readyz", "metrics"):
            assert get(f"http://127.0.0.1:{gateway.ops_port}/{route}").status_code == 200
    wait_until(lambda: is_served(gateway), "a place")


def test_a_probe_finds_a_place_among_any_number_of_connections(gateway: GatewayProcess) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            connection = socket.create_connection(("127.0.0.1", gateway.ops_port), 10)
            stack.enter_context(connection)
            connection.sendall(b"GET /metrics HTTP/1.1\r\n")
        for route in ("healthz", "readyz", "metrics"):
            assert get(f"http://127.0.0.1:{gateway.ops_port}/{route}").status_code == 200


def test_files_are_kept_for_the_process_itself(simulated: Simulated, tmp_path: Path) -> None:
    """With fewer files than connections that are wanted; and where there are none all the same, the
    port works again once there are, and nothing spins."""
    documents = [fleet(simulated.url), api_key("alice"), credit_grant("alice")]
    process = GatewayProcess(tmp_path, documents)
    process.under = ["sh", "-c", 'ulimit -n 356; exec "$@"', "sh"]
    process.start()
    try:
        assert "at most 50 connections of clients" in process.log_text()
        with contextlib.ExitStack() as stack:
            for _ in range(400):
                stack.enter_context(connect(process))
            assert get(f"http://127.0.0.1:{process.ops_port}/healthz").status_code == 200
            assert get(f"http://127.0.0.1:{process.ops_port}/metrics").status_code == 200
            taken = open_files(process.pid)
            assert taken < 150
        wait_until(lambda: is_served(process), "a place")
        taken = open_files(process.pid)
        prlimit(process.pid, RLIMIT_NOFILE, (taken, 356))
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(connect(process))
            before = cpu_seconds(process.pid)
            time.sleep(1)
            assert cpu_seconds(process.pid) - before < 0.5
        prlimit(process.pid, RLIMIT_NOFILE, (356, 356))
        wait_until(lambda: is_served(process), "the port to go on")
        assert process.stop() == 0
    finally:
        process.kill()


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_answers_that_are_not_read_are_bounded_and_then_cut(gateway: GatewayProcess) -> None:
    """Each asks for as many answers as it can and reads none."""
    before, already = resident_bytes(gateway.pid), cut(gateway, "unread")
    many = request_head("GET", "/x") * 1000
    sent = 0
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            connection = stack.enter_context(connect(gateway))
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while True:
                    sent += connection.send(many)
                    time.sleep(0.001)
        assert sent > 5 * MEBIBYTE
        wait_until(lambda: cut(gateway, "unread") >= already + 5, "them to be cut")
        assert resident_bytes(gateway.pid) - before < 24 * MEBIBYTE
    assert is_served(gateway)


def test_a_client_that_reads_slowly_is_not_cut(gateway: GatewayProcess) -> None:
    already = cut(gateway, "unread")
    with RawConnection(gateway.port, receive_bytes=4096) as connection:
        ask = request_head("GET", "/x")
        ended = request_head("GET", "/x", connection="close")
        connection.send(ask * 3000)
        deadline = time.monotonic() + 5
        read = 0
        while time.monotonic() < deadline:
            read += len(connection.receive_write()[:4096])
            time.sleep(0.1)
        connection.send(ended)
        whole = connection.receive_rest()
    assert whole.count(b"HTTP/1.1 404") > 2000
    assert cut(gateway, "unread") == already


def test_a_stream_that_is_not_read_is_cut_and_paid(gateway: GatewayProcess) -> None:
    key = gateway.key("alice")
    balance, already = gateway.balance(key), cut(gateway, "unread")
    wanted = [{"role": "user", "content": "!chunks 20000"}]
    body = json.dumps({"model": "kimi-k2.5", "stream": True, "messages": wanted}).encode()
    with RawConnection(gateway.port, receive_bytes=4096) as connection:
        head = request_head("POST", PATHS["chat"], x_api_key=key, content_length=len(body))
        connection.send(head + body)
        wait_until(lambda: cut(gateway, "unread") > already, "it to be cut")
    assert balance - gateway.balance(key) == 2


def chat(gateway: GatewayProcess, content: str, *, stream: bool = False) -> bytes:
    wanted = [{"role": "user", "content": content}]
    asked = json.dumps({"model": "kimi-k2.5", "stream": stream, "messages": wanted}).encode()
    key = gateway.key("alice")
    return request_head("POST", PATHS["chat"], x_api_key=key, content_length=len(asked)) + asked


def test_charged_requests_in_a_row_are_answered_in_their_order(gateway: GatewayProcess) -> None:
    """Each goes to its own request, also where the next is here before it."""
    balance = gateway.balance(gateway.key("alice"))
    kinds = [False, True, False, True, True, False]
    with RawConnection(gateway.port) as connection:
        connection.send(b"".join(chat(gateway, "Hi", stream=stream) for stream in kinds))
        seen = []
        for stream in kinds:
            status, headers = connection.receive_head()
            assert (status, headers["x-credits-charged"]) == (200, "2")
            seen.append(headers["x-request-id"])
            if stream:
                assert list(connection.receive_chunks())[-1] == b"data: [DONE]\n\n"
            else:
                answer = json.loads(connection.receive_bytes(int(headers["content-length"])))
                assert answer["object"] == "chat.completion"
    assert len(set(seen)) == len(kinds)
    assert balance - gateway.balance(gateway.key("alice")) == 2 * len(kinds)


def test_whole_answers_wait_for_a_client_that_reads_slowly(gateway: GatewayProcess) -> None:
    """An unread answer holds up the client's next request, which is not charged before."""
    balance = gateway.balance(gateway.key("alice"))
    requests, sizes = 40, []
    with RawConnection(gateway.port, receive_bytes=4096) as connection:
        connection.send(chat(gateway, "!chunks 3000") * requests)
        wait_steady(lambda: gateway.balance(gateway.key("alice")))
        assert balance - gateway.balance(gateway.key("alice")) < 2 * requests
        for _ in range(requests):
            status, headers = connection.receive_head()
            assert status == 200
            sizes.append(len(connection.receive_bytes(int(headers["content-length"]))))
    assert len(set(sizes)) == 1
    assert balance - gateway.balance(gateway.key("alice")) == 2 * requests


def offer(method: str, path: str, protocol: str, **headers: str | int) -> bytes:
    return request_head(
        method, path, connection="Upgrade, HTTP2-Settings", upgrade=protocol, **headers
    )


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("is_whole", [True, False])
def test_an_offer_of_http_2_is_answered_in_http_1(
    gateway: GatewayProcess, dialect: str, is_whole: bool
) -> None:
    key = gateway.key("alice")
    asked = {"input": "Hi"} if dialect == "responses" else {"messages": HELLO, "max_tokens": 9}
    body = json.dumps({"model": "kimi-k2.5", **asked}).encode()
    head = offer("POST", PATHS[dialect], "h2c", x_api_key=key, content_length=len(body))
    with RawConnection(gateway.port) as connection:
        for piece in [head + body] if is_whole else [head, body]:
            connection.send(piece)
            time.sleep(0.05)
        answer = connection.receive()
    assert answer is not None
    assert answer.status == 200
    assert answer.headers["x-credits-charged"] == "2"


def test_an_offer_of_a_web_socket_is_answered_in_the_routes_own_way(
    gateway: GatewayProcess,
) -> None:
    key = gateway.key("alice")
    expected = dict.fromkeys(PATHS.values(), 426)
    expected |= {"/api/openai/v1/models": 200, "/api/anthropic/v1/models": 200, "/ws": 404}
    for path, status in expected.items():
        with RawConnection(gateway.port) as connection:
            connection.send(
                offer("GET", path, "websocket", sec_websocket_version=13, x_api_key=key)
            )
            answer = connection.receive("GET")
        assert answer is not None
        assert answer.status == status
        assert ("upgrade" in answer.headers) == (status == 426)
        if status != 200:
            check_envelope(path, answer.body)


@pytest.mark.parametrize(
    "target",
    [
        "/api%2fopenai/v1/models",
        "/%61pi/openai/v1/models",
        "//api/openai/v1/models",
        "/api/../api/openai/v1/models",
        "/api/./openai/v1/models",
        "/api/openai/v1/models/../models",
        "/API/openai/v1/models",
    ],
)
def test_a_route_has_one_spelling(gateway: GatewayProcess, target: str) -> None:
    with RawConnection(gateway.port) as connection:
        connection.send(request_head("GET", target, x_api_key=gateway.key("alice")))
        answer = connection.receive("GET")
    assert answer is not None
    assert answer.status == 404
    assert b'"message"' in answer.body


@pytest.mark.parametrize("base", ["/api/openai/v1", "/api/anthropic/v1"])
def test_a_models_name_may_hold_anything_in_a_path(gateway: GatewayProcess, base: str) -> None:
    """SDKs escape it: what is in the escape is the name, once."""
    for escaped, name in (("claude-a%2Fb%3A1", "claude-a/b:1"), ("claude-%252F", "claude-%2F")):
        with RawConnection(gateway.port) as connection:
            path = f"{base}/models/{escaped}"
            connection.send(request_head("GET", path, x_api_key=gateway.key("alice")))
            answer = connection.receive("GET")
        assert answer is not None
        assert json.loads(answer.body)["id"] == name


CREDENTIALS = ("x-api-key: {}", "authorization: Bearer {}", "anthropic-auth-token: {}")


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_credential_behind_a_body_is_none(gateway: GatewayProcess, credential: str) -> None:
    trailer = credential.format(gateway.key("alice")).encode()
    head = request_head("POST", PATHS["chat"], transfer_encoding="chunked", trailer="x-api-key")
    body = b'{"model":"kimi-k2.5","messages":[{"role":"user","content":"Hi"}]}'
    whole = head + chunk(body) + b"0\r\n" + trailer + b"\r\n\r\n"
    for pieces in ([whole], [head, whole[len(head) :]]):
        with RawConnection(gateway.port) as connection:
            for piece in pieces:
                connection.send(piece)
                time.sleep(0.05)
            answer = connection.receive()
        assert answer is not None
        assert answer.status == 401


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"0\r\n", b"x-trailer: of many\r\n" * 3000),
        (b"0\r\nx: ", b"y" * 60_000),
        (b"1;x=", b"y" * 60_000),
        (chunk(b"{") + b"1;", b"y" * 60_000),
    ],
    ids=["trailers", "a trailer", "an extension", "an extension later"],
)
def test_what_stands_beside_a_body_is_bounded(
    gateway: GatewayProcess, start: bytes, piece: bytes
) -> None:
    before = resident_bytes(gateway.pid)
    with RawConnection(gateway.port) as connection:
        head = request_head(
            "POST", PATHS["chat"], x_api_key=gateway.key("alice"), transfer_encoding="chunked"
        )
        connection.send(head + start)
        taken = sum(connection.send(piece) for _ in range(300))
    assert taken < 200
    assert resident_bytes(gateway.pid) - before < 8 * MEBIBYTE
    assert is_served(gateway)


def test_log_lines_are_few_whatever_is_sent(gateway: GatewayProcess) -> None:
    before, already = gateway.log_text().count("was cut"), cut(gateway, "malformed")
    for number in range(200):
        with RawConnection(gateway.port) as connection:
            connection.send(b"%d nonsense " % number + b"\x1b" * 500 + b"\r\n\r\n")
            connection.receive_rest()
    assert cut(gateway, "malformed") == already + 200
    text = gateway.log_text()
    assert text.count("was cut") - before <= 20
    assert max(map(len, text.splitlines())) < 2000
