"""One gateway for all the judges, and their clients, blocking and async."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from gateway.process.standalone.secret_files import SecretFiles
from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)
from tests.sdk.driven import Judge
from tests.sdk.upstream import Upstream

KINDS = ["sync", "async"]
#: long enough for any answer, short enough for a test that hangs
TIMEOUT_SECONDS = 20


@pytest.fixture(scope="package")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    document = fleet(
        simulated.url,
        limits={"firstByteSeconds": 0.3, "keepAliveSeconds": 0.2, "bodyBytes": 200_000},
    )
    document["spec"]["models"].append({"id": "vectors", "upstream": "main", "embeddings": True})
    documents = [
        document,
        api_key("rich", "rich"),
        api_key("poor", "poor"),
        api_key("narrow", "rich", models=["open"]),
        api_key("slow", "slow", limits={"requestsPerMinute": 1}),
        api_key("single", "rich", limits={"concurrentRequests": 1}),
        api_key("other", "other"),
        credit_grant("rich", "rich", credits=1_000_000),
        credit_grant("slow", "slow", credits=1_000_000),
        credit_grant("other", "other", credits=1_000_000),
    ]
    with running_gateway(tmp_path_factory.mktemp("sdk"), documents) as process:
        yield process


@pytest.fixture(scope="package")
def upstream(simulated: Simulated) -> Iterator[Upstream]:
    made = Upstream(simulated)
    yield made
    made.close()


@pytest.fixture(scope="package")
def secret(gateway: GatewayProcess) -> dict[str, str]:
    """The Secret of the key, made to be taken over as environment as it is."""
    gateway.key("rich")  # makes it known to the canary
    return SecretFiles(gateway.data / "secrets").read(NAMESPACE, "rich-secret")


def openai_client(kind: str, gateway: GatewayProcess, key: str, **options: Any) -> Any:
    """An OpenAI client as people make it, with few retries and little patience."""
    make = openai.OpenAI if kind == "sync" else openai.AsyncOpenAI
    given = {"max_retries": 0, "timeout": TIMEOUT_SECONDS, **options}
    return make(api_key=key, base_url=f"{gateway.url}/api/openai/v1", **given)


def anthropic_client(kind: str, gateway: GatewayProcess, key: str, **options: Any) -> Any:
    """The same for Anthropic."""
    make = anthropic.Anthropic if kind == "sync" else anthropic.AsyncAnthropic
    given = {"max_retries": 0, "timeout": TIMEOUT_SECONDS, **options}
    return make(auth_token=key, base_url=f"{gateway.url}/api/anthropic", **given)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which of an SDK's two clients is at work."""
    return str(request.param)


@pytest.fixture(scope="module")
def chat_client(kind: str, gateway: GatewayProcess) -> Iterator[Any]:
    """An OpenAI client with a key of an account that has credits."""
    with Judge(openai_client(kind, gateway, gateway.key("rich"))) as judge:
        yield judge.client


@pytest.fixture(scope="module")
def messages_client(kind: str, gateway: GatewayProcess) -> Iterator[Any]:
    """An Anthropic client with the same key."""
    with Judge(anthropic_client(kind, gateway, gateway.key("rich"))) as judge:
        yield judge.client
