"""Embeddings from upstreams of OpenAI's kind and Gemini, by what the released SDK gets and pays."""

import array
import base64
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from gateway.upstream.simulated.embeddings import vector_of
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
    wait_until,
)
from tests.sdk.conftest import openai_client

TEXTS = ["one text", "zwei Texte", "三"]
#: a million credits for a million tokens: a credit a token
PRICES = {"chatCreditsPerMessage": 0, "inputCreditsPerMillionTokens": 1_000_000}


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    document = fleet(simulated.url)
    spec = document["spec"]
    spec["upstreams"].append({**spec["upstreams"][0], "name": "google", "dialect": "gemini"})
    spec["models"] += [
        {"id": "vectors", "upstream": "main", "upstreamModel": "bge", "embeddings": True},
        {"id": "googles", "upstream": "google", "upstreamModel": "gemini-embedding-001",
         "embeddings": True},
        {"id": "metered", "upstream": "main", "embeddings": True, "pricing": PRICES},
        {"id": "metered-googles", "upstream": "google", "embeddings": True, "pricing": PRICES},
    ]  # fmt: skip
    documents = [document, api_key("mine"), credit_grant("start", credits=10_000)]
    with running_gateway(tmp_path_factory.mktemp("embeddings"), documents) as process:
        yield process


def client_of(gateway: GatewayProcess) -> openai.OpenAI:
    client: openai.OpenAI = openai_client("sync", gateway, gateway.key("mine"))
    return client


def post(gateway: GatewayProcess, **body_: Any) -> Any:
    headers = {"x-api-key": gateway.key("mine")}
    return gateway.http.post("/api/openai/v1/embeddings", json=body_, headers=headers)


def paid(gateway: GatewayProcess, before: int) -> int:
    return before - gateway.balance(gateway.key("mine"))


def await_balance(gateway: GatewayProcess, balance: int) -> None:
    """Unused credits are given back right behind the answer."""
    wait_until(lambda: gateway.balance(gateway.key("mine")) == balance, f"a balance of {balance}")


@pytest.mark.parametrize("model", ["vectors", "googles"])
@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}], ids=["base64", "float"])
def test_texts_become_vectors(gateway: GatewayProcess, model: str, encoding: Any) -> None:
    """Without a word about it the SDK asks for base64."""
    before = gateway.balance(gateway.key("mine"))
    answer = client_of(gateway).embeddings.create(model=model, input=TEXTS, **encoding)
    assert [each.embedding for each in answer.data] == [vector_of(text) for text in TEXTS]
    assert [each.index for each in answer.data] == [0, 1, 2]
    assert (answer.model, answer.object) == (model, "list")
    [one] = client_of(gateway).embeddings.create(model=model, input="one", dimensions=4).data
    assert one.embedding == vector_of("one", 4)
    assert paid(gateway, before) == 4, "two requests, however many texts"


def test_a_client_sees_which_models_make_vectors(gateway: GatewayProcess) -> None:
    headers = {"x-api-key": gateway.key("mine")}
    listed = gateway.http.get("/api/v1/models", headers=headers).json()["data"]
    found = {each["id"] for each in listed if each["embeddings"]}
    assert (
        found
        == {"vectors", "googles", "metered", "metered-googles"}
        < {each["id"] for each in listed}
    )


def test_base64_is_little_endian_floats(gateway: GatewayProcess) -> None:
    for model in ("vectors", "googles"):
        [item] = post(gateway, model=model, input="one", encoding_format="base64").json()["data"]
        assert array.array("f", base64.b64decode(item["embedding"])).tolist() == vector_of("one")


def test_token_ids_go_as_they_are(gateway: GatewayProcess) -> None:
    client = client_of(gateway)
    one = client.embeddings.create(model="vectors", input=[1, 22, 333])
    assert [each.embedding for each in one.data] == [vector_of("1 22 333")]
    two = client.embeddings.create(model="vectors", input=[[1, 2], [3]])
    assert [each.embedding for each in two.data] == [vector_of("1 2"), vector_of("3")]
    with pytest.raises(openai.BadRequestError, match="no token ids"):
        client.embeddings.create(model="googles", input=[1])


def test_tokens_are_paid_as_they_are_counted(gateway: GatewayProcess) -> None:
    """Gemini states no usage here, so its tokens are counted from the texts, and marked."""
    for model, is_counted in (("metered", False), ("metered-googles", True)):
        before = gateway.balance(gateway.key("mine"))
        response = post(gateway, model=model, input=["one two three", "four five"])
        usage = response.json()["usage"]
        assert usage == {"prompt_tokens": 5, "total_tokens": 5, "credits": 5}
        assert response.headers["x-credits-charged"] == "5"
        await_balance(gateway, before - 5)
        path = f"/api/v1/entries/{response.headers['x-request-id']}"
        entry = gateway.http.get(path, headers={"x-api-key": gateway.key("mine")}).json()
        assert entry["route"] == "embeddings"
        assert bool((entry["price"] or {}).get("counted")) == is_counted


@pytest.mark.parametrize("model", ["vectors", "googles"])
def test_what_is_no_answer_costs_nothing(gateway: GatewayProcess, model: str) -> None:
    before = gateway.balance(gateway.key("mine"))
    for text, status in (("!vectors 3", 502), ("!error 503", 503), ("!hang-up", 502)):
        refused = post(gateway, model=model, input=[text, "another"])
        assert refused.status_code == status, refused.text
        assert refused.headers["x-credits-charged"] == "0"
    assert paid(gateway, before) == 0


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a", 1]}, "input.1"),
        ({"input": [[1], "a"]}, "input.1"),
        ({"input": [-1]}, "input.0"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "model": "open"}, "model"),
        ({}, "input"),
    ],
)
def test_a_wrong_request_is_refused_by_its_field(
    gateway: GatewayProcess, given: dict[str, Any], parameter: str
) -> None:
    refused = post(gateway, **{"model": "vectors", **given})
    assert refused.status_code == 400, refused.text
    error = refused.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", parameter)
    assert refused.headers["x-credits-charged"] == "0"


@pytest.mark.parametrize("route", PATHS)
def test_a_model_for_embeddings_does_not_chat(gateway: GatewayProcess, route: str) -> None:
    headers = {"x-api-key": gateway.key("mine")}
    refused = gateway.http.post(
        PATHS[route], json=body(route, "Hi", model="vectors"), headers=headers
    )
    assert refused.status_code == 400
    assert "is for embeddings only" in refused.json()["error"]["message"]
