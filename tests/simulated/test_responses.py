"""The simulated upstream in the Responses dialect."""

from typing import Any

import httpx
import pytest

from tests.simulated.talk import Talk, named_events

_ANYTHING = {"type": "object", "properties": {}}
_TOOL = {"type": "function", "name": "look", "parameters": _ANYTHING, "strict": False}
_CALL = {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{}"}
_OUTPUT = {"type": "function_call_output", "call_id": "a", "output": "seen"}
_USER = {"role": "user", "content": "x"}
_SEALED = ["reasoning.encrypted_content"]
_REASONING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}


def _post(talk: Talk, content: Any, **members: Any) -> httpx.Response:
    body = {"model": "gpt-5.1", "input": content, "store": False, **members}
    return talk.http.post("/responses", json=body)


@pytest.mark.parametrize(
    ("model", "reasoning"), [("gpt-5.1", "summary"), ("kimi-k3", "summary"), ("open", "content")]
)
def test_a_response_and_its_stream_hold_the_same(talk: Talk, model: str, reasoning: str) -> None:
    script = '!reason Hm.\n!answer Yes.\n!tool look {"at": 1}\n!cached 9'
    whole = _post(talk, script, model=model, tools=[_TOOL]).json()
    signed_block, message, call = whole["output"]
    assert [part["text"] for part in signed_block[reasoning]] == ["Hm."]
    assert message["content"][0]["text"] == "Yes."
    assert call["arguments"] == '{"at": 1}'
    assert whole["status"] == "completed"
    assert whole["usage"]["input_tokens_details"]["cached_tokens"] == 9
    events = named_events(_post(talk, script, model=model, tools=[_TOOL], stream=True))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    last = events[-1]["response"]
    assert done == last["output"]
    assert [item["type"] for item in done] == [item["type"] for item in whole["output"]]
    assert last["usage"] == whole["usage"]
    for index, content in enumerate(("Hm.", "Yes.", '{"at": 1}')):
        deltas = [
            event["delta"]
            for event in events
            if "delta" in event and event["output_index"] == index
        ]
        assert "".join(deltas) == content
    assert talk.stats()["completed"] == 2


def test_reasoning_is_sealed_where_it_is_asked_for_and_taken_back_as_it_was(talk: Talk) -> None:
    script = "!reason Hm.\n!tool look {}\n!then\n!answer Yes."
    assert _post(talk, script, tools=[_TOOL]).json()["output"][0]["encrypted_content"] is None
    first = _post(talk, script, tools=[_TOOL], include=_SEALED).json()["output"]
    output = {**_OUTPUT, "call_id": first[1]["call_id"]}
    turn = [{"role": "user", "content": script}, *first, output]
    assert _post(talk, turn, tools=[_TOOL]).json()["output"][-1]["content"][0]["text"] == "Yes."
    wrong: tuple[dict[str, Any], ...]
    wrong = ({"summary": []}, {"encrypted_content": "x"}, {"encrypted_content": None})
    for changes in wrong:
        turn[1] = {**first[0], **changes}
        assert _post(talk, turn, tools=[_TOOL]).status_code == 400
    assert _post(talk, [turn[0], *turn[2:]], tools=[_TOOL]).status_code == 200


@pytest.mark.parametrize(
    ("directive", "last"),
    [
        ("!no-done", "response.output_item.done"),
        ("!end-early", "response.output_item.done"),
        ("!error-event", "error"),
        ("!refuse", "response.incomplete"),
        ("!length", "response.incomplete"),
    ],
)
def test_how_a_stream_ends(talk: Talk, directive: str, last: str) -> None:
    events = named_events(_post(talk, f"!answer One two.\n{directive}", model="open", stream=True))
    assert events[-1]["type"] == last


@pytest.mark.parametrize(
    "members",
    [
        {"store": True},
        {"input": []},
        {"n": 1},
        {"temperature": 1},
        {"max_output_tokens": 15},
        {"reasoning": {"effort": "max"}},
        {"reasoning": {"enabled": True}},
        {"include": ["web_search_call.action.sources"]},
        {"tool_choice": "any"},
        {"tools": [{"type": "function", "function": {"name": "look"}}]},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{**_TOOL, "strict": True}]},
        {"tools": [{"type": "function", "name": "look"}]},
        {"text": {"format": {"type": "json_schema", "json_schema": {}}}},
        {"input": [{"type": "item_reference", "id": "rs_1"}]},
        {"input": [{**_USER, "name": "Ann"}]},
        {"input": [{"role": "tool", "content": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http:"}]}]},
        {"input": [_USER, _CALL]},
        {"input": [_USER, _OUTPUT]},
        {"input": [_USER, {**_CALL, "call_id": 65 * "a"}, {**_OUTPUT, "call_id": 65 * "a"}]},
        {"input": [_USER, {"type": "reasoning", "encrypted_content": "x"}, _CALL, _OUTPUT]},
        {"input": [_USER, {**_REASONING, "id": "rs_1"}], "model": "open"},
        {"input": [_USER, _REASONING, _CALL, _OUTPUT], "model": "open"},
        {"model": "gpt-5", "reasoning": {"effort": "none"}},
        {"model": "gpt-4.1", "reasoning": {"effort": "low"}},
        {"model": "gpt-4.1", "chat_template_kwargs": {}},
        {"model": "kimi-k3", "reasoning": {"effort": "none"}},
        {"model": "kimi-k3", "tools": [_TOOL], "tool_choice": "required"},
        {"model": "kimi-k3", "text": {"format": {"type": "json_object"}}},
    ],
)
def test_what_is_refused(talk: Talk, members: dict[str, Any]) -> None:
    response = _post(talk, "Hi", **members)
    assert response.status_code == 400
    assert response.json()["error"]["message"]
    assert talk.stats()["refused"] == 1
