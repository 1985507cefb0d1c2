"""Requests to models with token prices: the most is charged, and what is not used goes back."""

import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.store.database import Database
from tests.flow.test_cache_writes import usage_of
from tests.flow.test_outcomes import Client
from tests.flow.test_places import waiting
from tests.harness.books import Books
from tests.harness.dialects import DIALECTS, PATHS
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
    wait_until,
)
from tests.harness.ports import free_port

GRANT = 10**9
CAP = 2_000
#: credits for one token of each kind, and for a message
INPUT, CACHED, CACHE_WRITE, OUTPUT, MESSAGE, IMAGE = 3, 1, 4, 15, 7, 11
CACHE_WRITE_HOUR = 6
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
#: models that see images, and that do not
_SIGHT = {
    "seeing": {"upstreamModel": "open-weights", "profile": "generic"},
    "blind": {"upstreamModel": "deepseek-chat", "profile": "deepseek"},
}
MODELS = {"chat": "open", "messages": "claude", "responses": "gpt"}
SCRIPT = "!cached 30\n!cache-write 40\n!answer Hello, how are you today?"


@pytest.fixture(scope="module")
def gateway(
    module_database_url: str | None,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    document = fleet(simulated.url)
    spec = document["spec"]
    spec["pricing"] = {
        "chatCreditsPerMessage": MESSAGE,
        "inputCreditsPerMillionTokens": INPUT * 10**6,
        "cachedInputCreditsPerMillionTokens": CACHED * 10**6,
        "cacheWriteCreditsPerMillionTokens": CACHE_WRITE * 10**6,
        "cacheWriteHourCreditsPerMillionTokens": CACHE_WRITE_HOUR * 10**6,
        "outputCreditsPerMillionTokens": OUTPUT * 10**6,
        "perImage": IMAGE,
        "rows": [{"abovePromptTokens": 9_000, "inputCreditsPerMillionTokens": 2 * INPUT * 10**6}],
    }
    spec["upstreams"] += [
        {"name": name, "url": simulated.url, "dialect": name} for name in ("messages", "responses")
    ]
    spec["models"] += [
        {"id": "claude", "upstream": "messages", "upstreamModel": "claude-new"},
        {"id": "gpt", "upstream": "responses", "upstreamModel": "gpt-5"},
        *(
            {
                "id": f"{first}-{second}",
                "upstream": "nobody",
                **_SIGHT[first],
                "fallbacks": [{"upstream": "main", **_SIGHT[second]}],
            }
            for first, second in (("blind", "seeing"), ("seeing", "blind"))
        ),
    ]
    spec["upstreams"].append({"name": "nobody", "url": f"http://127.0.0.1:{free_port()}/v1"})
    for model in spec["models"]:
        model["maxOutputTokens"] = CAP
    documents = [
        document,
        api_key("rich", "rich"),
        api_key("poor", "poor"),
        api_key("capped", "rich", limits={"creditsPerDay": 100_000}),
        credit_grant("rich", "rich", credits=GRANT),
        credit_grant("poor", "poor", credits=1_000),
    ]
    folder = tmp_path_factory.mktemp("token_prices")
    with running_gateway(folder, documents, database_url=module_database_url) as process:
        yield process


either_sight = pytest.mark.parametrize(
    ("model", "images"), [("blind-seeing", 1), ("seeing-blind", 0)]
)


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Client:
    return Client(gateway, gateway.key("rich"))


def story(client: Client, request_id: str) -> dict[str, Any]:
    """All about a request, once its end is written."""

    def read() -> dict[str, Any]:
        headers = {"x-api-key": client.key}
        answer = client.gateway.http.get(f"/api/v1/entries/{request_id}", headers=headers)
        found: dict[str, Any] = answer.json()
        return found

    wait_until(lambda: read()["state"] != "open", "the end to be written")
    return read()


def leave_behind(
    client: Client, dialect: str, text: str, mark: str, times: int = 1, **more: Any
) -> dict[str, Any]:
    """Hang up once a mark has come so many times in a stream; all about the request."""
    received = ""
    with client.stream(dialect, text, **more) as response:
        request_id = response.headers["x-request-id"]
        for piece in response.iter_text():
            received += piece
            if received.count(mark) >= times:
                break
    return story(client, request_id)


def price_of(tokens: dict[str, int]) -> int:
    plain = tokens["input"] - tokens["cached"] - tokens["cache_write"]
    given = plain * INPUT + tokens["cached"] * CACHED + tokens["cache_write"] * CACHE_WRITE
    return MESSAGE + given + tokens["output"] * OUTPUT


def credits_of(gateway: GatewayProcess, kind: str) -> int:
    found = re.findall(rf'faregate_credits_total\{{.*kind="{kind}".*\}} (\S+)', gateway.metrics())
    return int(sum(map(float, found)))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("upstream", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_request_costs_what_it_used(
    client: Client, dialect: str, upstream: str, stream: bool
) -> None:
    more: dict[str, Any] = {"model": MODELS[upstream]}
    if dialect == "chat" and stream:
        more["stream_options"] = {"include_usage": True}
    before = client.gateway.balance(client.key)
    unused_before = credits_of(client.gateway, "refund_unused")
    response = client.ask(dialect, SCRIPT, stream=stream, **more)
    assert response.status_code == 200, response.text

    found = story(client, response.headers["x-request-id"])
    price = price_of(found["tokens"])
    assert found["tokens"]["cached"] == 30
    assert (found["state"], found["credits"]) == ("ended", price)
    assert found["price"]["credits"] == price
    assert found["price"]["messages"] == MESSAGE
    assert "counted" not in found["price"]
    assert before - client.gateway.balance(client.key) == price
    usage = usage_of(dialect, response.text) if stream else response.json()["usage"]
    assert usage["credits"] == price
    charged = -next(e["credits"] for e in found["entries"] if e["kind"] == "charge")
    cap = 1_000 if dialect == "messages" else CAP
    assert charged > MESSAGE + cap * OUTPUT
    assert int(response.headers["x-credits-charged"]) == (charged if stream else price)
    if not stream:
        assert int(response.headers["x-credits-remaining"]) == before - price
    assert credits_of(client.gateway, "refund_unused") - unused_before == charged - price


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_is_kept_in_a_cache_for_an_hour_has_its_price(client: Client, stream: bool) -> None:
    response = client.ask("chat", f"{SCRIPT}\n!cache-write 40 hour", stream=stream, model="claude")
    found = story(client, response.headers["x-request-id"])
    assert found["tokens"]["cache_write"] == 40
    assert found["price"]["cache_write_hour_per_million"] == 40 * CACHE_WRITE_HOUR * 10**6
    more = 40 * (CACHE_WRITE_HOUR - CACHE_WRITE)
    assert found["credits"] == price_of(found["tokens"]) + more


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("upstream", MODELS)
def test_the_upstream_is_always_sent_a_cap(
    client: Client, simulated: Simulated, dialect: str, upstream: str
) -> None:
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    for asked, sent in ((None, CAP), (500, 500), (CAP + 1, CAP)):
        name = "max_output_tokens" if dialect == "responses" else "max_tokens"
        more: dict[str, Any] = {} if asked is None else {name: asked}
        if asked is None and dialect == "messages":
            continue  # it requires one
        response = client.ask(dialect, "hello", model=MODELS[upstream], **more)
        assert response.status_code == 200, response.text
        body = simulated.requests()[-1]["body"]
        assert [body[name] for name in names if name in body] == [sent]


@pytest.mark.parametrize("model", ["open", "claude"], ids=["none", "zeros"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_usage_that_an_upstream_does_not_report_is_counted(
    client: Client, stream: bool, model: str
) -> None:
    text = "!usage none\n!answer " + "The quick brown fox jumps over the lazy dog. " * 20
    response = client.ask("chat", text, model=model, stream=stream)
    assert response.status_code == 200, response.text

    found = story(client, response.headers["x-request-id"])
    tokens = found["tokens"]
    assert found["price"]["counted"] is True
    # By o200k: ten tokens a sentence.
    assert tokens["output"] == pytest.approx(200, abs=3)
    assert tokens["input"] == pytest.approx(215, abs=10)
    assert found["credits"] == price_of(tokens)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("member", ["reasoning", "reasoning_details"])
def test_reasoning_is_counted_by_whichever_name(client: Client, stream: bool, member: str) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 20
    script = f"!usage none\n!reason-as {member}\n!reason {text}\n!answer Hello"
    response = client.ask("chat", script, model="open", stream=stream)
    assert response.status_code == 200, response.text
    tokens = story(client, response.headers["x-request-id"])["tokens"]
    assert tokens["output"] == pytest.approx(200, abs=5)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_client_that_leaves_pays_for_what_had_come(client: Client, dialect: str) -> None:
    answer = "The quick brown fox jumps over the lazy dog. " * 400
    text = f"!chunks 400\n!stall 100 hold\n!answer {answer}"
    found = leave_behind(client, dialect, text, "fox", 20, model="open")

    assert found["state"] == "ended"
    assert found["price"]["counted"] is True
    assert 190 <= found["tokens"]["output"] < 1_500  # the last sentence may lack its end
    assert found["tokens"]["input"] == pytest.approx(4_020, abs=20)
    assert found["credits"] == price_of(found["tokens"])


def test_a_client_that_leaves_at_the_end_pays_by_the_usage_that_had_come(client: Client) -> None:
    """Its cached input costs what cached input costs."""
    text = "!cached 5000\n!stall 100000 hold\n!answer Hello"
    options = {"include_usage": True}
    end = '"finish_reason":"stop"'
    found = leave_behind(client, "chat", text, end, model="open", stream_options=options)

    assert found["state"] == "ended"
    assert "counted" not in found["price"]
    assert found["tokens"]["cached"] == 5000
    assert found["credits"] == price_of(found["tokens"])


def test_a_client_that_leaves_pays_for_its_prompt_as_it_was_reported_when_the_answer_began(
    client: Client,
) -> None:
    """Its cached part costs what cached input costs."""
    text = "!cached 5000\n!cache-write 40\n!chunks 100\n!stall 50 hold\n!answer " + "fox " * 400
    found = leave_behind(client, "chat", text, "fox", 20, model="claude")

    tokens = found["tokens"]
    assert (tokens["cached"], tokens["cache_write"]) == (5_000, 40)
    assert tokens["input"] == 5_040
    assert 20 <= tokens["output"] < 400
    assert found["price"]["counted"] is True
    assert found["credits"] == price_of(tokens)


def test_a_client_that_leaves_before_the_answer_pays_for_its_prompt(
    client: Client, simulated: Simulated
) -> None:
    before = client.gateway.balance(client.key)
    client.leave("chat", "!silence hold\n!answer Hello", simulated.wait_held)

    def spent() -> int:
        return before - client.gateway.balance(client.key)

    wait_until(lambda: 0 < spent() < CAP * OUTPUT, "the difference")
    assert MESSAGE + INPUT < spent() < MESSAGE + 100 * INPUT


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", ["!error 500", "!silence 0.1\n!cut 2", "!error-event"])
def test_a_request_that_fails_costs_nothing(client: Client, dialect: str, text: str) -> None:
    with client.costs(0):
        client.ask(dialect, text, stream=True, model="open")


def test_choices_multiply_and_images_have_a_price(client: Client) -> None:
    content = [
        {"type": "text", "text": "!answer Hello"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]
    asked = {"model": "k3", "messages": [{"role": "user", "content": content}]}
    headers = {"x-api-key": client.key}
    path = "/api/openai/v1/chat/completions"
    response = client.gateway.http.post(path, json=asked, headers=headers)
    assert response.status_code == 200, response.text
    found = story(client, response.headers["x-request-id"])
    assert found["price"]["images"] == IMAGE
    assert found["credits"] == price_of(found["tokens"]) + IMAGE

    turns = [*asked["messages"], {"role": "assistant", "content": "Hello"}]
    turns.append({"role": "user", "content": "!answer Hello"})
    blind = {"model": "thinker", "messages": turns}  # it sees no images: none is in its prompt
    response = client.gateway.http.post(path, json=blind, headers=headers)
    assert response.status_code == 200, response.text
    assert story(client, response.headers["x-request-id"])["price"]["images"] == 0

    response = client.ask("chat", "!answer Hello", model="open", n=3)
    assert response.status_code == 200, response.text
    found = story(client, response.headers["x-request-id"])
    assert found["price"]["messages"] == 3 * MESSAGE
    assert found["credits"] == price_of(found["tokens"]) + 2 * MESSAGE
    charged = -next(e["credits"] for e in found["entries"] if e["kind"] == "charge")
    assert charged > 3 * CAP * OUTPUT


def turns_with_image(text: str) -> list[dict[str, Any]]:
    """Turns that a model sees or not: an image in the last one would be refused."""
    image = {"type": "image_url", "image_url": {"url": PIXEL}}
    return [
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image]},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": text},
    ]


@either_sight
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_images_have_the_price_of_the_upstream_that_answers(
    client: Client, model: str, images: int, stream: bool
) -> None:
    response = client.gateway.http.post(
        PATHS["chat"],
        json={"model": model, "messages": turns_with_image("!answer Hello"), "stream": stream},
        headers={"x-api-key": client.key},
    )
    assert response.status_code == 200, response.text
    found = story(client, response.headers["x-request-id"])
    assert found["price"]["images"] == images * IMAGE
    assert found["credits"] == price_of(found["tokens"]) + images * IMAGE


@either_sight
def test_a_client_that_leaves_pays_for_images_that_the_asked_upstream_sees(
    client: Client, simulated: Simulated, model: str, images: int
) -> None:
    turns = turns_with_image("!silence hold\n!answer Hello")
    client.leave("chat", "", simulated.wait_held, model=model, messages=turns)
    newest = client.gateway.http.get("/api/v1/entries?limit=1", headers={"x-api-key": client.key})
    found = story(client, newest.json()["data"][0]["request_id"])
    assert found["state"] == "ended"
    assert found["price"]["images"] == images * IMAGE


@pytest.mark.parametrize(
    ("plain", "spelled"),
    [("iVBOR", "iVBOR\\n"), ("iVBOR", "\\u0069VBOR"), ('"data"', '"d\\u0061ta"')],
)
def test_an_image_has_its_price_however_it_is_spelled(
    client: Client, plain: str, spelled: str
) -> None:
    """This body goes on as the client wrote it."""
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    content = [{"type": "text", "text": "!answer Hello"}, {"type": "image", "source": source}]
    asked = {
        "model": "claude",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": content}],
    }
    response = client.gateway.http.post(
        PATHS["messages"],
        content=json.dumps(asked).replace(plain, spelled),
        headers={"x-api-key": client.key},
    )
    assert response.status_code == 200, response.text
    assert story(client, response.headers["x-request-id"])["price"]["images"] == IMAGE


def test_a_row_for_large_prompts_counts_for_those(client: Client) -> None:
    response = client.ask("chat", "!cached 9100\n!answer Hello", model="open")
    assert response.status_code == 200, response.text
    found = story(client, response.headers["x-request-id"])

    assert found["price"]["above_prompt_tokens"] == 9_000
    plain = found["tokens"]["input"] - 9_100
    assert found["price"]["input_per_million"] == plain * 2 * INPUT * 10**6


def test_what_an_upstream_reports_above_the_charge_is_not_collected(client: Client) -> None:
    before = credits_of(client.gateway, "uncollected")
    response = client.ask("chat", "!cached 90000\n!answer Hello", model="open")
    assert response.status_code == 200, response.text
    found = story(client, response.headers["x-request-id"])

    assert [entry["kind"] for entry in found["entries"]] == ["charge"]
    assert int(response.headers["x-credits-charged"]) == found["credits"]
    assert found["price"]["uncollected"] > 0
    after = credits_of(client.gateway, "uncollected")
    assert after - before == found["price"]["uncollected"]


def test_the_difference_goes_back_to_the_key_s_day_too(gateway: GatewayProcess) -> None:
    capped = Client(gateway, gateway.key("capped"))
    for _ in range(5):  # the most of one is a third of the day
        response = capped.ask("chat", "!answer Hello", model="open")
        assert response.status_code == 200, response.text
        found = story(capped, response.headers["x-request-id"])
    assert gateway.account(capped.key)["credits_used_today"] == 5 * found["credits"]


def test_the_most_has_to_be_there(gateway: GatewayProcess) -> None:
    poor = Client(gateway, gateway.key("poor"))
    response = poor.ask("chat", "hello", model="open")
    assert response.status_code == 402
    message = response.json()["error"]["message"]
    assert "may cost up to" in message
    assert "A lower cap on its output tokens needs fewer credits." in message
    response = poor.ask("chat", "hello", model="open", max_tokens=10)
    assert response.status_code == 200


def test_the_account_shows_all_prices(client: Client) -> None:
    shown = client.gateway.account(client.key)["prices"][0]
    assert shown["message"] == MESSAGE
    assert shown["rows"][0] == {
        "from": None,
        "above_prompt_tokens": 0,
        "input_per_million_tokens": INPUT * 10**6,
        "cached_input_per_million_tokens": CACHED * 10**6,
        "cache_write_per_million_tokens": CACHE_WRITE * 10**6,
        "cache_write_hour_per_million_tokens": CACHE_WRITE_HOUR * 10**6,
        "output_per_million_tokens": OUTPUT * 10**6,
        "per_image": IMAGE,
    }
    assert shown["rows"][1]["above_prompt_tokens"] == 9_000


def test_a_drain_that_ends_while_an_answer_is_counted_does_not_give_it_back(
    simulated: Simulated, tmp_path: Path
) -> None:
    """All of it is with the client; its prompt is long, and the upstream reports no usage."""
    document = fleet(simulated.url)
    document["spec"]["pricing"] = {"inputCreditsPerMillionTokens": INPUT * 10**6}
    documents = [document, api_key("rich"), credit_grant("rich", credits=GRANT)]
    process = GatewayProcess(tmp_path, documents).start()
    client = Client(process, process.key("rich"))
    text = "!usage none\n!answer Hello\n" + "all the quick brown foxes " * 100_000
    try:
        with client.stream("chat", text, model="open") as response:
            lines = response.iter_lines()
            while '"finish_reason":"stop"' not in next(lines):
                pass
            for _ in range(2):  # the second ends the drain
                process.send(signal.SIGTERM)
                wait_until(lambda: "draining" in process.log_text(), "the drain")
            assert "data: [DONE]" in list(lines)
        assert process.wait() == 0
    finally:
        process.kill()
    database = Database(process.database_url)
    cost = -int(Books(database).scalar("SELECT sum(credits) FROM entry WHERE kind <> 'grant'"))
    database.close()
    assert cost > 400_000 * INPUT


def test_prices_that_change_while_a_request_waits_for_a_place_count(
    simulated: Simulated, tmp_path: Path
) -> None:
    change = datetime.now(UTC) + timedelta(seconds=6)  # it waits by then, unless all is slow
    document = fleet(simulated.url)
    document["spec"]["upstreams"][0]["concurrentRequests"] = 1
    row = {"from": change.isoformat(), "inputCreditsPerMillionTokens": 2 * INPUT * 10**6}
    document["spec"]["pricing"] = {"inputCreditsPerMillionTokens": INPUT * 10**6, "rows": [row]}
    documents = [document, api_key("rich"), credit_grant("rich", credits=GRANT)]
    process = GatewayProcess(tmp_path, documents).start()
    client = Client(process, process.key("rich"))
    try:
        with ThreadPoolExecutor(2) as clients:
            clients.submit(client.ask, "chat", "!silence hold\n!answer Hello", model="open")
            simulated.wait_held()
            answer = clients.submit(client.ask, "chat", "!answer Hello", model="open")
            wait_until(lambda: waiting(process, "main") == 1, "the request to wait")
            wait_until(lambda: datetime.now(UTC) > change, "the change")
            simulated.release()
            found = story(client, answer.result().headers["x-request-id"])
        assert datetime.fromisoformat(found["price"]["from"]) == change
        assert found["credits"] == 2 * INPUT * found["tokens"]["input"]
    finally:
        process.stop()
