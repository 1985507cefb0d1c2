"""A walk over the route table: what costs credits needs a key and a charge, and what reaches the
upstream costs credits. The table is the application's own, so a new route is walked too."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.console.api.application import account_app
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.seal import Sealer
from gateway.dialects.base import Dialect
from gateway.dialects.chat.dialect import ChatDialect
from gateway.dialects.embeddings.dialect import EmbeddingsDialect
from gateway.dialects.messages.dialect import MessagesDialect
from gateway.dialects.responses.dialect import ResponsesDialect
from gateway.http.routes.application import protocol_app
from gateway.process.router import charged_paths
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PRICE = 2
EMBEDDINGS = "/api/openai/v1/embeddings"
PARAMETERS = {
    "name": "kimi-k2.5",
    "response_id": "resp_1",
    "request_id": "req_1",
    "key_id": "key_1",
    "grant_id": "1",
}


def charged_routes() -> dict[str, str]:
    """Path to dialect."""
    sealer = Sealer(b"k" * 32)
    dialects: list[Dialect] = [
        ChatDialect(WorkerThread()),
        ResponsesDialect(sealer, None, WorkerThread()),
        MessagesDialect(sealer, WorkerThread()),
        EmbeddingsDialect(WorkerThread()),
    ]
    return {path: dialect.name for path, dialect in charged_paths(dialects).items()}


def free_routes() -> set[tuple[str, str]]:
    """Method and path, with something in the place of parameters."""
    return {
        (method.upper(), path.format_map(PARAMETERS))
        for app in (protocol_app(None), account_app(None))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }


CHARGED = charged_routes()
FREE = free_routes()
ROUTES = sorted(
    {(method, path) for path in {*CHARGED, *(path for _, path in FREE)} for method in METHODS}
)
every_route = pytest.mark.parametrize(("method", "path"), ROUTES)


def exists(method: str, path: str) -> bool:
    return (
        (method == "POST" and path in CHARGED) or (method, path) in FREE or asks_for(method, path)
    )


def is_managed(path: str) -> bool:
    """True if it takes a management key; tests/console asks by one."""
    return path.startswith(("/api/v1/keys", "/api/v1/accounts", "/api/v1/grants"))


def asks_for(method: str, path: str) -> bool:
    """True if it is about one response or request; `input_tokens` could be the id of one."""
    named = path.replace("/input_tokens", "/resp_1")
    return (method, named) in FREE and ("/responses/" in path or "/entries/" in path)


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    document = fleet(simulated.url)
    document["spec"]["models"].append({"id": "vectors", "upstream": "main", "embeddings": True})
    documents = [
        document,
        api_key("rich"),
        api_key("poor", "poor"),
        credit_grant("rich", credits=1_000_000),
    ]
    with running_gateway(tmp_path_factory.mktemp("routes"), documents) as process:
        yield process


def ask(
    gateway: GatewayProcess, simulated: Simulated, method: str, path: str, key: str | None
) -> tuple[httpx.Response, int]:
    """The answer, and how many requests it sent upstream."""
    model = "vectors" if path.endswith("/embeddings") else "kimi-k2.5"
    content: dict[str, Any] = {"input": "Hi", **body("messages", "Hi", model=model)}
    headers = {} if key is None else {"authorization": f"Bearer {gateway.key(key)}"}
    simulated.reset()
    response = gateway.http.request(method, path, json=content, headers=headers)
    return response, int(simulated.stats()["received"])


def test_the_table_is_the_one_we_mean() -> None:
    paths = {*PATHS.values(), EMBEDDINGS}
    doubled = {path.replace("/v1/", "/v1/v1/", 1) for path in paths}
    assert set(CHARGED) == {*paths, *doubled}
    assert {path for _, path in FREE if "/v1/v1/" not in path and not is_managed(path)} == {
        "/api/openai/v1/models",
        "/api/openai/v1/models/kimi-k2.5",
        "/api/openai/v1/responses/input_tokens",
        "/api/openai/v1/responses/resp_1",
        "/api/openai/v1/responses/resp_1/input_items",
        "/api/anthropic/v1/messages/count_tokens",
        "/api/anthropic/v1/models",
        "/api/anthropic/v1/models/kimi-k2.5",
        "/api/v1/account",
        "/api/v1/entries",
        "/api/v1/entries/req_1",
        "/api/v1/events",
        "/api/v1/models",
        "/api/v1/statement",
        "/api/v1/usage",
    }
    assert {
        (method, path) for method, path in FREE if method == "POST" and not is_managed(path)
    } == {
        ("POST", "/api/anthropic/v1/messages/count_tokens"),
        ("POST", "/api/anthropic/v1/v1/messages/count_tokens"),
        ("POST", "/api/openai/v1/responses/input_tokens"),
        ("POST", "/api/openai/v1/v1/responses/input_tokens"),
    }


@every_route
def test_without_a_key_no_route_is_served(
    gateway: GatewayProcess, simulated: Simulated, method: str, path: str
) -> None:
    response, sent = ask(gateway, simulated, method, path, None)
    assert response.status_code == (401 if exists(method, path) else 405)
    assert sent == 0


@every_route
def test_without_credits_only_free_routes_are_served(
    gateway: GatewayProcess, simulated: Simulated, method: str, path: str
) -> None:
    response, sent = ask(gateway, simulated, method, path, "poor")
    if method == "POST" and path in CHARGED:
        assert response.status_code == 402
    elif exists(method, path):
        refused = 403 if is_managed(path) else 404 if asks_for(method, path) else 200
        assert response.status_code == refused
    else:
        assert response.status_code == 405
    assert response.headers["x-credits-charged"] == "0"
    assert sent == 0


@every_route
def test_what_reaches_the_upstream_is_charged_and_nothing_else_is(
    gateway: GatewayProcess, simulated: Simulated, method: str, path: str
) -> None:
    before = gateway.balance(gateway.key("rich"))
    response, sent = ask(gateway, simulated, method, path, "rich")
    charged = method == "POST" and path in CHARGED
    assert (sent, response.headers["x-credits-charged"]) == (
        (1, str(PRICE)) if charged else (0, "0")
    )
    assert before - gateway.balance(gateway.key("rich")) == (PRICE if charged else 0)
    assert not charged or response.status_code == 200


def test_a_request_is_looked_up_by_its_id(gateway: GatewayProcess) -> None:
    headers = {
        "authorization": f"Bearer {gateway.key('rich')}",
        "idempotency-key": "once",
        "x-stainless-retry-count": "1",
    }
    answer = gateway.http.post(PATHS["chat"], json=body("chat", "Hi"), headers=headers)
    path = f"/api/v1/entries/{answer.headers['x-request-id']}"
    found = gateway.http.get(path, headers=headers).json()
    assert (found["object"], found["request_id"]) == ("request", answer.headers["x-request-id"])
    assert (found["model"], found["route"]) == ("kimi-k2.5", "chat")
    assert (found["idempotency_key"], found["retry_count"]) == ("once", 1)
    assert found["credits"] == int(answer.headers["x-credits-charged"]) == PRICE
    for key, looked_for in (("poor", path), ("rich", "/api/v1/entries/%00"), ("rich", f"{path}0")):
        response = gateway.http.get(looked_for, headers={"x-api-key": gateway.key(key)})
        assert response.status_code == 404
        assert "no charged request" in response.json()["error"]["message"]


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("slip", ["/{rest}/", "//{rest}", "//{rest}/", "///{rest}//"])
def test_a_slash_too_many_behind_a_base_url_is_served(
    gateway: GatewayProcess, simulated: Simulated, name: str, slip: str
) -> None:
    base = "/api/anthropic" if name == "messages" else "/api/openai/v1"
    path = base + slip.format(rest=PATHS[name].removeprefix(f"{base}/"))
    response, sent = ask(gateway, simulated, "POST", path, "rich")
    assert response.status_code == 200, response.text
    assert sent == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/openai/v1/models/", 200),
        ("/api/openai/v1//models", 200),
        ("/api/anthropic//v1/models/", 200),
        ("/api/v1/account/", 200),
        ("/api/openai//v1/models", 200),
        ("/api/openai/v1///models", 200),
        ("/api/openai/v1/models//", 200),
        ("/api/openai//v1//v1/models", 200),
        ("/api/anthropic//v1//models", 200),
        ("/api//openai/v1/models", 404),
        ("//api/openai/v1/models", 404),
        ("/api/v1//account", 404),
        ("/models/", 404),
    ],
)
def test_a_slash_too_many_elsewhere_is_another_path(
    gateway: GatewayProcess, simulated: Simulated, path: str, status: int
) -> None:
    assert ask(gateway, simulated, "GET", path, "rich")[0].status_code == status
