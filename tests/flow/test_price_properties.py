"""Random prices, usages and endings through a whole gateway: what is kept is the price, once."""

import json
import random
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from tests.flow.test_outcomes import Client
from tests.flow.test_token_prices import story
from tests.harness.books import check_books
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import GatewayProcess, api_key, credit_grant, fleet, wait_until
from tests.harness.raw import RawConnection, request_head
from tests.harness.scripted import ScriptedUpstream

GRANT = 10**12
FAILS = ("refused", "broken")
_MEMBERS = ("input", "cachedInput", "cacheWrite", "output")
_CHANCE = random.Random(14)


class Model(Struct, frozen=True):
    """A model's price for a message, and credits for a million tokens of each kind."""

    message: int
    rates: tuple[int, ...]
    cap: int

    def price(self, used: "Used") -> int:
        plain = used.prompt - used.cached - used.written
        tokens = (plain, used.cached, used.written, used.answer)
        parts = [rate * count for rate, count in zip(self.rates, tokens, strict=True)]
        return self.message + ceil(sum(parts) / 10**6)


class Used(Struct, frozen=True):
    """Tokens as an upstream reports them."""

    prompt: int
    cached: int
    written: int
    answer: int

    @property
    def reported(self) -> dict[str, Any]:
        details = {"cached_tokens": self.cached, "cache_write_tokens": self.written}
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.answer,
            "total_tokens": self.prompt + self.answer,
            "prompt_tokens_details": details,
        }


MODELS = [
    Model(
        _CHANCE.choice([0, 1, 20]),
        tuple(_CHANCE.choice([0, 1, 999_999, 10**6, 7_654_321]) for _ in _MEMBERS),
        _CHANCE.choice([50, 1_000]),
    )
    for _ in range(8)
]
shares = st.floats(0, 1)
# Zeros state nothing: then tokens are counted.
used = st.builds(
    lambda prompt, answer, cached, written: Used(
        prompt, int(prompt * cached), int(prompt * (1 - cached) * written), answer
    ),
    st.integers(1, 400),
    st.integers(1, 2_000),
    shares,
    shares,
)
requests = st.lists(
    st.tuples(
        st.sampled_from(range(len(MODELS))),
        used,
        st.sampled_from(["whole", "stream", "whole", "stream", "refused", "broken", "left"]),
    ),
    min_size=12,
    max_size=20,
)


@pytest.fixture(scope="module")
def client(
    module_database_url: str | None,
    upstream: ScriptedUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Client]:
    document = fleet(upstream.url)
    document["spec"]["models"] = [
        {
            "id": f"model-{number}",
            "upstream": "main",
            "maxOutputTokens": model.cap,
            "pricing": {"chatCreditsPerMessage": model.message}
            | {
                f"{member}CreditsPerMillionTokens": rate
                for member, rate in zip(_MEMBERS, model.rates, strict=True)
            },
        }
        for number, model in enumerate(MODELS)
    ]
    documents = [document, api_key("rich"), credit_grant("rich", credits=GRANT)]
    folder = tmp_path_factory.mktemp("price_properties")
    process = GatewayProcess(folder, documents, database_url=module_database_url).start()
    yield Client(process, process.key("rich"))
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


# A smaller example would need many requests.
@settings(derandomize=True, deadline=None, max_examples=3, phases=[Phase.generate])
@given(asked=requests)
def test_what_is_kept_of_a_charge_is_the_price(
    client: Client, upstream: ScriptedUpstream, asked: list[tuple[int, Used, str]]
) -> None:
    before = client.gateway.balance(client.key)
    ids = [ask(client, upstream, *each) for each in asked]
    spent = 0
    for request_id, (number, used, ending) in zip(ids, asked, strict=True):
        found = story(client, request_id)
        charged = -next(one["credits"] for one in found["entries"] if one["kind"] == "charge")
        if ending == "left":  # its prompt was counted
            used = Used(found["tokens"]["input"], 0, 0, found["tokens"]["output"])
        price = 0 if ending in FAILS else min(charged, MODELS[number].price(used))
        assert found["credits"] == price, (MODELS[number], used, ending)
        spent += price
    assert before - client.gateway.balance(client.key) == spent


def ask(client: Client, upstream: ScriptedUpstream, number: int, used: Used, ending: str) -> str:
    """The id of a request that ends so."""
    message = {"role": "assistant", "content": "Hello"}
    upstream.answer(message, [{"content": "Hello"}], usage=used.reported)
    failure = {"error": {"message": "no", "type": "server_error"}}
    if ending == "refused":
        upstream.send(failure)
    elif ending == "broken":
        upstream.stream([{"choices": [{"index": 0, "delta": {"content": "He"}}]}, failure])
    asked = {**body("chat", "Hello"), "model": f"model-{number}"}
    if ending == "left":
        leave(client, upstream, asked)
        found = client.gateway.http.get(
            "/api/v1/entries",
            params={"kind": "charge", "limit": 1},
            headers={"x-api-key": client.key},
        )
        return str(found.json()["data"][0]["request_id"])
    asked["stream"] = ending in ("stream", "broken")
    answer = client.gateway.http.post(PATHS["chat"], json=asked, headers={"x-api-key": client.key})
    assert ("error" in answer.text) == (ending in FAILS), answer.text
    return answer.headers["x-request-id"]


def leave(client: Client, upstream: ScriptedUpstream, asked: dict[str, Any]) -> None:
    """Hang up as soon as the upstream has the request."""
    upstream.silences = 1
    before = len(upstream.bodies)
    content = json.dumps(asked).encode()
    head = request_head("POST", PATHS["chat"], x_api_key=client.key, content_length=len(content))
    with RawConnection(client.gateway.port) as connection:
        connection.send(head + content)
        wait_until(lambda: len(upstream.bodies) > before, "the request")
