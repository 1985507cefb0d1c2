"""Every kind of tool that the SDKs know: served, or named as left out, or refused by name.

The kinds are read from the SDKs' types, so that a new release brings its new ones along.
"""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import anthropic
import openai
import pytest
from anthropic.types import ToolUnionParam
from anthropic.types.beta import BetaToolUnionParam
from openai.types.responses import ToolParam

from gateway.core.degraded import FEATURES, OTHER, feature_of
from tests.harness.gateway import GatewayProcess
from tests.sdk.conversation import WEATHER_SCHEMA
from tests.sdk.upstream import Upstream

MODEL = "kimi-k2.5"
#: run by the client, or plain functions
SERVED = {"function", "custom", "namespace", "local_shell", "shell", "apply_patch"}
CLIENT_SIDE = ("custom", "bash_", "text_editor_", "memory_")


def kinds(union: Any) -> Iterator[str]:
    """The values of `type` of every member of a union of typed dictionaries."""
    for member in get_args(union):
        yield from _literals(get_type_hints(member)["type"])


def _literals(hint: Any) -> Iterator[str]:
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    else:
        for inner in get_args(hint):
            yield from _literals(inner)


RESPONSES = sorted(set(kinds(ToolParam)) - SERVED)
MESSAGES = sorted(
    tool_type
    for tool_type in {*kinds(ToolUnionParam), *kinds(BetaToolUnionParam)}
    if not tool_type.startswith(CLIENT_SIDE)
)
FUNCTION = {"type": "function", "name": "weather", "parameters": WEATHER_SCHEMA, "strict": True}
TOOL = {"name": "weather", "input_schema": WEATHER_SCHEMA}
#: left out without a word where they are alone, since agents always offer them
QUIET = ("web_search", "tool_search")


def respond(client: Any, *tools: Any, **more: Any) -> Any:
    return client.responses.with_raw_response.create(
        model=MODEL, input="Hello", tools=list(tools), **more
    )


def message(client: Any, *tools: Any, **more: Any) -> Any:
    return client.messages.with_raw_response.create(
        model=MODEL,
        max_tokens=1000,
        messages=[{"role": "user", "content": "Hello"}],
        tools=list(tools),
        **more,
    )


def test_the_sdks_know_the_kinds_we_mean() -> None:
    assert {"web_search", "file_search", "code_interpreter", "mcp"} < set(RESPONSES)
    assert {"computer_use_preview", "image_generation", "tool_search"} < set(RESPONSES)
    assert {"web_search_20250305", "code_execution_20260521", "mcp_toolset"} < set(MESSAGES)
    assert {"computer_20251124", "web_fetch_20250910"} < set(MESSAGES)


@pytest.mark.parametrize("tool_type", [*RESPONSES, *MESSAGES])
def test_every_kind_is_a_feature_of_its_own(tool_type: str) -> None:
    assert feature_of(f"tools.{tool_type}") in FEATURES - {OTHER}


@pytest.mark.parametrize("tool_type", RESPONSES)
def test_beside_a_function_it_is_left_out_and_named(
    chat_client: Any, upstream: Upstream, tool_type: str
) -> None:
    answer = respond(chat_client, {"type": tool_type}, FUNCTION)

    assert answer.headers["x-faregate-degraded"] == f"tools.{tool_type}"
    assert [tool["function"]["name"] for tool in upstream.body()["tools"]] == ["weather"]
    assert [tool.type for tool in answer.parse().tools] == ["function"]


@pytest.mark.parametrize("tool_type", RESPONSES)
def test_alone_or_forced_it_is_refused(
    chat_client: Any, upstream: Upstream, tool_type: str
) -> None:
    received = upstream.received()
    with pytest.raises(openai.BadRequestError) as refused:
        respond(chat_client, {"type": tool_type}, FUNCTION, tool_choice={"type": tool_type})
    assert refused.value.param == "tool_choice"
    if tool_type.startswith(QUIET):
        assert respond(chat_client, {"type": tool_type}).headers["x-faregate-degraded"] == (
            f"tools.{tool_type}"
        )
        return
    with pytest.raises(
        openai.BadRequestError, match=f"type '{tool_type}' are not supported"
    ) as refused:
        respond(chat_client, {"type": tool_type})
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "tools.0")
    assert upstream.received() == received


@pytest.mark.parametrize("tool_type", MESSAGES)
def test_in_messages_beside_a_function_it_is_left_out_and_named(
    messages_client: Any, upstream: Upstream, tool_type: str
) -> None:
    answer = message(messages_client, {"type": tool_type, "name": "hosted"}, TOOL)

    assert answer.headers["x-faregate-degraded"] == f"tools.{tool_type}"
    assert [tool["function"]["name"] for tool in upstream.body()["tools"]] == ["weather"]


@pytest.mark.parametrize("tool_type", MESSAGES)
def test_in_messages_alone_or_forced_it_is_refused(
    messages_client: Any, upstream: Upstream, tool_type: str
) -> None:
    received = upstream.received()
    hosted = {"type": tool_type, "name": "hosted"}
    with pytest.raises(anthropic.BadRequestError, match=f"tools.0: {tool_type} is not supported"):
        message(messages_client, hosted)
    with pytest.raises(anthropic.BadRequestError, match=f"tools.1: {tool_type} is not supported"):
        message(messages_client, TOOL, hosted, tool_choice={"type": "tool", "name": "hosted"})
    assert upstream.received() == received


def test_in_chat_the_web_search_is_refused(chat_client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        chat_client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Hello"}],
            web_search_options={},
        )
    assert refused.value.param == "web_search_options"


def test_what_was_left_out_is_counted(chat_client: Any, gateway: GatewayProcess) -> None:
    counted = 'faregate_degraded_requests_total{feature="mcp",model="kimi-k2.5"}'

    def count() -> float:
        lines = gateway.metrics().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(counted))

    before = count()
    respond(chat_client, {"type": "mcp"}, FUNCTION)
    assert count() == before + 1
