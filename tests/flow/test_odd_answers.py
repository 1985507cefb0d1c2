"""Odd answers of Messages, Responses and Gemini upstreams at a real gateway, and their cost."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.dialects.answers import (
    GEMINI,
    GEMINI_EVENTS,
    MESSAGE,
    MESSAGE_EVENTS,
    RESPONSE,
    RESPONSE_EVENTS,
    with_value,
)
from tests.harness.books import check_books
from tests.harness.dialects import (
    DIALECTS,
    PATHS,
    answer_text,
    body,
    ended_cleanly,
    error_of_stream,
)
from tests.harness.gateway import GatewayProcess, api_key, credit_grant, fleet
from tests.harness.scripted import ScriptedUpstream

PRICE = 2
WHOLE: dict[str, Any] = {"messages": MESSAGE, "responses": RESPONSE, "gemini": GEMINI}
STREAMS: dict[str, Any] = {
    "messages": MESSAGE_EVENTS,
    "responses": RESPONSE_EVENTS,
    "gemini": GEMINI_EVENTS,
}
#: the member with the reason of an end: in a whole answer, and in a stream
ENDS: dict[str, tuple[Any, Any, str]] = {
    "messages": (("stop_reason",), (11, "delta", "stop_reason"), "error"),
    "responses": (("status",), (11, "response", "status"), "cancelled"),
    "gemini": (
        ("candidates", 0, "finishReason"),
        (3, "candidates", 0, "finishReason"),
        "MALFORMED_FUNCTION_CALL",
    ),
}
#: members that nothing depends on, with values of other types
HARMLESS: dict[str, tuple[Any, Any]] = {
    "messages": (("usage",), (0, "message", "usage")),
    "responses": (("usage",), (11, "response", "usage")),
    "gemini": (("usageMetadata",), (3, "usageMetadata")),
}

every_case = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
every_upstream = pytest.mark.parametrize("name", WHOLE)
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture(scope="module")
def gateway(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    ups = [
        {"name": name, "url": upstream.url, "dialect": name, "circuitFailures": 0} for name in WHOLE
    ]
    document = fleet(upstream.url)
    document["spec"]["upstreams"] += ups
    document["spec"]["models"] += [
        {"id": name, "upstream": name, "upstreamModel": "open-weights"} for name in WHOLE
    ]
    documents = [document, api_key("rich"), credit_grant("rich", credits=10_000)]
    process = GatewayProcess(tmp_path_factory.mktemp("odd"), documents).start()
    process.http.headers["x-api-key"] = process.key("rich")
    yield process
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


def paid(gateway: GatewayProcess) -> int:
    """All credits that were charged and not refunded."""
    found = re.findall(r'faregate_credits_total\{[^}]*kind="(\w+)"[^}]*\} (\S+)', gateway.metrics())
    signs = {"charge": 1, "refund": -1}
    return int(sum(signs[kind] * float(value) for kind, value in found))


def ask(gateway: GatewayProcess, name: str, dialect: str, *, stream: bool) -> httpx.Response:
    return gateway.http.post(PATHS[dialect], json=body(dialect, "Hi", model=name, stream=stream))


@every_case
@every_upstream
@every_dialect
@pytest.mark.parametrize("value", [5, "many", [], True, None], ids=str)
def test_an_odd_member_costs_what_any_answer_costs(
    gateway: GatewayProcess,
    upstream: ScriptedUpstream,
    name: str,
    dialect: str,
    value: Any,
    stream: bool,
) -> None:
    whole, streamed = HARMLESS[name]
    upstream.send(with_value(WHOLE[name], whole, value))
    upstream.stream(with_value(STREAMS[name], streamed, value))
    before = paid(gateway)
    answer = ask(gateway, name, dialect, stream=stream)
    assert answer.status_code == 200, answer.text
    assert answer_text(dialect, answer, stream=stream) == "Hello"
    assert not stream or ended_cleanly(dialect, answer.text)
    assert paid(gateway) == before + PRICE


@every_case
@every_upstream
@every_dialect
def test_an_end_that_reports_a_failure_costs_nothing(
    gateway: GatewayProcess, upstream: ScriptedUpstream, name: str, dialect: str, stream: bool
) -> None:
    whole, streamed, word = ENDS[name]
    upstream.send(with_value(WHOLE[name], whole, word))
    upstream.stream(with_value(STREAMS[name], streamed, word))
    before = paid(gateway)
    answer = ask(gateway, name, dialect, stream=stream)
    if stream:
        error = error_of_stream(dialect, answer.text)
        assert not ended_cleanly(dialect, answer.text)
    else:
        assert answer.status_code == 502
        error = answer.json()["error"]
    assert error is not None
    assert word in error["message"]
    assert paid(gateway) == before


@every_case
@every_upstream
@every_dialect
@pytest.mark.parametrize("code", [429, "429", "rate_limit_exceeded"], ids=str)
def test_an_error_in_a_good_answer_is_what_its_status_would_be(
    gateway: GatewayProcess,
    upstream: ScriptedUpstream,
    name: str,
    dialect: str,
    code: Any,
    stream: bool,
) -> None:
    error = {"error": {"message": "Too many", "code": code}}
    upstream.send(error)
    upstream.stream([error])
    before = paid(gateway)
    answer = ask(gateway, name, dialect, stream=stream)
    assert answer.status_code == (529 if dialect == "messages" else 503), answer.text
    assert paid(gateway) == before
