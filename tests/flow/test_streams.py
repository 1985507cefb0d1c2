"""Streams as they are on the wire: writes, headers, silence, and clients that read slowly."""

import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.harness.dialects import (
    DIALECTS,
    PATHS,
    answer_text,
    body,
    ended_cleanly,
    error_of_stream,
)
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)
from tests.harness.raw import RawConnection, request_head, resident_bytes, wait_steady

MEBIBYTE = 1024 * 1024
KEEP_ALIVE_SECONDS = 0.3
PRICE = 2

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    upstream = {"url": simulated.url, "circuitFailures": 0}
    documents = [
        fleet(
            simulated.url,
            limits={"firstByteSeconds": 0.3, "keepAliveSeconds": KEEP_ALIVE_SECONDS},
            upstreams=[
                {"name": "main", **upstream},
                {"name": "second", **upstream},
                {"name": "silent", "silenceSeconds": 0.5, **upstream},
            ],
            models=[
                {"id": "kimi-k2.5", "upstream": "main", "upstreamModel": "kimi-k2.6"},
                {
                    "id": "silent",
                    "upstream": "silent",
                    "upstreamModel": "kimi-k2.6",
                    "fallbacks": [{"upstream": "second", "upstreamModel": "second-model"}],
                },
            ],
        ),
        api_key("rich"),
        credit_grant("rich", credits=1_000_000),
    ]
    with running_gateway(tmp_path_factory.mktemp("streams"), documents) as process:
        yield process


def ask(
    gateway: GatewayProcess, connection: RawConnection, dialect: str, text: str, **more: Any
) -> None:
    content = json.dumps({**body(dialect, text, **more), "stream": True}).encode()
    head = request_head(
        "POST",
        PATHS[dialect],
        authorization=f"Bearer {gateway.key('rich')}",
        content_length=len(content),
        accept_encoding="gzip, deflate, br, zstd",
        connection="close",
    )
    assert connection.send(head + content)


def read(connection: RawConnection) -> tuple[dict[str, str], list[bytes]]:
    """Headers and chunks of a whole stream."""
    status, headers = connection.receive_head()
    assert status == 200
    return headers, list(connection.receive_chunks())


@every_dialect
@pytest.mark.parametrize("way", ["", "!coalesce", "!split", "!spaces\n!coalesce"])
def test_one_chunk_is_one_frame(gateway: GatewayProcess, dialect: str, way: str) -> None:
    """Some readers forget what they have of an event when a chunk ends."""
    with RawConnection(gateway.port) as connection:
        ask(gateway, connection, dialect, f"!chunks 60\n!reason Hm.\n!tool look {{}}\n{way}")
        _, chunks = read(connection)
    assert len(chunks) > 60
    for chunk in chunks:
        frame = chunk.replace(b"\r\n", b"\n")
        assert frame.endswith(b"\n\n")
        assert frame.count(b"\n\n") == 1
    assert ended_cleanly(dialect, b"".join(chunks).decode())


@every_dialect
def test_nothing_on_the_way_may_buffer_or_compress(gateway: GatewayProcess, dialect: str) -> None:
    with RawConnection(gateway.port) as connection:
        ask(gateway, connection, dialect, "Hi")
        headers, _ = read(connection)
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-cache"
    assert headers["transfer-encoding"] == "chunked"
    assert "content-encoding" not in headers
    assert "content-length" not in headers


@every_dialect
@pytest.mark.parametrize("pause", ["!stall 2 hold", "!silence hold"])
def test_silence_is_filled_frame_by_frame(
    gateway: GatewayProcess, simulated: Simulated, dialect: str, pause: str
) -> None:
    fill = b"event: ping" if dialect == "messages" else b": keep-alive"
    before = gateway.balance(gateway.key("rich"))
    with RawConnection(gateway.port) as connection:
        began = time.monotonic()
        ask(gateway, connection, dialect, f"!answer Good morning\n{pause}")
        assert connection.receive_head()[0] == 200
        coming = connection.receive_chunks()
        chunks: list[bytes] = []
        while sum(chunk.startswith(fill) for chunk in chunks) < 4:
            chunks.append(next(coming))
        # the first of Messages is the upstream's own
        assert time.monotonic() - began > 2 * KEEP_ALIVE_SECONDS
        simulated.release()
        chunks.extend(coming)
    assert ended_cleanly(dialect, b"".join(chunks).decode())
    assert gateway.balance(gateway.key("rich")) == before - PRICE


@every_dialect
def test_no_fill_is_sent_while_the_upstream_speaks(gateway: GatewayProcess, dialect: str) -> None:
    """A busy machine may be silent in its place, for a part of the time."""
    pieces, pause = 50, 0.02
    began = time.monotonic()
    with RawConnection(gateway.port) as connection:
        ask(gateway, connection, dialect, f"!chunks {pieces} {1000 * pause:.0f}")
        _, chunks = read(connection)
    took = time.monotonic() - began
    fills = sum(chunk.startswith((b":", b"event: ping")) for chunk in chunks)
    assert fills * KEEP_ALIVE_SECONDS <= took - pause * (pieces - 1 - fills)


@every_dialect
def test_after_the_wait_a_fault_is_an_event_and_refunded(
    gateway: GatewayProcess, simulated: Simulated, dialect: str
) -> None:
    """The 200 was sent with the first keep-alive."""
    before = gateway.balance(gateway.key("rich"))
    with RawConnection(gateway.port) as connection:
        ask(gateway, connection, dialect, "!silence hold\n!error 500")
        assert connection.receive_head()[0] == 200
        simulated.release()
        chunks = list(connection.receive_chunks())
    text = b"".join(chunks).decode()
    assert error_of_stream(dialect, text) is not None
    assert not ended_cleanly(dialect, text)
    assert gateway.balance(gateway.key("rich")) == before


@every_dialect
def test_fill_goes_on_while_the_next_upstream_is_asked(
    gateway: GatewayProcess, dialect: str
) -> None:
    """The 200 was sent before the first one had failed: nobody could know who answers."""
    scripts = "!only kimi-k2.6\n!silence 60\n!only second-model\n!answer Late\n!silence 0.5"
    asked = {**body(dialect, scripts, model="silent"), "stream": True}
    key = gateway.key("rich")
    before = gateway.balance(key)
    response = gateway.http.post(PATHS[dialect], json=asked, headers={"x-api-key": key})
    assert answer_text(dialect, response, stream=True) == "Late"
    assert "x-faregate-upstream" not in response.headers
    fill = "event: ping" if dialect == "messages" else ": keep-alive"
    assert response.text.count(fill) >= 2
    assert gateway.balance(key) == before - PRICE


@every_dialect
def test_slow_readers_hold_up_the_upstream_and_not_our_memory(
    gateway: GatewayProcess, simulated: Simulated, dialect: str
) -> None:
    """Three answers, together 30 to 60 MB, that nobody reads at first; then to their end.

    Where the upstream stops depends on the kernel's buffers, so it is our memory that is looked at.
    """
    readers = 3
    more: dict[str, Any] = {"max_tokens": 200_000} if dialect == "messages" else {}
    with RawConnection(gateway.port) as connection:
        ask(gateway, connection, dialect, "!chunks 2000", **more)
        read(connection)
    simulated.reset()
    before = resident_bytes(gateway.pid)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(RawConnection(gateway.port, receive_bytes=16 * 1024))
            for _ in range(readers)
        ]
        for connection in connections:
            ask(gateway, connection, dialect, "!chunks 80000", **more)
        wait_steady(lambda: int(simulated.stats()["chunks_sent"]))
        assert resident_bytes(gateway.pid) - before < 20 * MEBIBYTE
        for connection in connections:
            status, _ = connection.receive_head()
            assert status == 200
            last = deque(connection.receive_chunks(), maxlen=4)
            assert ended_cleanly(dialect, b"".join(last).decode())
    assert simulated.stats()["completed"] == readers
    assert resident_bytes(gateway.pid) - before < 30 * MEBIBYTE


def test_answers_are_whole_beside_slow_readers(gateway: GatewayProcess) -> None:
    with RawConnection(gateway.port, receive_bytes=16 * 1024) as slow:
        ask(gateway, slow, "chat", "!chunks 20000")
        for dialect in DIALECTS:
            response = gateway.http.post(
                PATHS[dialect],
                json={**body(dialect, "!answer Quick"), "stream": True},
                headers={"x-api-key": gateway.key("rich")},
            )
            assert answer_text(dialect, response, stream=True) == "Quick"
