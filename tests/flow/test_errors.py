"""Refusals before anything is charged: bodies, routes, credentials, memory. Every answer has
its family's envelope, its ids, and a word on whether asking again helps."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from gateway.core.shares import largest_share
from tests.harness.codings import CODERS
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
from tests.harness.raw import Answer, RawConnection, chunk, request_head

BODY_BYTES_MAX = 100_000
BUFFERED_BYTES = 30_000_000
HALF_SENT_BYTES = 75_000
COUNT_TOKENS = "/api/anthropic/v1/messages/count_tokens"
BODY_PATHS = (*PATHS.values(), COUNT_TOKENS)
CREDENTIAL_HEADERS = ("authorization", "x-api-key", "anthropic-auth-token")

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
every_body_path = pytest.mark.parametrize("path", BODY_PATHS)


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [
        fleet(simulated.url, limits={"bodyBytes": BODY_BYTES_MAX, "bufferedBytes": BUFFERED_BYTES}),
        api_key("rich"),
        api_key("twin"),
        api_key("poor", "poor"),
        api_key("narrow", models=["open"]),
        api_key("slow", "poor", limits={"requestsPerMinute": 1}),
        api_key("frugal", limits={"creditsPerDay": 1}),
        credit_grant("rich", credits=1_000_000),
    ]
    with running_gateway(tmp_path_factory.mktemp("errors"), documents) as process:
        yield process


@pytest.fixture
def http(gateway: GatewayProcess) -> httpx.Client:
    gateway.http.headers["x-api-key"] = gateway.key("rich")
    return gateway.http


@pytest.fixture(autouse=True)
def _nothing_is_charged(gateway: GatewayProcess) -> Iterator[None]:
    """Unless a test asks for it, and then it states so."""
    key = gateway.key("rich")
    before = gateway.balance(key)
    yield
    wait_until(lambda: gateway.balance(key) == before, f"a balance of {before} again")


def check_error(path: str, response: httpx.Response | Answer) -> dict[str, Any]:
    """The error object, from an answer with everything an error has."""
    status = response.status if isinstance(response, Answer) else response.status_code
    content = response.body if isinstance(response, Answer) else response.content
    headers = response.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-credits-charged"] == "0"
    assert headers["x-should-retry"] in ("true", "false")
    if headers["x-should-retry"] == "true" and status in (429, 503, 529):
        assert int(headers["retry-after"]) >= 1
    found = json.loads(content)
    error: dict[str, Any] = found["error"]
    if path.startswith("/api/anthropic"):
        assert found.keys() == {"type", "error", "request_id"}
        assert found["type"] == "error"
        assert found["request_id"] == headers["request-id"] == headers["x-request-id"]
        assert {"type", "message"} <= error.keys()
    else:
        assert found.keys() == {"error"}
        assert error.keys() - {"details"} == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def raw_post(
    gateway: GatewayProcess, path: str, pieces: list[bytes], key: str = "rich", **headers: str | int
) -> Answer:
    """The answer to a request of which only these pieces are sent."""
    with RawConnection(gateway.port) as connection:
        head = request_head("POST", path, x_api_key=gateway.key(key), **headers)
        for piece in (head, *pieces):
            if not connection.send(piece):
                break
        answer = connection.receive()
    assert answer is not None
    return answer


@every_body_path
def test_a_body_that_states_it_is_too_large_is_refused_before_it_comes(
    gateway: GatewayProcess, path: str
) -> None:
    answer = raw_post(gateway, path, [], content_length=BODY_BYTES_MAX + 1)
    assert answer.status == 413
    assert str(BODY_BYTES_MAX) in check_error(path, answer)["message"]


@every_body_path
def test_a_body_that_grows_too_large_is_refused_when_it_is(
    gateway: GatewayProcess, path: str
) -> None:
    pieces = [chunk(b" " * 10_000)] * 11
    answer = raw_post(gateway, path, pieces, transfer_encoding="chunked")
    assert answer.status == 413
    check_error(path, answer)


@every_dialect
def test_a_body_of_exactly_the_limit_is_taken(http: httpx.Client, dialect: str) -> None:
    content = json.dumps(body(dialect, "Hi", model="unknown")).encode().ljust(BODY_BYTES_MAX)
    assert http.post(PATHS[dialect], content=content).status_code == 404


@every_body_path
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"model": NaN}',
        b'{"model": "\xff"}',
        b'{"model": "\\ud800"}',
        b'{"model": 1e999, "messages": 1e999, "input": 1}',
        b"[" * 50_000,
        b'{"messages":' * 8_000,
        b'{"model":"m","messages":[{"role":"user","content":' + b"[" * 40_000,
        b'{"model":"m","tools":' + b'[{"a":' * 10_000 + b"1" + b"}]" * 10_000 + b"}",
    ],
    ids=lambda content: content[:24].decode("latin-1"),
)
def test_what_is_no_body_is_a_400(http: httpx.Client, path: str, content: bytes) -> None:
    response = http.post(path, content=content)
    assert response.status_code == 400
    assert check_error(path, response)["type"] == "invalid_request_error"


@every_body_path
def test_nesting_is_refused_at_every_depth_that_is_too_deep(http: httpx.Client, path: str) -> None:
    """Never a failure of ours, also at the very depth where a decoder's stack just suffices."""
    for depth in range(1, 1400, 37):
        schema = '{"type":"object","properties":{"a":' * depth + "{}" + "}}" * depth
        for tool in (
            f'{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}',
            f'{{"type":"function","name":"f","parameters":{schema}}}',
            f'{{"name":"f","input_schema":{schema}}}',
        ):
            content = (
                '{"model":"unknown","max_tokens":9,"input":"Hi",'
                f'"messages":[{{"role":"user","content":"Hi"}}],"tools":[{tool}]}}'
            )
            response = http.post(path, content=content.encode())
            assert response.status_code in (200, 400, 404), (depth, response.text)


@every_body_path
@pytest.mark.parametrize("coding", ["br", "x-unknown", "gzip, gzip"])
def test_an_unknown_coding_is_a_400(http: httpx.Client, path: str, coding: str) -> None:
    response = http.post(path, content=b"{}", headers={"content-encoding": coding})
    assert response.status_code == 400
    message = check_error(path, response)["message"]
    assert f"'{coding}'" in message
    assert "gzip" in message


@every_dialect
@pytest.mark.parametrize("coding", CODERS)
def test_a_compressed_body_of_exactly_the_limit_is_taken(
    http: httpx.Client, dialect: str, coding: str
) -> None:
    content = json.dumps(body(dialect, "Hi", model="unknown")).encode().ljust(BODY_BYTES_MAX)
    headers = {"content-encoding": coding}
    response = http.post(PATHS[dialect], content=CODERS[coding](content), headers=headers)
    assert response.status_code == 404, response.text
    assert "unknown" in check_error(PATHS[dialect], response)["message"]


@pytest.mark.parametrize("coding", CODERS)
def test_a_compressed_body_is_counted_like_any(http: httpx.Client, coding: str) -> None:
    content = json.dumps(body("messages", "Count this. " * 999)).encode()
    packed, headers = CODERS[coding](content), {"content-encoding": coding}
    counted = http.post(COUNT_TOKENS, content=packed, headers=headers)
    assert counted.status_code == 200, counted.text
    assert counted.json() == http.post(COUNT_TOKENS, content=content).json()


@every_body_path
@pytest.mark.parametrize("coding", CODERS)
@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, 64 * 2**20])
def test_a_body_that_becomes_too_large_is_a_413(
    http: httpx.Client, path: str, coding: str, size: int
) -> None:
    """Also one that stands for twice the memory of all bodies."""
    packed = CODERS[coding](b" " * size)
    assert len(packed) < BODY_BYTES_MAX
    response = http.post(path, content=packed, headers={"content-encoding": coding})
    assert response.status_code == 413
    assert str(BODY_BYTES_MAX) in check_error(path, response)["message"]


@every_body_path
@pytest.mark.parametrize("coding", CODERS)
def test_a_body_that_is_not_compressed_as_stated_is_a_400(
    http: httpx.Client, path: str, coding: str
) -> None:
    for content in (b"", b"{}", CODERS[coding](b"{}")[:-1]):
        response = http.post(path, content=content, headers={"content-encoding": coding})
        assert response.status_code == 400
        assert coding in check_error(path, response)["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@every_body_path
def test_a_wrong_method_is_a_405(http: httpx.Client, path: str, method: str) -> None:
    response = http.request(method, path)
    assert response.status_code == 405
    assert method in check_error(path, response)["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/messages",
        "/api",
        "/api/openai/v1",
        "/api/openai/v1/nothing",
        "/api//openai/v1/chat/completions",
        "/api/openai/v1/messages",
        "/api/anthropic",
        "/api/anthropic/v1/complete",
        "/api/anthropic/v1/chat/completions",
        "/api/v1/nothing",
        "/metrics",
        "/healthz",
        "/docs",
        "/openapi.json",
        "/api/openai/v1/../../v1/account",
        "/" + "x" * 5000,
    ],
)
def test_an_unknown_path_is_a_404_in_its_family(
    gateway: GatewayProcess, path: str, method: str
) -> None:
    with RawConnection(gateway.port) as connection:
        connection.send(request_head(method, path, content_length=0))
        answer = connection.receive(method)
    assert answer is not None
    assert answer.status == 404
    error = check_error(path, answer)
    assert path.startswith("/api/anthropic") or error["code"] == "not_found"


@every_dialect
def test_statuses_of_ours_show_whether_asking_again_helps(
    gateway: GatewayProcess, dialect: str
) -> None:
    path = PATHS[dialect]
    gateway.http.headers.pop("x-api-key", None)

    def ask(key: str | None, model: str = "kimi-k2.5") -> httpx.Response:
        headers = {} if key is None else {"x-api-key": gateway.key(key)}
        return gateway.http.post(path, json=body(dialect, "Hi", model=model), headers=headers)

    def check(response: httpx.Response, status: int, retry: str, after: bool = False) -> Any:
        assert response.status_code == status
        assert response.headers["x-should-retry"] == retry
        assert ("retry-after" in response.headers) is after
        return check_error(path, response)

    assert "no API key" in check(ask(None), 401, "false")["message"]
    assert "credit balance is too low" in check(ask("poor"), 402, "false")["message"]
    assert "kimi-k2.5" in check(ask("narrow"), 403, "false")["message"]
    assert "model: nobody" in check(ask("rich", "nobody"), 404, "false")["message"]
    assert "creditsPerDay" in check(ask("frugal"), 429, "false")["message"]
    ask("slow")
    assert "a minute" in check(ask("slow"), 429, "true", after=True)["message"]


@every_dialect
@pytest.mark.parametrize("header", CREDENTIAL_HEADERS)
def test_each_credential_is_taken_on_both_families_and_unknown_ones_are_ignored(
    gateway: GatewayProcess, dialect: str, header: str
) -> None:
    valid = spell(header, gateway.key("rich"))
    others = [name for name in CREDENTIAL_HEADERS if name != header]
    unknown = [(name, spell(name, "sk-unknown")) for name in others]
    empty = [(name, "") for name in others]
    again = [(name, spell(name, gateway.key("rich"))) for name in others]
    strange = [("authorization", "Basic c2s6"), ("authorization", "Bearer")]
    for more in ([], unknown, empty, again, strange):
        for credentials in ([(header, valid), *more], [*more, (header, valid)]):
            assert status(gateway, dialect, credentials) == 404, credentials


@every_dialect
@pytest.mark.parametrize("header", CREDENTIAL_HEADERS)
def test_without_a_valid_credential_or_with_two_it_is_a_401(
    gateway: GatewayProcess, dialect: str, header: str
) -> None:
    other = next(name for name in CREDENTIAL_HEADERS if name != header)
    rich, twin = gateway.key("rich"), gateway.key("twin")
    for credentials in (
        [],
        [(header, spell(header, "sk-unknown"))],
        [(header, spell(header, rich[:-1]))],
        [(header, spell(header, rich.upper()))],
        [(header, spell(header, rich)), (other, spell(other, twin))],
        [(header, spell(header, rich)), (header, spell(header, twin))],
    ):
        assert status(gateway, dialect, credentials) == 401, credentials


def spell(header: str, key: str) -> str:
    return f"Bearer {key}" if header == "authorization" else key


def status(gateway: GatewayProcess, dialect: str, credentials: list[tuple[str, str]]) -> int:
    """The status of a request for a model that is not there: who gets a 404 has come in."""
    gateway.http.headers.pop("x-api-key", None)
    response = gateway.http.post(
        PATHS[dialect], json=body(dialect, "Hi", model="nobody"), headers=credentials
    )
    check_error(PATHS[dialect], response)
    return response.status_code


@every_body_path
def test_who_has_no_key_is_refused_before_any_body_is_read(
    gateway: GatewayProcess, path: str
) -> None:
    with RawConnection(gateway.port) as connection:
        head: dict[str, str | int] = {
            "x_api_key": "sk-nobody",
            "content_length": 50_000,
            "expect": "100-continue",
        }
        connection.send(request_head("POST", path, **head))
        assert connection.receive_line() == "HTTP/1.1 401 Unauthorized"
    with RawConnection(gateway.port) as connection:
        connection.send(request_head("POST", path, x_api_key="sk-nobody", content_length=50_000))
        connection.send(b"{")
        assert connection.receive_line() == "HTTP/1.1 401 Unauthorized"
    with RawConnection(gateway.port) as connection:
        head["x_api_key"] = gateway.key("rich")
        connection.send(request_head("POST", path, **head))
        assert connection.receive_line() == "HTTP/1.1 100 Continue"


@every_body_path
def test_bodies_that_an_account_has_held_have_a_limit(gateway: GatewayProcess, path: str) -> None:
    """Half-sent bodies are held too; when their clients leave there is room again."""
    content = json.dumps(
        {"model": "nobody", "max_tokens": 9, "messages": [], "input": "x" * 60_000}
    ).encode()

    def probe() -> Answer:
        return raw_post(gateway, path, [content], key="twin", content_length=len(content))

    with ExitStack() as stack:
        for _ in range(largest_share(BUFFERED_BYTES) // HALF_SENT_BYTES + 1):
            connection = stack.enter_context(RawConnection(gateway.port))
            key = gateway.key("rich")
            head = request_head("POST", path, x_api_key=key, content_length=BODY_BYTES_MAX)
            connection.send(head + b" " * HALF_SENT_BYTES)
        wait_until(lambda: probe().status == 429, "the account's share of bodies")
        answer = probe()
        check_error(path, answer)
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["x-should-retry"] == "true"
    wait_until(lambda: probe().status in (200, 400, 404), "room for bodies again")
