"""A whole answer keeps the upstream's bytes, and reports what a repair of all would."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamBroken
from gateway.core.events import Usage
from gateway.dialects.chat.completion import write_completion
from gateway.dialects.chat.repair import repair_finish, repair_message
from gateway.dialects.chat.tables import write_usage

USAGE = Usage(7, 5, 3, 2)


def call(**differences: Any) -> dict[str, Any]:
    function = {"name": "look", "arguments": "{}"}
    return {"id": "call_1", "type": "function", "function": function, **differences}


def choice(finish_reason: Any = "stop", **message: Any) -> dict[str, Any]:
    messages = {"role": "assistant", "content": "hi", **message}
    return {"index": 0, "message": messages, "finish_reason": finish_reason}


def answer(*choices: Any, **more: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model": "upstream's", "choices": list(choices), **more}


def written(data: bytes, *, legacy: bool = False) -> Any:
    return json.loads(write_completion(data, USAGE, "public", legacy=legacy))


def repaired(document: Any, *, legacy: bool = False) -> Any:
    """The same, by decoding all of it."""
    document["model"], document["usage"] = "public", write_usage(USAGE)
    for each in document["choices"]:
        each.pop("usage", None)
        called = repair_message(each["message"], legacy)
        each["finish_reason"] = repair_finish(each.get("finish_reason"), called, legacy)
    return document


def test_choices_in_order_keep_their_bytes() -> None:
    choices = b'[ {"index":0, "message":{"role":"assistant", "content":"h\\u00e9"},'
    choices += b' "finish_reason":"stop", "logprobs":{"content":[1.50, 1e400]} } ]'
    data = b'{"id":"x","model":"upstream\'s","choices":' + choices + b',"new":{"a": 1.0}}'
    out = write_completion(data, None, "public", legacy=False)
    assert choices in out
    assert b'"new":{"a": 1.0}' in out
    assert b'"model":"public"' in out
    assert b"upstream's" not in out


_PLAIN = [
    choice(),
    choice("length", refusal=None, annotations=[]),
    choice("tool_calls", content=None, tool_calls=[call(index=0), call(id="call_2")]),
    choice("content_filter", reasoning_content="hm"),
]
_ODD = [
    choice("eos"),
    choice(None),
    choice(tool_calls=[call()]),
    choice("function_call", tool_calls=[call()]),
    choice("tool_calls", tool_calls=[call(id="call_2", function={"name": "look"})]),
    choice("tool_calls", tool_calls=[call(type="other"), "nothing"]),
    choice(tool_calls=[]),
    choice(tool_calls=None),
    choice(reasoning="hm"),
    choice(reasoning=None),
    choice(reasoning_details=[{"text": "hm"}], reasoning_content=""),
    choice(content=[{"type": "text", "text": "hi"}]),
    {"message": {}, "finish_reason": "stop"},
    choice() | {"usage": {"prompt_tokens": 1}},
]
_CHOICES = st.lists(st.sampled_from(_PLAIN + _ODD), min_size=1, max_size=3)


@given(_CHOICES, st.booleans(), st.booleans())
def test_what_goes_out_is_what_a_repair_of_all_of_it_gives(
    choices: list[Any], legacy: bool, spaced: bool
) -> None:
    document = answer(*choices, system_fingerprint="fp", usage={"prompt_tokens": 1})
    data = json.dumps(document, indent=1 if spaced else None).encode()
    assert written(data, legacy=legacy) == repaired(json.loads(data), legacy=legacy)


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[],"new":"\xff"}',
        b'{"choices":[{"message":{"role":"assistant","content":"\xff"},"finish_reason":"stop"}]}',
        b'{"choices":' + b"[" * 100_000,
        b"[]",
    ],
)
def test_what_is_no_answer_is_not_passed_on(data: bytes) -> None:
    with pytest.raises(UpstreamBroken):
        write_completion(data, None, "public", legacy=False)
