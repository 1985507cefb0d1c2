"""A request as an upstream that speaks Gemini is sent it."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    OutputFormat,
    Request,
    Sampling,
    SignedReasoning,
    SystemMessage,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.gemini.endpoint import GeminiEndpoint
from gateway.dialects.gemini.request_writer import write_request
from tests.dialects.support import FAMILIES, LOOK, SEE, request, resolve

SKIPPED = "skip_thought_signature_validator"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def prepare(
    wanted: Request, profile: str = "gemini-3", *settings: Any, **model: Any
) -> UpstreamRequest:
    return write_request(wanted, resolve(profile, *settings, **model))


def write(wanted: Request, profile: str = "gemini-3", *settings: Any, **model: Any) -> Any:
    return json.loads(prepare(wanted, profile, *settings, **model).body)


def user_message(text: str) -> UserMessage:
    return UserMessage((TextPart(text),))


def text(value: str) -> dict[str, Any]:
    return {"text": value}


def result(call_id: str, output: str) -> ToolMessage:
    return ToolMessage(call_id, (TextPart(output),))


@pytest.mark.parametrize(
    ("stream", "verb"), [(False, "generateContent"), (True, "streamGenerateContent?alt=sse")]
)
def test_model_and_verb_stand_in_the_path(stream: bool, verb: str) -> None:
    outgoing = prepare(request(stream=stream))
    assert outgoing.path == f"/gemini-3:{verb}"
    assert outgoing.stream is stream
    assert json.loads(outgoing.body).keys() <= {"contents", "generationConfig"}
    resolution = resolve("gemini-3")
    odd = replace(resolution, model=replace(resolution.model, upstream_model="a/b:c?d é"))
    assert write_request(request(), odd).path == "/a%2Fb%3Ac%3Fd%20%C3%A9:generateContent"


def test_instructions_alone_are_the_user_s_turn() -> None:
    body = write(request(SystemMessage("Be kind."), SystemMessage("Greet.")))
    assert body["contents"] == [{"role": "user", "parts": [text("Be kind."), text("Greet.")]}]
    assert "systemInstruction" not in body


def test_turns_alternate_and_instructions_find_their_place() -> None:
    body = write(
        request(
            SystemMessage("Be kind."),
            SystemMessage("Be brief."),
            user_message("One"),
            SystemMessage("Now rhyme."),
            user_message("Two"),
            AssistantMessage("Three"),
            AssistantMessage("Four"),
            user_message("Five"),
        )
    )
    assert body["systemInstruction"] == {"parts": [text("Be kind."), text("Be brief.")]}
    user = [text("One"), text("<system>\nNow rhyme.\n</system>"), text("Two")]
    assert body["contents"] == [
        {"role": "user", "parts": user},
        {"role": "model", "parts": [text("Three"), text("Four")]},
        {"role": "user", "parts": [text("Five")]},
    ]


def test_a_conversation_that_an_assistant_begins() -> None:
    call = AssistantMessage(None, None, (ToolCall("a", "look", "{}"),))
    for first in (AssistantMessage("Hi"), call):
        turns = write(request(first, result("a", "x"), user_message("Yes")))["contents"]
        assert [turn["role"] for turn in turns] == ["user", "model", "user"]


@pytest.mark.parametrize("messages", [(UserMessage(()),), (SystemMessage(""),)])
def test_messages_without_content_are_refused(messages: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidRequest):
        prepare(request(*messages))


def test_an_answer_that_is_begun_already_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        prepare(request(user_message("Hi"), AssistantMessage("Yes"), prefill=True))


def test_parallel_calls_and_their_results() -> None:
    calls = (ToolCall("a", "look", '{"at": "it"}'), ToolCall("b", "see", ""))
    body = write(
        request(
            user_message("Go"),
            AssistantMessage("Well", None, calls),
            result("b", "red"),
            user_message("Quick!"),
            result("a", "blue"),
        ),
        "gemini-2.5",
    )
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                text("Well"),
                {"functionCall": {"name": "look", "args": {"at": "it"}, "id": "a"}},
                {"functionCall": {"name": "see", "args": {}, "id": "b"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "name": "look",
                        "response": {"output": "blue"},
                        "id": "a",
                    }
                },
                {"functionResponse": {"name": "see", "response": {"output": "red"}, "id": "b"}},
                text("Quick!"),
            ],
        },
    ]


def test_arguments_that_are_none_and_a_call_without_a_result() -> None:
    calls = (ToolCall("a", "look", '{"at": '),)
    turns = write(request(user_message("Go"), AssistantMessage(None, None, calls)))["contents"]
    [call] = turns[1]["parts"]
    assert call["functionCall"]["args"] == {"invalid_arguments": '{"at": '}
    assert "interrupted" in turns[2]["parts"][0]["functionResponse"]["response"]["output"]


def test_pictures_are_inline_and_follow_the_results_that_hold_them() -> None:
    picture = ImagePart("data:image/jpeg;base64,QUJD")
    inline = {"inlineData": {"mimeType": "image/jpeg", "data": "QUJD"}}
    calls = (ToolCall("a", "look", "{}"),)
    turns = write(
        request(
            UserMessage((picture, TextPart("What?"))),
            AssistantMessage(None, None, calls),
            ToolMessage("a", (picture,)),
        )
    )["contents"]
    assert turns[0]["parts"] == [inline, text("What?")]
    assert turns[2]["parts"][1] == inline


THOUGHTS = (
    SignedReasoning("Hm", "thought one", "main"),
    SignedReasoning("", "call:a two", "main", True),
    SignedReasoning("", "text three", "main", True),
    SignedReasoning("", "call:b four", "other", True),
    SignedReasoning("Plain", "odd", "main"),
)
CALLS = (ToolCall("a", "look", "{}"), ToolCall("b", "see", "{}"))


def test_signatures_go_back_to_where_they_stood() -> None:
    message = AssistantMessage("Well", "Hm", CALLS, signed_blocks=THOUGHTS)
    turns = write(request(user_message("Go"), message, result("a", "x"), result("b", "y")))[
        "contents"
    ]
    assert turns[1]["parts"] == [
        {"text": "Hm", "thought": True, "thoughtSignature": "one"},
        {"text": "Well", "thoughtSignature": "three"},
        {
            "functionCall": {"name": "look", "args": {}, "id": "a"},
            "thoughtSignature": "two",
        },
        {"functionCall": {"name": "see", "args": {}, "id": "b"}},
    ]


def answered(text: str | None, *signed: str, calls: tuple[ToolCall, ...] = ()) -> AssistantMessage:
    blocks = tuple(SignedReasoning("", one, "main", True) for one in signed)
    return AssistantMessage(text, None, calls, signed_blocks=blocks)


@pytest.mark.parametrize(
    ("messages", "signatures"),
    [
        ((answered("T"), answered("U", "call:a 1"), answered(None, "text 2", calls=CALLS)), "-21-"),
        ((answered("T"), answered(None, "text 1", "call:a 2", calls=CALLS)), "12-"),
        (
            (answered("T"), user_message("Go"), answered(None, "text 1", "call:a 2", calls=CALLS)),
            "--2-",
        ),
        (
            (answered("T", "call:a 1"), user_message("Go"), answered("U", "call:b 2", calls=CALLS)),
            "---S2",
        ),
    ],
)
def test_a_signature_is_found_in_the_messages_of_its_turn(messages: Any, signatures: str) -> None:
    """As those have them who keep items in the order of their ends."""
    body = write(request(user_message("Go"), *messages, result("a", "x"), result("b", "y")))
    parts = [part for turn in body["contents"][1:-1] for part in turn["parts"]]
    found = [part.get("thoughtSignature", "-") for part in parts]
    assert "".join(found).replace(SKIPPED, "S") == signatures


def test_an_id_with_a_space_has_its_signature() -> None:
    call = ToolCall("call 1", "look", "{}")
    body = write(request(answered(None, "call:call 1 two", calls=(call,)), result("call 1", "x")))
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == "two"


@pytest.mark.parametrize(
    ("profile", "sent"), [("gemini-3", SKIPPED), ("gemini-2.5", None), ("generic", None)]
)
def test_a_call_that_lost_its_signature(profile: str, sent: str | None) -> None:
    foreign = tuple(replace(signed_block, upstream="other") for signed_block in THOUGHTS)
    message = AssistantMessage(None, "Hm", CALLS, signed_blocks=foreign)
    wanted = request(user_message("Go"), message, result("a", "x"), result("b", "y"))
    parts = write(wanted, profile, True)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [sent, None]


def test_tools_and_what_they_take() -> None:
    empty = Tool("rest", None, {"type": "object", "properties": {}})
    [tools] = write(request(tools=(LOOK, SEE, empty)))["tools"]
    assert tools["functionDeclarations"] == [
        {"name": "look", "description": "Looks.", "parametersJsonSchema": LOOK.parameters},
        {"name": "see"},
        {"name": "rest"},
    ]


@pytest.mark.parametrize(
    ("choice", "strict", "config"),
    [
        (None, None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice("auto"), False, {"mode": "AUTO"}),
        (ToolChoice("auto"), True, {"mode": "VALIDATED"}),
        (ToolChoice("none"), True, {"mode": "NONE"}),
        (ToolChoice("required"), True, {"mode": "ANY"}),
        (ToolChoice("named", "look"), None, {"mode": "ANY", "allowedFunctionNames": ["look"]}),
    ],
)
def test_the_choice_of_a_tool(choice: ToolChoice | None, strict: bool | None, config: Any) -> None:
    tools = (replace(LOOK, strict=strict), SEE)
    body = write(request(tools=tools, tool_choice=choice))
    assert body.get("toolConfig") == (config and {"functionCallingConfig": config})


def test_no_tools_no_choice() -> None:
    assert "toolConfig" not in write(request(tool_choice=ToolChoice("auto")))
    with pytest.raises(InvalidRequest):
        prepare(request(tool_choice=ToolChoice("required")))


@pytest.mark.parametrize(
    ("profile", "on", "effort", "thinking"),
    [
        ("gemini-3", True, None, {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3", True, "minimal", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-3", True, "medium", {"includeThoughts": True, "thinkingLevel": "medium"}),
        ("gemini-3", True, "odd", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-2.5", True, None, {"includeThoughts": True, "thinkingBudget": -1}),
        ("gemini-2.5", True, "low", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("gemini-2.5", True, "max", {"includeThoughts": True, "thinkingBudget": 24576}),
        ("gemini-2.5", False, None, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", True, "high", {"includeThoughts": True, "thinkingBudget": 24576}),
        ("generic", True, "high", {"includeThoughts": True}),
        ("generic", False, None, {"thinkingBudget": 0}),
        ("gpt-4", False, None, None),
    ],
)
def test_reasoning_is_as_it_is_charged(
    profile: str, on: bool, effort: str | None, thinking: Any
) -> None:
    config = write(request(), profile, on, effort).get("generationConfig", {})
    assert config.get("thinkingConfig") == thinking


def test_an_output_format() -> None:
    free, shaped = OutputFormat("json_object"), OutputFormat("json_schema", schema=SCHEMA)
    config = write(request(output=free))["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert "responseJsonSchema" not in config
    config = write(request(output=shaped, tools=(LOOK,)))["generationConfig"]
    assert config["responseJsonSchema"] == SCHEMA


@pytest.mark.parametrize("profile", ["gemini-2.5", "gemini-2.5-pro"])
def test_an_output_format_beside_tools_is_asked_for_in_words(profile: str) -> None:
    for output, schema in (
        (OutputFormat("json_object"), False),
        (OutputFormat("json_schema", schema=SCHEMA), True),
    ):
        outgoing = prepare(request(output=output, tools=(LOOK,)), profile)
        body = json.loads(outgoing.body)
        assert "responseMimeType" not in body["generationConfig"]
        [given] = body["systemInstruction"]["parts"]
        assert "one JSON object" in given["text"]
        assert (json.dumps(SCHEMA, separators=(",", ":")) in given["text"]) is schema
        assert outgoing.degraded == ("response_format",)


def test_parameters_are_spelled_or_named() -> None:
    sampling = Sampling(
        temperature=0.5, top_p=0.9, top_k=40, seed=7, presence_penalty=1.0, logit_bias={"1": 1.0}
    )
    wanted = request(
        sampling=sampling,
        stop=("END",),
        max_tokens=5000,
        tools=(LOOK,),
        parallel_tool_calls=False,
        safety_identifier="someone",
    )
    outgoing = prepare(wanted, "gemini-3", max_output_tokens=1000)
    config = json.loads(outgoing.body)["generationConfig"]
    del config["thinkingConfig"]
    assert config == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "seed": 7,
        "stopSequences": ["END"],
        "maxOutputTokens": 1000,
    }
    assert set(outgoing.degraded) == {"presence_penalty", "logit_bias", "parallel_tool_calls"}
    generic = write(wanted, "generic")["generationConfig"]
    assert generic["presencePenalty"] == 1.0


@pytest.mark.parametrize(
    "sampling", [Sampling(n=2), Sampling(logprobs=True)], ids=["n", "logprobs"]
)
def test_what_the_dialect_lacks_is_refused(sampling: Sampling) -> None:
    for profile in ("gemini-3", "generic"):
        with pytest.raises((InvalidRequest, UnsupportedParameter)):
            prepare(request(sampling=sampling), profile)


@pytest.mark.parametrize("profile", FAMILIES)
def test_equal_requests_are_equal_bytes(profile: str) -> None:
    message = AssistantMessage("Well", "Hm", CALLS, signed_blocks=THOUGHTS)
    wanted = request(
        user_message("Go"), message, result("a", "x"), result("b", "y"), tools=(LOOK, SEE)
    )
    assert prepare(wanted, profile, True) == prepare(wanted, profile, True)


def test_a_count_is_of_the_whole_request() -> None:
    route = GeminiEndpoint().count_route
    outgoing = prepare(request(SystemMessage("Be kind."), user_message("Hi"), tools=(LOOK,)))
    path, body = route.write(outgoing)
    assert route.path + path == "/models/gemini-3:countTokens"
    sent = json.loads(body)["generateContentRequest"]
    assert sent == {"model": "models/gemini-3", **json.loads(outgoing.body)}
    assert route.read(b'{"totalTokens": 17, "promptTokensDetails": []}') == 17
    with pytest.raises(ValueError, match="totalTokens"):
        route.read(b"{}")
    assert route.counts_tools
