"""The simulated upstream in the Gemini dialect."""

import json
from typing import Any

import httpx
import pytest

from tests.simulated.talk import Talk

SKIPPED = "skip_thought_signature_validator"
_LOOK = {"name": "look", "parametersJsonSchema": {"properties": {"at": {"type": "integer"}}}}
_TOOLS: dict[str, Any] = {"tools": [{"functionDeclarations": [_LOOK]}]}
_THOUGHTS = {"thinkingConfig": {"includeThoughts": True}}
_USER = {"role": "user", "parts": [{"text": "x"}]}
_CALL: dict[str, Any] = {
    "functionCall": {"name": "look", "args": {}, "id": "a"},
    "thoughtSignature": SKIPPED,
}
_RESULT: dict[str, Any] = {
    "functionResponse": {"name": "look", "response": {"output": "seen"}, "id": "a"}
}


def _post(
    talk: Talk,
    content: Any,
    model: str = "gemini-3-pro",
    verb: str = "generateContent",
    **more: Any,
) -> httpx.Response:
    contents = (
        [{"role": "user", "parts": [{"text": content}]}] if isinstance(content, str) else content
    )
    path = f"/models/{model}:{verb}"
    return talk.http.post(path, json={"contents": contents, **more})


def _stream(talk: Talk, content: Any, model: str = "gemini-3-pro", **more: Any) -> list[Any]:
    response = _post(talk, content, model, "streamGenerateContent?alt=sse", **more)
    blocks = response.text.replace("\r", "").split("\n\n")
    return [json.loads(block.removeprefix("data: ")) for block in blocks if block]


def _parts(event: dict[str, Any]) -> list[dict[str, Any]]:
    [candidate] = event["candidates"]
    parts: list[dict[str, Any]] = candidate["content"]["parts"]
    return parts


def _refused(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    message: str = error["message"]
    return message


def test_an_answer_and_its_stream_hold_the_same(talk: Talk) -> None:
    script = '!reason Hm. So.\n!answer Yes.\n!tool look {"at": 1}\n!tool look {"at": 2}\n!cached 9'
    more = {**_TOOLS, "generationConfig": _THOUGHTS}
    whole = _post(talk, script, **more).json()
    thought, text, first, second = _parts(whole)
    assert thought == {"text": "Hm. So.", "thought": True}
    assert text == {"text": "Yes."}
    assert first["functionCall"]["args"] == {"at": 1}
    assert first["thoughtSignature"]
    assert "thoughtSignature" not in second
    assert first["functionCall"]["id"] != second["functionCall"]["id"]
    assert whole["candidates"][0]["finishReason"] == "STOP"
    usage = whole["usageMetadata"]
    assert usage["cachedContentTokenCount"] == 9
    assert usage["thoughtsTokenCount"] == 2
    counted = usage["promptTokenCount"] + usage["candidatesTokenCount"] + 2
    assert usage["totalTokenCount"] == counted
    events = _stream(talk, script, **more)
    streamed = [part for event in events for part in _parts(event)]
    found = "".join(part["text"] for part in streamed if part.get("thought"))
    assert found == "Hm. So."
    assert [part for part in streamed if "functionCall" in part] == [first, second]
    reasons = [event["candidates"][0].get("finishReason") for event in events]
    assert reasons == [None] * (len(events) - 1) + ["STOP"]
    assert events[-1]["usageMetadata"] == usage
    assert talk.stats()["completed"] == 2


def test_thoughts_are_shown_to_who_asks(talk: Talk) -> None:
    answer = _post(talk, "!reason Hm.\n!answer Yes.").json()
    assert [part["text"] for part in _parts(answer)] == ["Yes."]
    assert answer["usageMetadata"]["thoughtsTokenCount"] == 1
    off: dict[str, Any] = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}
    usage = _post(talk, "Hi", "gemini-2.5-flash", **off).json()["usageMetadata"]
    assert "thoughtsTokenCount" not in usage


def test_signatures_go_back_as_and_where_they_were(talk: Talk) -> None:
    script = '!tool look {"at": 1}\n!tool look {"at": 2}\n!then\n!answer Done.'
    asked = {"role": "user", "parts": [{"text": script}]}
    first = _parts(_post(talk, [asked], **_TOOLS).json())
    results = [
        {
            "functionResponse": {
                "name": "look",
                "id": part["functionCall"]["id"],
                "response": {"output": "seen"},
            }
        }
        for part in first
    ]

    def again(parts: list[Any], model: str = "gemini-3-pro") -> httpx.Response:
        turns = [asked, {"role": "model", "parts": parts}, {"role": "user", "parts": results}]
        return _post(talk, turns, model, **_TOOLS)

    last = _parts(again(first).json())
    assert last[-1]["text"] == "Done."
    assert last[-1]["thoughtSignature"]
    bare = [{"functionCall": part["functionCall"]} for part in first]
    signature = first[0]["thoughtSignature"]
    assert "missing a thought_signature" in _refused(again(bare))
    assert again(bare, "gemini-2.5-flash").status_code == 200
    assert again([{**bare[0], "thoughtSignature": SKIPPED}, bare[1]]).status_code == 200
    for parts in (
        [{**bare[0], "thoughtSignature": "AAAA"}, bare[1]],
        [bare[0], {**bare[1], "thoughtSignature": signature}],
    ):
        assert "Corrupted thought signature" in _refused(again(parts))


def test_only_the_turn_under_way_needs_signatures(talk: Talk) -> None:
    bare = {"functionCall": _CALL["functionCall"]}
    turns = [
        _USER,
        {"role": "model", "parts": [bare]},
        {"role": "user", "parts": [_RESULT]},
        {"role": "model", "parts": [{"text": "Done."}]},
        _USER,
    ]
    assert _post(talk, turns, **_TOOLS).status_code == 200


@pytest.mark.parametrize(
    ("directive", "reason"),
    [
        ("!refuse", "SAFETY"),
        ("!length", "MAX_TOKENS"),
        ("!finish MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
        ("!no-done", None),
        ("!end-early", None),
    ],
)
def test_how_a_stream_ends(talk: Talk, directive: str, reason: str | None) -> None:
    events = _stream(talk, f"!answer One two.\n{directive}")
    assert events[-1]["candidates"][0].get("finishReason") == reason


def test_errors_have_googles_envelope(talk: Talk) -> None:
    assert "error" in _stream(talk, "!answer One two.\n!error-event")[-1]
    response = _post(talk, "!error 429 RESOURCE_EXHAUSTED 7")
    assert response.status_code == 429
    assert "retry-after" not in response.headers
    error = response.json()["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert error["details"][-1]["retryDelay"] == "7s"
    assert _post(talk, "!error 503").json()["error"]["status"] == "UNAVAILABLE"
    assert _post(talk, "!error 500").json()["error"]["status"] == "INTERNAL"


def test_a_prompt_is_blocked(talk: Talk) -> None:
    blocked = _post(talk, "!block PROHIBITED_CONTENT").json()
    assert blocked["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert "candidates" not in blocked
    assert _stream(talk, "!block")[0]["promptFeedback"] == {"blockReason": "SAFETY"}


def test_the_shape_of_an_answer(talk: Talk) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    answer = _post(talk, "Count", generationConfig=config).json()
    assert json.loads(_parts(answer)[0]["text"]) == {"n": 1}


def test_tokens_are_counted(talk: Talk) -> None:
    counted = _post(talk, "four words are here", verb="countTokens")
    assert counted.json()["totalTokens"] == 4
    request = {"model": "models/gemini-3-pro", "contents": [_USER], **_TOOLS}
    path = "/models/gemini-3-pro:countTokens"
    for body, status in (
        ({"generateContentRequest": request}, 200),
        ({"generateContentRequest": {**request, "model": "other"}}, 400),
        ({"generateContentRequest": request, "contents": [_USER]}, 400),
        ({}, 400),
        ({"contents": [_USER], **_TOOLS}, 400),
    ):
        assert talk.http.post(path, json=body).status_code == status, body


def test_other_verbs_and_streams_that_are_none(talk: Talk) -> None:
    assert _post(talk, "Hi", verb="embedContent").status_code == 404
    assert "alt=sse" in _refused(_post(talk, "Hi", verb="streamGenerateContent"))


def turns(*contents: tuple[str, list[Any]]) -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": parts} for role, parts in contents]}


def model_content(*parts: Any) -> dict[str, Any]:
    return turns(("user", list(parts)))


def declared(*functions: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": list(functions)}]}


def calling(mode: str, *allowed: str) -> dict[str, Any]:
    config = {"mode": mode, **({"allowedFunctionNames": list(allowed)} if allowed else {})}
    return {**_TOOLS, "toolConfig": {"functionCallingConfig": config}}


def config(**members: Any) -> dict[str, Any]:
    return {"generationConfig": members}


def thinking(**members: Any) -> dict[str, Any]:
    return config(thinkingConfig=members)


_ASKED = ("user", [{"text": "x"}])
_CALLED = ("model", [_CALL])
_OTHERS = {"functionResponse": {**_RESULT["functionResponse"], "id": "b"}}
_JSON = config(responseMimeType="application/json")


@pytest.mark.parametrize(
    "body",
    [
        {"contents": []},
        {"stream": True},
        {"model": "gemini-3-pro"},
        turns(("assistant", [{"text": "x"}])),
        model_content(),
        model_content({}),
        model_content({"text": ""}),
        model_content({"type": "text", "text": "x"}),
        model_content({"text": "x", "inlineData": {"mimeType": "image/png", "data": "QQ=="}}),
        model_content({"inlineData": {"mimeType": "text/html", "data": "QQ=="}}),
        model_content({"fileData": {"fileUri": "files/a"}}),
        model_content(_CALL),
        model_content(_RESULT),
        turns(_CALLED, _ASKED),
        turns(_ASKED, _CALLED, _ASKED),
        turns(_ASKED, _CALLED, ("user", [_RESULT, _RESULT])),
        turns(_ASKED, _CALLED, ("user", [_OTHERS])),
        turns(_ASKED, ("model", [{"text": "Well"}]), _CALLED, ("user", [_RESULT])),
        {"systemInstruction": "Be kind."},
        declared({"name": "1st"}),
        declared(_LOOK, _LOOK),
        declared({**_LOOK, "parameters": {}}),
        declared({"name": "a", "parametersJsonSchema": {"type": "object"}}),
        declared({"name": "a", "strict": True}),
        {"tools": [{"googleSearch": {}}]},
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        calling("required"),
        calling("AUTO", "look"),
        calling("ANY", "see"),
        config(max_tokens=5),
        config(maxOutputTokens=0),
        config(stopSequences=list("abcdef")),
        config(temperature=2.5),
        config(candidateCount=2),
        config(presencePenalty=1),
        config(responseJsonSchema={}),
        config(responseMimeType="text/html"),
        thinking(thinkingLevel="max"),
        thinking(thinkingBudget=0),
        thinking(thinkingBudget=99_999),
        thinking(thinkingLevel="low", thinkingBudget=5),
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_what_is_refused(talk: Talk, body: dict[str, Any]) -> None:
    response = talk.http.post(
        "/models/gemini-3-pro:generateContent", json={**model_content({"text": "Hi"}), **body}
    )
    assert _refused(response)
    assert talk.stats()["refused"] == 1


@pytest.mark.parametrize(
    ("model", "body", "is_taken"),
    [
        ("gemini-3-pro", {**_TOOLS, **_JSON}, True),
        ("gemini-2.5-flash", {**_TOOLS, **_JSON}, False),
        ("gemini-2.5-flash", thinking(thinkingBudget=0), True),
        ("gemini-2.5-pro", thinking(thinkingBudget=0), False),
        ("gemini-2.5-flash", thinking(thinkingLevel="low"), False),
        ("open-weights", config(presencePenalty=1), True),
        ("gemini-3-pro", {"systemInstruction": {"parts": [{"text": "Be kind."}]}}, True),
        ("gemini-3-pro", calling("VALIDATED", "look"), True),
    ],
)
def test_what_a_model_takes(talk: Talk, model: str, body: dict[str, Any], is_taken: bool) -> None:
    assert _post(talk, "Hi", model, **body).status_code == (200 if is_taken else 400)


def test_a_forced_tool_is_called(talk: Talk) -> None:
    [part] = _parts(_post(talk, "Go", **calling("ANY", "look")).json())
    assert part["functionCall"]["name"] == "look"
