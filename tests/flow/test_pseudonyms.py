"""No provider learns what clients call their people and sessions, and none can put two accounts
together by it: every dialect of a client, every dialect of an upstream."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.dialects import DIALECTS, PATHS, body
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)

PERSON, SESSION = "alice@example.com", "session-of-alice"
#: the upstream's dialect, with a model that every client's request is translated for, and one that
#: takes the request of a client of its own dialect as it is
MODELS = {
    "chat": ("kimi-k2.5",),
    "messages": ("kimi-messages", "claude"),
    "responses": ("kimi-responses", "gpt"),
}


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    upstreams: list[dict[str, Any]] = [{"name": "main", "url": simulated.url}]
    upstreams += [
        {"name": name, "url": simulated.url, "dialect": name} for name in ("messages", "responses")
    ]
    document = fleet(simulated.url, upstreams=upstreams)
    document["spec"]["models"] += [
        {"id": "kimi-messages", "upstream": "messages", "upstreamModel": "kimi-k2.5"},
        {"id": "claude", "upstream": "messages", "upstreamModel": "claude-new"},
        {
            "id": "kimi-responses",
            "upstream": "responses",
            "upstreamModel": "kimi-k3",
            "reasoning": {"force": "on"},
        },
        {"id": "gpt", "upstream": "responses", "upstreamModel": "gpt-5.1"},
    ]
    documents = [document]
    for name in ("alice", "bob"):
        documents += [api_key(name, name), credit_grant(name, name, credits=100_000)]
    with running_gateway(tmp_path_factory.mktemp("pseudonyms"), documents) as process:
        yield process


def naming(dialect: str, person: str, session: str) -> dict[str, Any]:
    """The members by which a client names the two."""
    if dialect == "messages":
        user_id = json.dumps({"device_id": person, "session_id": session})
        return {"metadata": {"user_id": user_id}}
    named = {"user": person, "metadata": {"who": person}, "prompt_cache_key": session}
    if dialect == "responses":
        named["client_metadata"] = {"session": session}
    return named


def sent_upstream(
    gateway: GatewayProcess, simulated: Simulated, key: str, dialect: str, model: str, **named: Any
) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {gateway.key(key)}"}
    asked = body(dialect, "!answer Yes", model=model, **named)
    answer = httpx.post(
        f"{gateway.url}{PATHS[dialect]}", json=asked, headers=headers, trust_env=False, timeout=20
    )
    assert answer.status_code == 200, answer.text
    seen = simulated.requests()[-1]
    assert PERSON not in json.dumps(seen)
    assert SESSION not in json.dumps(seen)
    found: dict[str, Any] = seen["body"]
    return found


def names_of(sent: dict[str, Any]) -> tuple[str | None, str | None]:
    person = sent.get("safety_identifier") or sent.get("metadata", {}).get("user_id")
    return person, sent.get("prompt_cache_key")


@pytest.mark.parametrize("upstream", MODELS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_are_hidden_and_stay_equal_within_an_account_only(
    gateway: GatewayProcess, simulated: Simulated, dialect: str, upstream: str
) -> None:
    for model in MODELS[upstream]:

        def names(key: str, session: str = SESSION, model: str = model) -> Any:
            named = naming(dialect, PERSON, session)
            return names_of(sent_upstream(gateway, simulated, key, dialect, model, **named))

        alice = names("alice")
        person, session = alice
        assert person is not None
        assert len(person) == 32
        assert names("alice") == alice, "equal names stay equal, or no cache would be hit"
        assert names("bob")[0] != person
        if upstream != "messages":  # that dialect has no word for it
            assert session is not None
            assert session != person
            assert names("bob")[1] != session
            assert names("alice", f"{SESSION}-2")[1] != session


def test_one_name_is_one_pseudonym_in_every_dialect(
    gateway: GatewayProcess, simulated: Simulated
) -> None:
    seen = set()
    for dialect, named in (
        ("chat", {"safety_identifier": PERSON, "user": "someone else"}),
        ("chat", {"user": PERSON}),
        ("responses", {"safety_identifier": PERSON}),
        ("messages", {"metadata": {"user_id": PERSON}}),
    ):
        for model in ("kimi-k2.5", "claude", "gpt"):
            sent = sent_upstream(gateway, simulated, "alice", dialect, model, **named)
            seen.add(names_of(sent)[0])
    assert len(seen) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_who_is_not_named_gets_no_name(
    gateway: GatewayProcess, simulated: Simulated, dialect: str
) -> None:
    for model in ("kimi-k2.5", "claude", "gpt"):
        assert names_of(sent_upstream(gateway, simulated, "alice", dialect, model)) == (None, None)
