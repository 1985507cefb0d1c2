"""Every client dialect in front of upstreams that speak Messages, Responses and Gemini, by what
each client sees and pays.

`sealing` is a model whose upstream signs its reasoning, and refuses it where it was changed.
"""

import json
from collections.abc import Iterator
from typing import Any, get_args

import anthropic
import httpx
import openai
import pytest

from gateway.core.spec import UpstreamDialect
from tests.harness.dialects import (
    DIALECTS,
    PATHS,
    answer_text,
    body,
    ended_cleanly,
    error_of_stream,
    reasoning,
)
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)
from tests.sdk.conftest import TIMEOUT_SECONDS, anthropic_client, openai_client
from tests.sdk.conversation import PNG, TWO_CALLS, WEATHER_SCHEMA
from tests.sdk.responses import TOOL, ask, final, outputs_for

GRANT = 1_000_000
MODELS = ("kimi-k2.5", "k3", "coder", "open", "sealing")
SEALING = {"messages": "claude-new", "responses": "gpt-5.1", "gemini": "gemini-3-pro"}
assert {"chat", *SEALING} == {*get_args(UpstreamDialect)}, "a dialect has no model here"

#: models of Google's that stand for the others where it is asked
GOOGLES = {"kimi-k2.5": "gemini-2.5-flash", "k3": "gemini-3-flash", "coder": "gemini-2.5-pro"}
#: models that reason no matter what the client asks
ALWAYS = {
    "messages": ("coder",),
    "responses": ("coder", "kimi-k2.5", "k3"),
    "gemini": ("coder", "k3", "sealing"),
}

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module", params=SEALING)
def speaks(request: pytest.FixtureRequest) -> str:
    """The upstream's dialect."""
    dialect: str = request.param
    return dialect


@pytest.fixture(scope="module")
def gateway(
    speaks: str, simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    document = fleet(simulated.url)
    document["spec"]["upstreams"][0]["dialect"] = speaks
    models = document["spec"]["models"]
    models.append({"id": "sealing", "upstream": "main", "upstreamModel": SEALING[speaks]})
    if speaks == "gemini":
        for model in models:
            model["upstreamModel"] = GOOGLES.get(model["id"], model["upstreamModel"])
    if speaks == "responses":  # where Moonshot's models cannot be asked not to reason
        for model in models:
            if model["upstreamModel"].startswith("kimi-"):
                model["reasoning"] = {"force": "on"}
    documents = [document, api_key("rich"), credit_grant("rich", credits=GRANT)]
    with running_gateway(tmp_path_factory.mktemp("dialects"), documents) as process:
        yield process


class Asked:
    """One client over HTTP, and what its account has paid."""

    def __init__(self, gateway: GatewayProcess) -> None:
        key = {"authorization": f"Bearer {gateway.key('rich')}"}
        self.http = httpx.Client(
            base_url=gateway.url, headers=key, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    def paid(self) -> int:
        return GRANT - int(self.http.get("/api/v1/account").json()["balance"])

    def post(self, dialect: str, text: str, stream: bool, **more: Any) -> httpx.Response:
        asked = body(dialect, text, **{"model": "open", **more})
        return self.http.post(PATHS[dialect], json={**asked, "stream": stream})


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[Asked]:
    asked = Asked(gateway)
    with asked.http:
        yield asked


@every_dialect
@either_way
@pytest.mark.parametrize("model", MODELS)
def test_a_text(client: Asked, speaks: str, dialect: str, stream: bool, model: str) -> None:
    before = client.paid()
    response = client.post(dialect, "!answer Yes, indeed. Ünïcode too.", stream, model=model)
    assert response.status_code == 200, response.text
    assert answer_text(dialect, response, stream=stream) == "Yes, indeed. Ünïcode too."
    assert not stream or ended_cleanly(dialect, response.text)
    assert client.paid() - before == (5 if model in ALWAYS[speaks] else 2)


@every_dialect
@either_way
@pytest.mark.parametrize("model", MODELS)
def test_reasoning_is_reported_and_paid(
    client: Asked, dialect: str, stream: bool, model: str
) -> None:
    before = client.paid()
    text = "!reason Hmm.\n!answer Yes."
    response = client.post(dialect, text, stream, model=model, **reasoning(dialect))
    assert answer_text(dialect, response, stream=stream) == "Yes."
    assert "Hmm." in response.text
    assert client.paid() - before == 5


@every_dialect
@either_way
@pytest.mark.parametrize(
    ("script", "statuses"),
    [
        ("!error 400", {400}),
        ("!error 401", {502, 500}),
        ("!error 429", {503, 529}),
        ("!error 529", {503, 529}),
        ("!error 500", {502, 500}),
        ("!hang-up", {502, 500}),
    ],
)
def test_a_failure_before_the_answer_costs_nothing(
    client: Asked, dialect: str, stream: bool, script: str, statuses: set[int]
) -> None:
    before = client.paid()
    response = client.post(dialect, script, stream)
    assert response.status_code in statuses, response.text
    assert client.paid() == before


@every_dialect
@pytest.mark.parametrize(
    "script", ["!cut 6", "!error-event", "!end-early", "!chunks 9 1\n!cut 8\n!split"]
)
def test_a_stream_that_breaks_never_ends_clean(client: Asked, dialect: str, script: str) -> None:
    before = client.paid()
    response = client.post(dialect, f"!answer One two three four five six.\n{script}", stream=True)
    assert not ended_cleanly(dialect, response.text)
    assert error_of_stream(dialect, response.text) is not None
    assert client.paid() == before


@every_dialect
def test_only_messages_states_its_end_before_the_last_event(
    client: Asked, speaks: str, dialect: str
) -> None:
    before = client.paid()
    response = client.post(dialect, "!answer One two three.\n!no-done", stream=True)
    is_complete = speaks == "messages"
    assert ended_cleanly(dialect, response.text) is is_complete
    assert (error_of_stream(dialect, response.text) is None) is is_complete
    assert (client.paid() > before) is is_complete


@every_dialect
@pytest.mark.parametrize("script", ["!cut 3", "!error-event", "!end-early"])
def test_a_whole_answer_that_breaks_costs_nothing(client: Asked, dialect: str, script: str) -> None:
    before = client.paid()
    assert client.post(dialect, f"!answer One.\n{script}", stream=False).status_code >= 500
    assert client.paid() == before


@every_dialect
@pytest.mark.parametrize("writes", ["!split", "!coalesce", "!spaces", "!tight", "!comments"])
def test_however_it_is_written(client: Asked, dialect: str, writes: str) -> None:
    response = client.post(dialect, f"!answer Zwölf Boxkämpfer.\n{writes}", stream=True)
    assert answer_text(dialect, response, stream=True) == "Zwölf Boxkämpfer."
    assert ended_cleanly(dialect, response.text)


def test_usage_counts_the_cache(client: Asked) -> None:
    response = client.post("chat", "!cached 40\n!answer one two", stream=False)
    usage = response.json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 40
    assert usage["prompt_tokens"] >= 40
    assert usage["completion_tokens"] == 2
    messages = client.post("messages", "!cached 40\n!answer one two", stream=False).json()["usage"]
    assert messages["cache_read_input_tokens"] == 40
    assert messages["output_tokens"] == 2


@pytest.mark.parametrize("kind", ["sync"])
@pytest.mark.parametrize("model", MODELS)
def test_a_tool_loop_of_anthropics_client(gateway: GatewayProcess, kind: str, model: str) -> None:
    sdk: anthropic.Anthropic = anthropic_client(kind, gateway, gateway.key("rich"))
    tools: Any = [{"name": "weather", "input_schema": WEATHER_SCHEMA}]
    messages: Any = [{"role": "user", "content": TWO_CALLS}]
    asked: Any = {"model": model, "max_tokens": 2000, "tools": tools}
    asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    with sdk, sdk.messages.stream(**asked, messages=messages) as stream:
        first = stream.get_final_message()
        assert [block.type for block in first.content] == ["thinking", "tool_use", "tool_use"]
        calls = [block for block in first.content if block.type == "tool_use"]
        assert [call.input for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls
        ]
        messages += [
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": results},
        ]
        last: Any = sdk.messages.create(**asked, messages=messages)
    assert [block.text for block in last.content if block.type == "text"] == ["Sunny in both."]


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_loop_of_openais_client(gateway: GatewayProcess, model: str) -> None:
    sdk: openai.OpenAI = openai_client("sync", gateway, gateway.key("rich"))
    function = {"name": "weather", "parameters": WEATHER_SCHEMA}
    messages: Any = [{"role": "user", "content": TWO_CALLS}]
    asked: Any = {"model": model, "tools": [{"type": "function", "function": function}]}
    asked["reasoning_effort"] = "high"
    with sdk, sdk.chat.completions.stream(**asked, messages=messages) as stream:
        first = stream.get_final_completion().choices[0].message
        calls = first.tool_calls or []
        cities = [json.loads(call.function.arguments)["city"] for call in calls]
        assert cities == ["Paris", "Rome"]
        plain = first.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
        results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
        messages += [plain, *results]
        last = sdk.chat.completions.create(**asked, messages=messages)
    assert last.choices[0].message.content == "Sunny in both."


@pytest.mark.parametrize("keeps", [True, False], ids=["with its reasoning", "without"])
@pytest.mark.parametrize("model", MODELS)
def test_a_tool_loop_of_openais_client_for_responses(
    gateway: GatewayProcess, model: str, keeps: bool
) -> None:
    """The items go back as the SDK has them, with and without the reasoning item."""
    sdk: openai.OpenAI = openai_client("sync", gateway, gateway.key("rich"))
    more: Any = {"model": model, "tools": [TOOL], "reasoning": {"effort": "high"}, "store": False}
    with sdk:
        first = final(sdk, TWO_CALLS, **more)
        calls = ["function_call", "function_call"]
        assert [item.type for item in first.output] == ["reasoning", *calls]
        kept = [item for item in first.output if keeps or item.type != "reasoning"]
        history = [{"role": "user", "content": TWO_CALLS}, *kept, *outputs_for(first)]
        last = ask(sdk, history, **more)
    assert last.output_text == "Sunny in both."


def test_a_forced_tool_a_picture_and_a_schema(client: Asked, speaks: str) -> None:
    function = {"name": "weather", "parameters": WEATHER_SCHEMA}
    tools = [{"type": "function", "function": function}]
    named = {"type": "function", "function": {"name": "weather"}}
    forcible = (
        ("open", "sealing") if speaks == "responses" else ("kimi-k2.5", "k3", "open", "sealing")
    )
    for model in forcible:
        more = {"model": model, "tools": tools, "reasoning_effort": "high"}
        answer = client.post("chat", "Go", False, tool_choice=named, **more).json()
        [call] = answer["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "weather"
    picture = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
    }
    messages = [{"role": "user", "content": [picture, {"type": "text", "text": "What is it?"}]}]
    seen = client.post("messages", "", False, messages=messages)
    assert "I see 1 image." in answer_text("messages", seen, stream=False)
    schema = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER_SCHEMA}}
    shaped = client.post("chat", "Shape", False, response_format=schema)
    assert "city" in json.loads(answer_text("chat", shaped, stream=False))
