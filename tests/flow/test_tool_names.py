"""Names of tools that an upstream does not take: they are cut on their way, and every client gets
its own back. The upstream refuses names as the provider whose dialect it speaks does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flow.passthrough import PassthroughClient, gateway_before
from tests.harness.dialects import DIALECTS, PATHS, body
from tests.harness.gateway import GatewayProcess, Simulated
from tests.traps.support import Spoken, forced, function, read

#: by the upstream's dialect
MODELS = {"chat": "gpt-chat", "messages": "claude", "responses": "gpt", "gemini": "gemini"}
LONG = "mcp__a_server_whose_name_is_long_already__" + "and_a_tool_whose_name_is_longer_still_" * 3
NAMES = (LONG + "1", LONG + "2", "server.tool", "server_tool", "3d", "查天气", "look up!", "look")


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    upstreams: list[dict[str, Any]] = [{"name": name, "dialect": name} for name in MODELS]
    ids = ("gpt-4.1", "claude-new", "gpt-5.1", "gemini-3-pro")
    models = [
        {"id": model, "upstream": dialect, "upstreamModel": upstream_model}
        for (dialect, model), upstream_model in zip(MODELS.items(), ids, strict=True)
    ]
    folder = tmp_path_factory.mktemp("tool_names")
    with gateway_before(simulated.url, folder, upstreams, models) as process:
        yield process


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess, simulated: Simulated) -> Iterator[PassthroughClient]:
    with PassthroughClient(gateway, simulated) as made:
        yield made


def ask(client: PassthroughClient, dialect: str, text: str, **more: Any) -> Spoken:
    asked = {**body(dialect, text), **more}
    return read(dialect, client.http.post(PATHS[dialect], json=asked))


def after_call(dialect: str, answer: Spoken, text: str) -> dict[str, Any]:
    """The member that holds the history with the call that was made, and its result."""
    (call,) = answer.calls
    if dialect == "responses":
        result: dict[str, Any] = {
            "type": "function_call_output",
            "call_id": call.id,
            "output": "It.",
        }
        begun = {"role": "user", "content": text}
        return {"input": [begun, *answer.whole["output"], result]}
    made: dict[str, Any] = {"role": "assistant"}
    if dialect == "messages":
        made["content"] = answer.whole["content"]
        block: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "It."}
        result = {"role": "user", "content": [block]}
    else:
        spelled = {"name": call.name, "arguments": call.arguments}
        made["tool_calls"] = [{"id": call.id, "type": "function", "function": spelled}]
        result = {"role": "tool", "tool_call_id": call.id, "content": "It."}
    return {"messages": [{"role": "user", "content": text}, made, result]}


def names_of(sent: dict[str, Any]) -> list[str]:
    """The names of the tools that an upstream was offered, in order."""
    tools = sent["tools"][0].get("functionDeclarations") or sent["tools"]
    return [(tool.get("function") or tool)["name"] for tool in tools]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("upstream", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_name_comes_back_as_its_client_wrote_it(
    client: PassthroughClient, dialect: str, upstream: str, stream: bool
) -> None:
    more = {"model": MODELS[upstream], "stream": stream}
    more["tools"] = [function(dialect, name) for name in NAMES]
    ask(client, dialect, "Hi", **more)
    sent = names_of(client.sent())
    assert len(set(sent)) == len(NAMES)
    assert sent[3] == "server_tool"
    assert sent[-1] == "look"

    for name, short in zip(NAMES, sent, strict=True):
        text = f"!tool {short} {{}}\n!then\n!answer Done."
        answer = ask(client, dialect, text, **more, **forced(dialect, name))
        assert [call.name for call in answer.calls] == [name]
        assert json.dumps(client.sent()).count(f'"{short}"') == 2

        again = ask(client, dialect, text, **{**more, **after_call(dialect, answer, text)})
        assert again.text == "Done."
        assert names_of(client.sent()) == sent
        assert json.dumps(client.sent()).count(f'"{short}"') == (3 if upstream == "gemini" else 2)


@pytest.mark.parametrize("dialect", ["chat", "responses"])
def test_the_tools_that_are_allowed_are_named_as_the_client_does(
    client: PassthroughClient, dialect: str
) -> None:
    tools = [function(dialect, name) for name in NAMES]
    allowed: dict[str, Any] = {"type": "allowed_tools", "mode": "required"}
    if dialect == "chat":
        allowed = {"type": "allowed_tools", "allowed_tools": {**allowed, "tools": tools[:1]}}
    else:
        allowed["tools"] = [{"type": "function", "name": NAMES[0]}]
    answer = ask(client, dialect, "Hi", model="gpt-chat", tools=tools, tool_choice=allowed)
    assert [call.name for call in answer.calls] == [NAMES[0]]
    assert len(names_of(client.sent())) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_call_in_the_history_is_cut_though_no_tool_is_offered(
    client: PassthroughClient, dialect: str
) -> None:
    tools = [function(dialect, NAMES[0])]
    ask(client, dialect, "Hi", model="gpt-chat", tools=tools)
    (short,) = names_of(client.sent())
    answer = ask(client, dialect, f"!tool {short} {{}}", model="gpt-chat", tools=tools)
    ask(client, dialect, "Hi", model="gpt-chat", **after_call(dialect, answer, "Hi"))
    sent = json.dumps(client.sent())
    assert f'"{short}"' in sent
    assert NAMES[0] not in sent


def test_the_name_of_a_legacy_function_comes_back(client: PassthroughClient) -> None:
    functions = [{"name": NAMES[0], "parameters": {"type": "object", "properties": {}}}]
    asked = {**body("chat", "Hi", model="gpt-chat"), "functions": functions}
    asked["function_call"] = {"name": NAMES[0]}
    answer = client.http.post(PATHS["chat"], json=asked).json()
    assert answer["choices"][0]["message"]["function_call"]["name"] == NAMES[0]
