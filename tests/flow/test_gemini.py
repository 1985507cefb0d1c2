"""Clients of every dialect before an upstream that speaks Gemini: which signatures reach it, how an
answer ends, and what it costs. The upstream refuses signatures that were changed or lost."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.dialects import (
    DIALECTS,
    PATHS,
    answer_text,
    body,
    ended_cleanly,
    error_of_stream,
    events,
)
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)

GRANT = 1_000_000
PRICE = 5
SKIPPED = "skip_thought_signature_validator"
PARAMETERS = {"type": "object", "properties": {"at": {"type": "integer"}}}
LOOP = '!reason Where?\n!tool look {"at": 1}\n!tool look {"at": 2}\n!then\n!answer It is here.'

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    upstream = {"url": simulated.url, "dialect": "gemini", "circuitFailures": 0}
    document = fleet(
        simulated.url, upstreams=[{"name": "main", **upstream}, {"name": "other", **upstream}]
    )
    document["spec"]["models"] += [
        {"id": "gemini", "upstream": "main", "upstreamModel": "gemini-3-pro"},
        {"id": "gemini-other", "upstream": "other", "upstreamModel": "gemini-3-pro"},
    ]
    documents = [document, api_key("rich"), credit_grant("rich", credits=GRANT)]
    with running_gateway(tmp_path_factory.mktemp("gemini"), documents) as process:
        yield process


class Client:
    """One client, what its upstream received, and what its account has paid."""

    def __init__(self, gateway: GatewayProcess, simulated: Simulated) -> None:
        self._simulated = simulated
        headers = {"authorization": f"Bearer {gateway.key('rich')}"}
        self.http = httpx.Client(base_url=gateway.url, headers=headers, timeout=20, trust_env=False)

    def post(self, dialect: str, asked: dict[str, Any], **more: Any) -> httpx.Response:
        return self.http.post(PATHS[dialect], json={"model": "gemini", **asked, **more})

    def sent(self) -> dict[str, Any]:
        found: dict[str, Any] = self._simulated.requests()[-1]["body"]
        return found

    def signatures(self) -> list[str | None]:
        """Those of the calls that the upstream received last."""
        parts = [part for turn in self.sent()["contents"] for part in turn["parts"]]
        return [part.get("thoughtSignature") for part in parts if "functionCall" in part]

    def paid(self) -> int:
        return GRANT - int(self.http.get("/api/v1/account").json()["balance"])


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess, simulated: Simulated) -> Iterator[Client]:
    made = Client(gateway, simulated)
    with made.http:
        yield made


def messages_turn(client: Client, stream: bool, asked: dict[str, Any]) -> list[Any]:
    """The history of a Messages client after its first answer, results included."""
    response = client.post("messages", asked, stream=stream)
    assert response.status_code == 200, response.text
    content = _streamed_blocks(response.text) if stream else response.json()["content"]
    assert [block["type"] for block in content] == ["thinking", "tool_use", "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "seen"}
        for block in content[1:]
    ]
    return [
        {"role": "user", "content": LOOP},
        {"role": "assistant", "content": content},
        {"role": "user", "content": results},
    ]


def _streamed_blocks(text: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for name, data in events(text):
        if name == "content_block_start":
            blocks.append(data["content_block"])
        elif name == "content_block_delta":
            delta, block = data["delta"], blocks[-1]
            match delta["type"]:
                case "input_json_delta":
                    block["input"] = json.loads(delta["partial_json"] or "{}")
                case "signature_delta":
                    block["signature"] = delta["signature"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
    return blocks


@either_way
def test_signatures_of_a_messages_client_go_back_to_who_made_them(
    client: Client, stream: bool
) -> None:
    tool = {"name": "look", "input_schema": PARAMETERS}
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked = {**body("messages", LOOP, model="gemini"), "tools": [tool], "thinking": thinking}
    history = messages_turn(client, stream, asked)
    last = client.post("messages", {**asked, "messages": history}, stream=stream)
    assert answer_text("messages", last, stream=stream) == "It is here."
    first, second = client.signatures()
    assert first not in (None, SKIPPED)
    assert second is None
    assert json.dumps(first) not in last.text
    elsewhere = client.post("messages", {**asked, "messages": history}, model="gemini-other")
    assert elsewhere.status_code == 200
    assert client.signatures() == [SKIPPED, None]


@either_way
def test_signatures_of_a_responses_client_go_back_to_who_made_them(
    client: Client, stream: bool
) -> None:
    tool = {"type": "function", "name": "look", "parameters": PARAMETERS}
    asked = {"tools": [tool], "reasoning": {"effort": "high"}, "store": False, "stream": stream}
    response = client.post("responses", {**asked, "input": LOOP})
    items = (
        [data["item"] for name, data in events(response.text) if name.endswith("item.done")]
        if stream
        else response.json()["output"]
    )
    assert [item["type"] for item in items] == ["reasoning", "function_call", "function_call"]
    outputs = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "seen"}
        for item in items[1:]
    ]
    history = [{"role": "user", "content": LOOP}, *items, *outputs]
    last = client.post("responses", {**asked, "input": history})
    assert answer_text("responses", last, stream=stream) == "It is here."
    first, second = client.signatures()
    assert first not in (None, SKIPPED)
    assert second is None
    client.post("responses", {**asked, "input": history}, model="gemini-other")
    assert client.signatures() == [SKIPPED, None]


def test_a_stored_response_keeps_its_signatures(client: Client) -> None:
    tool = {"type": "function", "name": "look", "parameters": PARAMETERS}
    asked = {"tools": [tool], "reasoning": {"effort": "high"}}
    first = client.post("responses", {**asked, "input": LOOP}).json()
    outputs = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "seen"}
        for item in first["output"]
        if item["type"] == "function_call"
    ]
    last = client.post(
        "responses", {**asked, "input": outputs, "previous_response_id": first["id"]}
    )
    assert last.status_code == 200, last.text
    assert client.signatures()[0] not in (None, SKIPPED)


@either_way
def test_the_signature_of_a_text_goes_back_too(client: Client, stream: bool) -> None:
    asked = {"reasoning": {"effort": "high"}, "store": False, "stream": stream}
    response = client.post("responses", {**asked, "input": "!answer Yes, indeed."})
    items = (
        [data["item"] for name, data in events(response.text) if name.endswith("item.done")]
        if stream
        else response.json()["output"]
    )
    history = [{"role": "user", "content": "Hm?"}, *items, {"role": "user", "content": "Sure?"}]
    assert client.post("responses", {**asked, "input": history}).status_code == 200
    found = client.sent()["contents"][1]["parts"]
    assert [part["text"] for part in found if not part.get("thought")] == ["Yes, indeed."]
    assert found[-1]["thoughtSignature"]


def test_a_chat_client_has_no_signatures_to_bring(client: Client) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}
    asked = {**body("chat", LOOP, model="gemini"), "tools": [tool]}
    message = client.post("chat", asked).json()["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "seen"}
        for call in message["tool_calls"]
    ]
    history = [{"role": "user", "content": LOOP}, message, *results]
    last = client.post("chat", {**asked, "messages": history})
    assert answer_text("chat", last, stream=False) == "It is here."
    assert client.signatures() == [SKIPPED, None]


@every_dialect
@either_way
@pytest.mark.parametrize("script", ["!answer Yes.", "!answer Half\n!refuse", "!answer H\n!length"])
def test_an_end_that_is_one_is_paid(
    client: Client, dialect: str, stream: bool, script: str
) -> None:
    before = client.paid()
    response = client.post(dialect, body(dialect, script, model="gemini"), stream=stream)
    assert response.status_code == 200
    assert not stream or ended_cleanly(dialect, response.text)
    assert client.paid() - before == PRICE


@every_dialect
@either_way
@pytest.mark.parametrize(
    "script", ["!cut 1", "!error-event", "!end-early", "!finish MALFORMED_FUNCTION_CALL"]
)
def test_an_answer_that_breaks_off_costs_nothing(
    client: Client, dialect: str, stream: bool, script: str
) -> None:
    before = client.paid()
    asked = body(dialect, f"!answer One two three four.\n{script}", model="gemini")
    response = client.post(dialect, asked, stream=stream)
    if stream and response.status_code == 200:
        assert not ended_cleanly(dialect, response.text)
        assert error_of_stream(dialect, response.text) is not None
    else:
        assert response.status_code >= 500
    assert client.paid() == before


@every_dialect
@either_way
@pytest.mark.parametrize(
    ("script", "statuses", "words"),
    [
        ("!block PROHIBITED_CONTENT", {400}, "PROHIBITED_CONTENT"),
        ("!error 400", {400}, "Simulated error 400"),
        ("!error 400 API_KEY_INVALID", {500, 502}, "administrator"),
        ("!error 404", {500, 502}, "administrator"),
        ("!error 429 RESOURCE_EXHAUSTED 7", {503, 529}, "overloaded"),
        ("!error 500", {500, 502}, "failed"),
        ("!error 503", {503, 529}, "overloaded"),
        ("!error 504", {500, 502, 504}, "in time"),
    ],
)
def test_a_failure_before_the_answer_costs_nothing(
    client: Client, dialect: str, stream: bool, script: str, statuses: set[int], words: str
) -> None:
    before = client.paid()
    response = client.post(dialect, body(dialect, script, model="gemini"), stream=stream)
    assert response.status_code in statuses, response.text
    assert words in response.json()["error"]["message"]
    if script.endswith("7"):
        assert response.headers["retry-after"] == "7"
    assert client.paid() == before


def test_usage_counts_thoughts_and_the_cache(client: Client) -> None:
    script = "!reason One two three.\n!cached 40\n!answer one two"
    usage = client.post("chat", body("chat", script, model="gemini")).json()["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 3
    assert usage["prompt_tokens_details"]["cached_tokens"] == 40
    assert usage["prompt_tokens"] >= 40
