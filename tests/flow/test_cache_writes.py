"""Tokens that a provider wrote to its cache: their count reaches the client, the metrics and the
ledger, whichever dialects client and upstream speak."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flow.passthrough import PassthroughClient, gateway_before
from tests.harness.dialects import DIALECTS, PATHS, body, events
from tests.harness.gateway import GatewayProcess, Simulated, wait_until

MODELS = {"chat": "open", "messages": "claude", "responses": "gpt"}
SCRIPT = "!cached 30\n!cache-write 40\n!answer Hello"
COUNTED = re.compile(r'faregate_tokens_total\{.*direction="cache_write".*model="(.+?)"\} (\d+)')


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    upstreams: list[dict[str, Any]] = [
        {"name": name, "dialect": name} for name in ("messages", "responses")
    ]
    models = [
        {"id": "claude", "upstream": "messages", "upstreamModel": "claude-new"},
        {"id": "gpt", "upstream": "responses", "upstreamModel": "gpt-5"},
    ]
    folder = tmp_path_factory.mktemp("cache_writes")
    with gateway_before(simulated.url, folder, upstreams, models) as process:
        yield process


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess, simulated: Simulated) -> Iterator[PassthroughClient]:
    with PassthroughClient(gateway, simulated) as made:
        yield made


def usage_of(dialect: str, text: str) -> dict[str, Any]:
    """The usage that stands last in a stream."""
    found = [data for _, data in events(text) if isinstance(data, dict)]
    if dialect == "responses":
        found = [data["response"] for data in found if "response" in data]
    last: dict[str, Any] = [data["usage"] for data in found if data.get("usage")][-1]
    return last


def written(dialect: str, usage: dict[str, Any]) -> tuple[int, int, int]:
    """Input with all its parts, what of it was read from a cache, and what was written to one."""
    if dialect == "messages":
        read, wrote = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
        return usage["input_tokens"] + read + wrote, read, wrote
    name = "prompt_tokens" if dialect == "chat" else "input_tokens"
    details = usage[f"{name}_details"]
    return usage[name], details["cached_tokens"], details["cache_write_tokens"]


def counted(gateway: GatewayProcess) -> dict[str, int]:
    return {model: int(value) for model, value in COUNTED.findall(gateway.metrics())}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("upstream", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_count_is_in_the_answer_the_metrics_and_the_ledger(
    gateway: GatewayProcess, client: PassthroughClient, dialect: str, upstream: str, stream: bool
) -> None:
    model = MODELS[upstream]
    before = counted(gateway).get(model, 0)
    asked = body(dialect, SCRIPT, model=model, stream=stream)
    if dialect == "chat" and stream:
        asked["stream_options"] = {"include_usage": True}
    response = client.http.post(PATHS[dialect], json=asked)
    assert response.status_code == 200, response.text
    usage = usage_of(dialect, response.text) if stream else response.json()["usage"]
    total, read, wrote = written(dialect, usage)
    assert (read, wrote) == (30, 40)

    path = f"/api/v1/entries/{response.headers['x-request-id']}"
    wait_until(lambda: client.http.get(path).json()["tokens"] is not None, "the end to be written")
    tokens = client.http.get(path).json()["tokens"]
    assert (tokens["input"], tokens["cached"], tokens["cache_write"]) == (total, 30, 40)
    assert counted(gateway)[model] - before == 40
