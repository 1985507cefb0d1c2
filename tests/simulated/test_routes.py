"""Routes beside the chat: models, counters, kept requests, credentials, and what does not exist."""

import asyncio

import httpx
import pytest

from gateway.upstream.simulated.server import running
from tests.simulated.talk import Talk


def test_models_are_listed_with_what_they_can(talk: Talk) -> None:
    listed = talk.http.get("/models").json()
    assert listed["object"] == "list"
    ids = [model["id"] for model in listed["data"]]
    assert {"kimi-k2.5", "kimi-k2.6", "kimi-k2.7-code", "kimi-k3", "generic"} <= set(ids)
    for model in listed["data"]:
        assert talk.http.get(f"/models/{model['id']}").json() == model
        assert model["context_length"] > 0


def test_an_unknown_model_of_moonshot_s_is_not_found(talk: Talk) -> None:
    for response in (
        talk.http.get("/models/kimi-k9"),
        talk.post("x", model="kimi-k9"),
        talk.post("x", model="moonshot-v1-8k"),
    ):
        assert response.status_code == 404
        assert response.json()["error"]["type"] == "resource_not_found_error"
    assert "kimi-k9" in talk.post("x", model="kimi-k9").json()["error"]["message"]


def test_tokens_are_estimated_as_an_answer_counts_them(talk: Talk) -> None:
    body = {name: talk.body("Four words are here")[name] for name in ("model", "messages")}
    estimate = talk.http.post("/tokenizers/estimate-token-count", json=body).json()
    usage = talk.post("Four words are here").json()["usage"]
    assert estimate == {"data": {"total_tokens": usage["prompt_tokens"]}}
    for text, status in (("!error 503", 503), ("!chunks many", 400)):
        body = talk.body(text)
        assert talk.http.post("/tokenizers/estimate-token-count", json=body).status_code == status
    assert talk.http.post("/tokenizers/estimate-token-count", json={}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/chat/completions"), ("POST", "/v1/audio"), ("GET", "/"), ("PUT", "/stats")],
)
def test_other_routes_are_not_found(talk: Talk, method: str, path: str) -> None:
    response = talk.http.request(method, talk.url.replace("/v1", path))
    assert response.status_code == 404
    assert set(response.json()["error"]) == {"message", "type"}


def test_requests_are_kept_as_they_came_newest_last(talk: Talk) -> None:
    talk.post("first")
    headers = {"authorization": "Bearer sk-secret", "x-marker": "seen"}
    talk.http.post("/chat/completions", json=talk.body("second", seed=1), headers=headers)
    talk.http.post("/chat/completions", content=b"{no json")
    first, second, third = talk.requests()
    assert first["body"] == talk.body("first")
    assert second["body"] == talk.body("second", seed=1)
    assert second["headers"]["x-marker"] == "seen"
    assert "authorization" not in second["headers"]
    assert third["body"] == "{no json"


def test_only_the_last_two_hundred_requests_are_kept(talk: Talk) -> None:
    for number in range(203):
        talk.http.post("/chat/completions", content=str(number).encode())
    assert [kept["body"] for kept in talk.requests()] == list(range(3, 203))
    talk.reset()
    assert talk.requests() == []
    assert talk.stats()["received"] == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"model": 1}',
        b'{"model": "x", "messages": []}',
        b'{"model": "x", "messages": ["hi"]}',
        b'{"model": "x", "messages": [{"role": "user"}], "n": 0}',
        b'{"model": "x", "messages": [{"role": "user"}], "tools": [1]}',
        b'{"model": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_what_no_engine_can_read_is_refused(talk: Talk, content: bytes) -> None:
    response = talk.http.post("/chat/completions", content=content)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert talk.stats()["refused"] == 1


def test_a_wrong_credential_is_refused_everywhere_but_for_the_counters() -> None:
    async def story() -> None:
        async with (
            running(api_key="sk-right") as url,
            httpx.AsyncClient(base_url=url, trust_env=False) as client,
        ):
            body = {"model": "generic", "messages": [{"role": "user", "content": "x"}]}
            for headers in ({}, {"authorization": "Bearer sk-wrong"}, {"x-api-key": "sk-right"}):
                for response in (
                    await client.post("/chat/completions", json=body, headers=headers),
                    await client.get("/models", headers=headers),
                    await client.get(url.replace("/v1", "/stats/requests"), headers=headers),
                ):
                    assert response.status_code == 401
                    assert response.json()["error"]["type"] == "invalid_authentication_error"
            right = {"authorization": "Bearer sk-right"}
            good = await client.post("/chat/completions", json=body, headers=right)
            assert good.status_code == 200
            assert (await client.get(url.replace("/v1", "/stats"))).json()["refused"] == 3

    asyncio.run(story())
