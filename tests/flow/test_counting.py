"""Counting tokens over HTTP: who counted, by a vocabulary of one's own, and in a burst."""

import statistics
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.core.test_tokens import ranks
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)
from tests.harness.pdf import pdf

PATH = "/api/anthropic/v1/messages/count_tokens"
FOX = "The quick brown fox jumps over the lazy dog.\n"
#: what a body of one message costs beside its text
FRAME = 8


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [fleet(simulated.url), api_key("rich"), credit_grant("rich", credits=1_000_000)]
    with running_gateway(tmp_path_factory.mktemp("counting"), documents) as process:
        yield process


def ask(
    gateway: GatewayProcess,
    content: Any,
    client: httpx.Client | None = None,
    *,
    model: str = "kimi-k2.5",
    key: str = "rich",
    **more: Any,
) -> httpx.Response:
    message = {"role": "user", "content": content}
    response = (client or gateway.http).post(
        PATH,
        json={"model": model, "messages": [message], **more},
        headers={"x-api-key": gateway.key(key)},
    )
    assert response.status_code == 200, response.text
    return response


def count(gateway: GatewayProcess, content: Any) -> int:
    return int(ask(gateway, content).json()["input_tokens"])


def document(data: bytes) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": b64encode(data).decode()}
    return {"type": "document", "source": source}


def test_the_header_states_who_counted(gateway: GatewayProcess) -> None:
    response = ask(gateway, "hello world")

    assert response.json() == {"input_tokens": FRAME + 2}
    assert response.headers["x-faregate-token-counter"] == "o200k"
    assert response.headers["x-credits-charged"] == "0"


def test_documents_count_as_their_text(gateway: GatewayProcess) -> None:
    heading = count(gateway, "[document untitled]")

    assert count(gateway, [document(pdf("The quick brown fox."))]) == heading + 5
    assert heading < count(gateway, [document(b"%PDF-1.7 broken")]) < heading + 20


def test_a_vocabulary_of_one_s_own_counts(simulated: Simulated, tmp_path: Path) -> None:
    file = tmp_path / "tiktoken.model"
    file.write_bytes(ranks("he", "ll", "hell", "hello"))
    process = GatewayProcess(
        tmp_path,
        [fleet(simulated.url), api_key("rich")],
        environment={"FAREGATE_VOCABULARY_FILE": str(file)},
    ).start()
    response = ask(process, "hello好")
    assert process.stop() == 0, process.log_text()

    assert response.json() == {"input_tokens": FRAME + 4}
    assert response.headers["x-faregate-token-counter"] == "file"


@pytest.mark.parametrize("content", [None, b"", b"no ranks at all"])
def test_a_file_that_is_no_vocabulary_stops_the_start(
    simulated: Simulated, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "tiktoken.model"
    if content is not None:
        file.write_bytes(content)
    process = GatewayProcess(
        tmp_path,
        [fleet(simulated.url)],
        environment={"FAREGATE_VOCABULARY_FILE": str(file)},
    )
    process.spawn(process._arguments(True), process.environment)

    assert process.wait() == 1
    assert f"FAREGATE_VOCABULARY_FILE is no vocabulary: {file}" in process.log_text()
    assert "Traceback" not in process.log_text()


@pytest.fixture(
    scope="module", params=[("chat", "estimate"), ("messages", "messages"), ("gemini", "gemini")]
)
def asking(
    request: pytest.FixtureRequest,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    """A gateway whose upstream counts itself, in each of the dialects that can."""
    dialect, counter = request.param
    main = {"name": "main", "url": simulated.url, "dialect": dialect, "tokenCounter": counter}
    documents = [
        fleet(simulated.url, upstreams=[main]),
        api_key("rich"),
        api_key("narrow", models=["open"]),
    ]
    process = GatewayProcess(tmp_path_factory.mktemp("asking"), documents).start()
    yield process
    assert process.stop() == 0, process.log_text()


def test_the_upstream_counts_where_it_can(asking: GatewayProcess) -> None:
    response = ask(asking, [{"type": "text", "text": "Read"}, document(pdf("four words are here"))])

    assert response.headers["x-faregate-token-counter"] == "upstream"
    assert response.json() == {"input_tokens": 7}


def test_tools_are_added_where_the_upstream_leaves_them_out(
    asking: GatewayProcess,
) -> None:
    tool = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
    plain = ask(asking, "three little words").json()["input_tokens"]
    response = ask(asking, "three little words", tools=[tool])

    assert response.headers["x-faregate-token-counter"] == "upstream"
    assert plain == 3
    if "estimate" in asking.config.read_text():
        assert response.json()["input_tokens"] > plain + 10
    else:  # the simulated upstream takes them, and answers as it likes
        assert response.json()["input_tokens"] == plain


def test_responses_count_alike(asking: GatewayProcess) -> None:
    response = asking.http.post(
        "/api/openai/v1/responses/input_tokens",
        json={"model": "kimi-k2.5", "input": "three little words"},
        headers={"x-api-key": asking.key("rich")},
    )

    assert response.json() == {"object": "response.input_tokens", "input_tokens": 3}
    assert response.headers["x-faregate-token-counter"] == "upstream"


@pytest.mark.parametrize(
    "asked",
    [
        {"content": "!error 500"},
        {"content": "!silence 20"},
        {"content": "hello", "model": "dead"},
        {"content": "hello", "model": "nobody's"},
        {"content": "hello", "key": "narrow"},
        {
            "content": [
                {"type": "image", "source": {"type": "url", "url": "https://example.test/a.png"}}
            ]
        },
    ],
    ids=["failed", "silent", "gone", "unknown", "not allowed", "not for it"],
)
def test_where_it_does_not_count_the_vocabulary_does(
    asking: GatewayProcess, asked: dict[str, Any]
) -> None:
    response = ask(asking, **asked)

    assert response.headers["x-faregate-token-counter"] == "o200k"
    assert response.json()["input_tokens"] >= FRAME


def first_byte_seconds(gateway: GatewayProcess, key: str) -> float:
    """The seconds until a streamed answer begins."""
    content = {**body("chat", "Hello"), "stream": True}
    began = time.perf_counter()
    headers = {"authorization": f"Bearer {key}"}
    with gateway.http.stream("POST", PATHS["chat"], json=content, headers=headers) as response:
        assert response.status_code == 200
        next(response.iter_raw())
        return time.perf_counter() - began


def test_a_burst_of_long_counts_delays_no_first_byte(gateway: GatewayProcess) -> None:
    """Each count is 300,000 tokens: without rests, the last would keep the others for seconds."""
    key = gateway.key("rich")
    long = FOX * 30_000
    alone = count(gateway, long)
    assert alone == FRAME + 300_000
    quiet = [first_byte_seconds(gateway, key) for _ in range(30)]
    with ThreadPoolExecutor(25) as threads, _client(gateway) as client:
        counts = [threads.submit(ask, gateway, long, client) for _ in range(25)]
        busy = []
        while not all(each.done() for each in counts):
            busy.append(first_byte_seconds(gateway, key))
        assert {each.result().json()["input_tokens"] for each in counts} == {alone}

    # One count in one piece takes some 150 ms, and all of them some 3 s.
    assert len(busy) > 10
    assert statistics.median(busy) < 5 * statistics.median(quiet) + 0.03


def _client(gateway: GatewayProcess) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, timeout=60, trust_env=False)
