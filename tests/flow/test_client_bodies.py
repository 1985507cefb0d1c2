"""Bodies in forms that clients choose, at a real gateway: served and charged like any other."""

import json
from collections.abc import Iterator

import pytest

from tests.harness.books import check_books
from tests.harness.codings import CODERS
from tests.harness.dialects import DIALECTS, PATHS, body
from tests.harness.gateway import GatewayProcess, Simulated, api_key, credit_grant, fleet

MIB = 2**20
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [fleet(simulated.url), api_key("rich"), credit_grant("rich", credits=10_000)]
    process = GatewayProcess(tmp_path_factory.mktemp("bodies"), documents).start()
    process.http.headers["x-api-key"] = process.key("rich")
    yield process
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


@pytest.mark.parametrize("size", [0, 5 * MIB], ids=["short", "of many pieces"])
@pytest.mark.parametrize("coding", CODERS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_compressed_body_is_served(
    gateway: GatewayProcess, dialect: str, coding: str, size: int
) -> None:
    content = CODERS[coding](json.dumps(body(dialect, "Hi")).encode().ljust(size))
    headers = {"content-encoding": coding}
    response = gateway.http.post(PATHS[dialect], content=content, headers=headers)
    assert response.status_code == 200, response.text
    assert "You said: Hi" in response.text
    assert int(response.headers["x-credits-charged"]) > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_body_of_responses_is_answered_as_chat(gateway: GatewayProcess, stream: bool) -> None:
    """As Cursor sends it."""
    asked = {
        "model": body("chat", "Hi")["model"],
        "stream": stream,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        ],
        "tools": [LOOK, {"type": "custom", "name": "ApplyPatch"}],
    }
    response = gateway.http.post(PATHS["chat"], json=asked)
    assert response.status_code == 200, response.text
    degraded = response.headers["x-faregate-degraded"]
    assert {"input.reasoning", "tools.custom"} <= set(degraded.replace(" ", "").split(","))
    kind = "chat.completion.chunk" if stream else "chat.completion"
    assert f'"object":"{kind}"' in response.text
    assert int(response.headers["x-credits-charged"]) > 0
