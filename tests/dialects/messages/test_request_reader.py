"""A Messages request becomes an internal one."""

from typing import Any

import pytest

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    OutputFormat,
    ReasoningChoice,
    SystemMessage,
    TextPart,
    UserMessage,
)
from tests.dialects.messages.support import (
    assistant,
    call_block,
    parse,
    parse_call,
    tool,
    user,
)


def hello(text: str) -> UserMessage:
    return UserMessage((TextPart(text),))


def test_a_plain_question_becomes_one_user_message() -> None:
    request = parse(user("Hello"), stream=True, temperature=1, top_k=5, stop_sequences=["END", ""])

    assert request.model == "kimi-k2.5"
    assert request.messages == (hello("Hello"),)
    assert request.stream is True
    assert request.max_tokens == 100
    assert request.stop == ("END",)
    assert (request.sampling.temperature, request.sampling.top_k) == (1, 5)
    assert request.reasoning == ReasoningChoice(None, None)
    assert request.degraded == []


def test_unknown_fields_blocks_and_betas_are_ignored() -> None:
    request = parse(
        user({"type": "hologram", "text": {"of": "a cat"}}, {"type": "text", "text": "Look"}),
        assistant(
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": {"a": 1}},
            {"type": "compaction", "content": None},
        ),
        {"role": "user", "content": "And?", "output_config": {"effort": "low"}, "new": [1]},
        cache_control={"type": "ephemeral"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        service_tier="auto",
        speed="fast",
        safeguards={"on": True},
        container="container_1",
        mcp_servers=[],
        diagnostics=None,
    )

    assert request.messages == (hello("Look"), hello("And?"))


def test_system_blocks_are_joined_and_the_attribution_is_left_out() -> None:
    request = parse(
        user("Hi"),
        system=[
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=9f;"},
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Be brief."},
        ],
    )

    assert request.messages[0] == SystemMessage("You are an agent.\n\nBe brief.")


def test_the_system_prompt_stays_the_same_when_the_attribution_changes() -> None:
    prompts = {
        parse(user("Hi"), system=f"x-anthropic-billing-header: cch={hint};\nBe brief.").messages[0]
        for hint in ("00000", "8a1f2")
    }

    assert prompts == {SystemMessage("Be brief.")}


@pytest.mark.parametrize(
    ("fields", "wish"),
    [
        ({}, ReasoningChoice(None, None)),
        ({"thinking": {"type": "disabled"}}, ReasoningChoice(False, None)),
        ({"thinking": {"type": "adaptive"}}, ReasoningChoice(True, None)),
        ({"thinking": {"type": "between_tools"}}, ReasoningChoice(True, None)),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            ReasoningChoice(True, "low", is_manual=True),
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 31999}},
            ReasoningChoice(True, "xhigh", is_manual=True),
        ),
        ({"output_config": {"effort": "high"}}, ReasoningChoice(None, "high")),
        (
            {
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "output_config": {"effort": "max"},
            },
            ReasoningChoice(True, "max", is_manual=True),
        ),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
            ReasoningChoice(False, None),
        ),
    ],
)
def test_the_choice_to_reason(fields: dict[str, Any], wish: ReasoningChoice) -> None:
    assert parse(user("Go"), **fields).reasoning == wish


def test_a_trailing_assistant_message_is_a_prefill_without_spaces_at_its_end() -> None:
    request = parse(user("Name a god"), assistant("The best answer is ( \n"))

    assert request.prefill is True
    assert request.messages[-1] == AssistantMessage("The best answer is (")
    assert parse(user("Go"), assistant("  ")).prefill is False


def test_max_tokens_is_required_and_zero_asks_for_one() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_call({"model": "m", "messages": [user("Hi")]})
    assert caught.value.param == "max_tokens"

    call = parse_call({"model": "m", "messages": [user("Hi")], "max_tokens": 0})
    assert call.request.max_tokens == 1
    assert call.source.wants_nothing is True


@pytest.mark.parametrize("member", ["output_config", "output_format"])
def test_structured_output_is_asked_for_in_both_spellings(member: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    fields: dict[str, Any] = {member: {"format": wanted} if member == "output_config" else wanted}

    assert parse(user("Go"), **fields).output == OutputFormat(
        "json_schema", schema={"type": "object"}, strict=True
    )


def test_an_unknown_output_format_is_refused() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parse(user("Go"), output_config={"format": {"type": "yaml"}})

    assert caught.value.param == "output_config.format"


@pytest.mark.parametrize(
    ("user_id", "person", "session"),
    [
        ("alice", "alice", None),
        ('{"device_id": "d", "account_uuid": "", "session_id": "s"}', "d", "s"),
        ('{"device_id": "d", "account_uuid": "a", "session_id": "s"}', "a", "s"),
        ('{"session_id": "s"}', '{"session_id": "s"}', "s"),
        ("{broken", "{broken", None),
        ("", None, None),
    ],
)
def test_the_person_is_one_in_all_sessions_and_the_session_keys_the_cache(
    user_id: str, person: str | None, session: str | None
) -> None:
    request = parse(user("Hi"), metadata={"user_id": user_id})
    assert (request.safety_identifier, request.cache_key) == (person, session)
    assert parse(user("Hi"), metadata={}).safety_identifier is None


def test_threads_are_declined_in_the_way_the_tool_runner_understands() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(user("Go"), thread={"type": "create"})

    assert caught.value.details == {
        "error_code": "thread_unsupported_request",
        "unsupported": ["thread"],
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]}, "mcp_servers"),
        ({"container": {"skills": [{"skill_id": "pptx"}]}}, "container.skills"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages.0.content.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "messages.0.content.0",
        ),
        (
            {"messages": [user("?"), assistant(call_block("A", "a") | {"input": "text"})]},
            "messages.1.content.0.input",
        ),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"model": None}, "model"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_fields_name(
    fields: dict[str, Any], param: str
) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [user("Hi")], **fields}

    with pytest.raises(InvalidRequest) as caught:
        parse_call(body)

    assert caught.value.param == param


@pytest.mark.parametrize(
    "content",
    [
        rb'"\ud800"',
        b'"\xff"',
        rb'[{"type":"text","text":"\udc00"}]',
        b'[{"type":"text","text":"\xff"}]',
        b'[{"type":"hologram","text":"\xff"}, 5]',
        b'[{"type":"tool_use","id":"a","name":"b","input":{"c":"\xff"}}]',
        b"[" * 100_000,
        b"NaN",
    ],
)
def test_broken_bytes_are_a_400_and_nothing_worse(content: bytes) -> None:
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":%s}]}' % content

    with pytest.raises(InvalidRequest):
        parse_call(body)


def test_parallel_calls_can_be_switched_off() -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    body = {"model": "m", "max_tokens": 9, "messages": [user("Hi")], "tool_choice": choice}
    call = parse_call(body | {"tools": [tool("A")]})

    assert call.request.parallel_tool_calls is False
    assert call.source.wants_one_call is True
