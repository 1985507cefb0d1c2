"""A Responses request becomes an internal one."""

import asyncio
import json
from typing import Any

import pytest

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import InvalidRequest
from gateway.core.request import (
    AssistantMessage,
    DocumentPart,
    ImagePart,
    OutputFormat,
    ReasoningChoice,
    SignedReasoning,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.base import Caller
from gateway.dialects.inline import NOT_FETCHED, UNKNOWN_TYPE
from gateway.dialects.responses.dialect import ResponsesDialect
from tests.dialects.responses.support import (
    ALICE,
    BOB,
    SEALER,
    called,
    parse,
    refused,
    returned,
    signed_block,
    user,
    user_message,
)

PNG = "data:image/png;base64,aWk="
PDF = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}


def test_a_string_is_one_user_message() -> None:
    request = parse("hi")
    assert request.messages == (UserMessage((TextPart("hi"),)),)
    assert request.model == "kimi-k2.5"
    assert request.stream is False
    assert request.reasoning == ReasoningChoice()


def test_instructions_come_first_and_developers_are_systems() -> None:
    items = [
        {"role": "developer", "content": [{"type": "input_text", "text": t} for t in "ab"]},
        {"role": "user", "content": "hi"},
        {"type": "message", "role": "system", "content": "later"},
    ]
    assert parse(items, instructions="be kind").messages == (
        SystemMessage("be kind"),
        SystemMessage("a\n\nb"),
        UserMessage((TextPart("hi"),)),
        SystemMessage("later"),
    )


def test_reasoning_text_and_calls_in_a_row_are_one_message() -> None:
    items = [
        user("hi"),
        signed_block("hm"),
        user_message("Looking."),
        called("a"),
        called("b"),
        returned("b", "2"),
        returned("a", "1"),
        signed_block("last, without a follower"),
    ]
    assert parse(items).messages == (
        UserMessage((TextPart("hi"),)),
        AssistantMessage(
            "Looking.", "hm", (ToolCall("a", "get", "{}"), ToolCall("b", "get", "{}"))
        ),
        ToolMessage("a", (TextPart("1"),)),
        ToolMessage("b", (TextPart("2"),)),
    )


def test_what_stands_between_a_call_and_its_result_comes_after_the_result() -> None:
    items = [user("hi"), called("a"), {"role": "developer", "content": "note"}, returned("a")]
    kinds = [type(message) for message in parse(items).messages]
    assert kinds == [UserMessage, AssistantMessage, ToolMessage, SystemMessage]


def test_ids_that_return_in_a_later_turn_pair_by_their_order() -> None:
    items = [user("hi"), called("x"), returned("x", "1"), called("x"), returned("x", "2")]
    results = [m for m in parse(items).messages if isinstance(m, ToolMessage)]
    assert [result.parts for result in results] == [(TextPart("1"),), (TextPart("2"),)]


def test_two_answers_in_a_row_stay_two() -> None:
    items = [user("hi"), user_message("a"), called("c"), user_message("b"), returned("c")]
    first, second = (m for m in parse(items).messages if isinstance(m, AssistantMessage))
    assert (first.text, len(first.calls), second.text) == ("a", 1, "b")


def test_a_further_result_of_a_call_adds_to_the_one_before() -> None:
    """Codex reports on a running call in outputs of its own, also when ids come again later."""
    further = {**returned("a"), "output": "half way"}
    turn = [called("a"), returned("a"), further]
    messages = parse([user("hi"), *turn, *turn]).messages
    kinds = [UserMessage, *[AssistantMessage, ToolMessage] * 2]
    assert [type(message) for message in messages] == kinds
    for result in messages[2::2]:
        assert isinstance(result, ToolMessage)
        assert [part.text for part in result.parts if isinstance(part, TextPart)][1:] == [
            "half way"
        ]


def test_a_call_without_result_and_a_result_without_call_are_refused() -> None:
    error = refused({"input": [user("hi"), called("a")]}, "input")
    assert error.message == "No tool output found for function call a."
    error = refused({"input": [user("hi"), returned("b")]}, "input")
    assert "No tool call found" in error.message


def test_raw_reasoning_beats_what_we_sealed_and_that_beats_the_summary() -> None:
    sealed = SEALER.seal(ALICE.account_id, b"sealed")

    def reasoning(item: dict[str, Any]) -> str | None:
        message = parse([user("hi"), item, user_message("a")]).messages[1]
        assert isinstance(message, AssistantMessage)
        return message.reasoning

    raw = [{"type": "reasoning_text", "text": "raw"}]
    assert reasoning(signed_block("summary", content=raw, encrypted_content=sealed)) == "raw"
    assert reasoning(signed_block("summary", content=None, encrypted_content=sealed)) == "sealed"
    assert reasoning(signed_block("summary", encrypted_content="gAAAA")) == "summary"
    assert reasoning(signed_block(encrypted_content=SEALER.seal(BOB.account_id, b"theirs"))) is None


def test_what_an_upstream_signed_is_kept_for_it_beside_its_text() -> None:
    signed = SignedReasoning("signed", "abc", "main")
    sealed = SEALER.seal_reasoning(ALICE.account_id, signed)

    def read(item: dict[str, Any], caller: Caller = ALICE) -> tuple[str | None, Any]:
        message = parse([user("hi"), item, user_message("a")], caller=caller).messages[1]
        assert isinstance(message, AssistantMessage)
        return message.reasoning, message.signed_blocks

    assert read(signed_block("summary", encrypted_content=sealed)) == ("signed", (signed,))
    assert read(signed_block("summary", encrypted_content=sealed), BOB) == ("summary", ())


def test_what_was_signed_behind_an_answer_belongs_to_it() -> None:
    signed = SignedReasoning("", "abc", "main", True)
    sealed = signed_block(encrypted_content=SEALER.seal_reasoning(ALICE.account_id, signed))

    def read(*items: Any) -> list[Any]:
        messages = parse([user("hi"), *items, user("more")]).messages
        return [each.signed_blocks for each in messages if isinstance(each, AssistantMessage)]

    assert read(user_message("a"), sealed) == [(signed,)]
    assert read(sealed, user_message("a"), sealed, sealed) == [(signed, signed, signed)]
    assert read(sealed) == []
    assert read(user_message("a"), sealed, user_message("b")) == [(), (signed,)]
    assert read(called("a"), returned("a", "1"), sealed) == [()]


def test_images_are_inline_or_refused_with_their_path() -> None:
    image = {"type": "input_image", "image_url": PNG, "detail": "original"}
    assert parse([user("see", image)]).messages[0] == UserMessage(
        (TextPart("see"), ImagePart(PNG, "high"))
    )
    away = {"type": "input_image", "image_url": "https://example.com/a.png"}
    refused({"input": [user("see", away)]}, "input.0.content.1.image_url")
    refused(
        {"input": [user({"type": "input_image", "file_id": "file_1"})]}, "input.0.content.0.file_id"
    )


def test_text_files_are_read_and_pdfs_stay_documents() -> None:
    text = {"type": "input_file", "filename": "a.md", "file_data": "data:text/markdown;base64,IyBh"}
    assert parse([user(text)]).messages[0] == UserMessage(
        (TextPart("[file a.md]"), TextPart("# a"))
    )
    document = DocumentPart("", path="input.0.content.1.file_data", data="JVBE")
    assert parse([user("read", PDF)]).messages[0] == UserMessage(
        (TextPart("read"), TextPart("[file a.pdf]"), document)
    )


@pytest.mark.parametrize(
    ("members", "member", "problem"),
    [
        ({"file_id": "file_1"}, "file_id", NOT_FETCHED),
        ({"file_url": "https://example.test/a.pdf"}, "file_url", NOT_FETCHED),
        ({}, "file_id", NOT_FETCHED),
        ({"file_data": "data:application/msword;base64,aGk="}, "file_data", UNKNOWN_TYPE),
        ({"file_data": "data:text/plain;base64,a"}, "file_data", UNKNOWN_TYPE),
        ({"file_data": "https://example.test/a,b.pdf"}, "file_data", UNKNOWN_TYPE),
        ({"file_data": "aGk="}, "file_data", UNKNOWN_TYPE),
    ],
)
def test_a_file_that_nobody_reads_states_why(
    members: dict[str, str], member: str, problem: str
) -> None:
    document = DocumentPart("", path=f"input.0.content.0.{member}", problem=problem)
    assert parse([user({"type": "input_file", **members})]).messages[0] == UserMessage(
        (TextPart("[file untitled]"), document)
    )


@pytest.mark.parametrize(
    "file_data", ["JVBERi0xLjc=", "data:application/octet-stream;base64,JVBERi0xLjc="]
)
def test_a_pdf_is_known_by_its_beginning_too(file_data: str) -> None:
    request = parse([user({"type": "input_file", "filename": "a.pdf", "file_data": file_data})])
    assert request.messages[0] == UserMessage(
        (
            TextPart("[file a.pdf]"),
            DocumentPart("", path="input.0.content.0.file_data", data="JVBERi0xLjc="),
        )
    )


def test_a_document_where_only_text_may_stand_is_left_out() -> None:
    request = parse([{"role": "developer", "content": [PDF]}, user("hi")])
    assert request.messages[0] == SystemMessage("[file a.pdf]")
    assert request.degraded == ["document"]


def test_tool_outputs_may_be_text_parts_images_nothing_or_any_json() -> None:
    outputs = [
        "text",
        [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": PNG}],
        "",
        [PDF],
        [{"stdout": "x", "outcome": {"type": "exit", "exit_code": 0}}],
    ]
    items = [user("hi")]
    for index, output in enumerate(outputs):
        items += [called(str(index)), returned(str(index), output)]
    results = [m.parts for m in parse(items).messages if isinstance(m, ToolMessage)]
    assert results == [
        (TextPart("text"),),
        (TextPart("a"), ImagePart(PNG)),
        (),
        (
            TextPart("[file a.pdf]"),
            DocumentPart("", path="input.8.output.0.file_data", data="JVBE"),
        ),
        (TextPart('[{"stdout":"x","outcome":{"type":"exit","exit_code":0}}]'),),
    ]


def test_hosted_tools_histories_are_left_out_and_named() -> None:
    items = [
        user("hi"),
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "compaction_trigger"},
        {"type": "configuration_update", "tools": {"odd": 1}, "content": "x"},
        {"type": "of_the_future", "call_id": 1, "output": 2},
        {**user_message("a"), "phase": "final_answer"},
        user("more"),
    ]
    request = parse(items)
    assert len(request.messages) == 3
    assert request.degraded == [
        "input.web_search_call",
        "input.compaction",
        "input.compaction_trigger",
        "input.configuration_update",
        "input.of_the_future",
    ]


def test_typed_calls_travel_as_functions() -> None:
    action = {"type": "exec", "command": ["ls"], "env": {}}
    patch = {"type": "delete_file", "path": "a"}
    items = [
        user("hi"),
        {"type": "custom_tool_call", "call_id": "1", "name": "sql", "input": "select"},
        {"type": "custom_tool_call_output", "call_id": "1", "output": "2 rows"},
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "2", "action": action},
        {"type": "local_shell_call_output", "id": "2", "output": "{}"},
        {"type": "shell_call", "call_id": "3", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "3", "output": [{"stdout": "a"}]},
        {"type": "apply_patch_call", "call_id": "4", "operation": patch, "status": "completed"},
        {"type": "apply_patch_call_output", "call_id": "4", "status": "failed", "output": "no"},
        {"type": "tool_search_call", "call_id": "5", "arguments": {"query": "x"}},
        {
            "type": "tool_search_output",
            "call_id": "5",
            "tools": [
                {
                    "type": "namespace",
                    "name": "mail",
                    "tools": [{"type": "function", "name": "send"}],
                }
            ],
        },
        called("6", "send") | {"namespace": "mail"},
        returned("6"),
    ]
    request = parse(items)
    calls = [m.calls[0] for m in request.messages if isinstance(m, AssistantMessage)]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("sql", {"input": "select"}),
        ("local_shell", {"command": ["ls"], "env": {}}),
        ("shell", {"commands": ["ls"]}),
        ("apply_patch", {"type": "delete_file", "path": "a"}),
        ("tool_search", {"query": "x"}),
        ("mail__send", {}),
    ]
    results = [m for m in request.messages if isinstance(m, ToolMessage)]
    assert [result.is_error for result in results] == [False, False, False, True, False, False]
    assert results[4].parts == (TextPart("Tools found: mail__send"),)
    assert [tool.name for tool in request.tools] == ["mail__send"]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools.0.name"),
        (
            {"tools": [{"type": "function", "name": "a"}, {"type": "custom", "name": "a"}]},
            "tools.1.name",
        ),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_1", "conversation": "c"}, "previous_response_id"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input.0.role"),
        ({"input": [{"content": "x"}]}, "input.0.type"),
        ({"input": ["x"]}, "input.0"),
        ({"input": [{"type": "function_call", "name": "a"}]}, "input.0.call_id"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input.0.content.0.text",
        ),
    ],
)
def test_what_is_refused_names_its_field(members: dict[str, Any], param: str) -> None:
    refused({"input": "hi", **members}, param)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"model":"k","input":"\\ud800"}',
        b'{"model":"k","input":NaN}',
        b'{"model":"k","input":[{"type":["x"],"role":"user","content":"a"},{"type":{}}]}',
        b'{"model":"k","input":[{"type":"additional_tools","tools":3}]}',
        b'{"model":"k","input":"a","tools":[{"type":"namespace","name":"n","tools":[3]}]}',
        b'{"model":"k","input":"a","tool_choice":{"mode":"auto"}}',
        b'{"model":"k","input":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_nonsense_is_a_400(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        asyncio.run(ResponsesDialect(SEALER, None, WorkerThread()).parse(body, ALICE))


@pytest.mark.parametrize(
    ("reasoning", "wish"),
    [
        (None, ReasoningChoice()),
        ({"summary": "auto"}, ReasoningChoice()),
        ({"effort": None}, ReasoningChoice()),
        ({"effort": "none"}, ReasoningChoice(False)),
        ({"effort": "minimal"}, ReasoningChoice(True, "minimal")),
        ({"effort": "max"}, ReasoningChoice(True, "max")),
    ],
)
def test_effort_decides_whether_to_reason(reasoning: Any, wish: ReasoningChoice) -> None:
    assert parse("hi", reasoning=reasoning).reasoning == wish


def test_the_other_members_are_mapped() -> None:
    schema = {"type": "object"}
    request = parse(
        "hi",
        stream=True,
        max_output_tokens=1,
        temperature=0,
        top_p=0.5,
        parallel_tool_calls=False,
        tools=[{"type": "function", "name": "a"}],
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}},
        prompt_cache_key="k",
        user="u",
        truncation="auto",
        client_metadata={"x": 1},
        stream_options={"include_obfuscation": False},
    )
    assert request.stream is True
    assert request.max_tokens == 1
    assert (request.sampling.temperature, request.sampling.top_p) == (0.0, 0.5)
    assert request.sampling.logprobs is None
    assert request.parallel_tool_calls is False
    assert request.output == OutputFormat("json_schema", "n", schema, True)
    assert (request.cache_key, request.safety_identifier) == ("k", "u")
    assert parse("hi", text={"format": {"type": "json_object"}}).output == OutputFormat(
        "json_object"
    )
