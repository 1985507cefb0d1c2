"""Calls as servers take them: ids as the client has them where they fit, else cut in a call and its
result alike; arguments that are an object."""

import json
import re

import pytest

from gateway.core.errors import RequestTooLarge
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.dialects.adapt.calls import encode_arguments, fit_id, repair_arguments
from gateway.dialects.chat.request_writer import write_request
from gateway.dialects.gemini.request_writer import write_request as write_gemini
from gateway.dialects.messages.request_writer import write_request as write_messages
from tests.dialects.chat.support import HELLO, parse_call
from tests.dialects.support import resolve

LENGTH_MAX = 40


@pytest.mark.parametrize("profile", ALL_PROFILES)
@pytest.mark.parametrize("length", [1, LENGTH_MAX, LENGTH_MAX + 1, 65])
@pytest.mark.parametrize("plain", [True, False])
def test_a_call_and_its_result_keep_one_id(profile: str, length: int, plain: bool) -> None:
    ids = ["a" * length, "b" * length]
    calls = [
        {"id": one, "type": "function", "function": {"name": "look", "arguments": "{}"}}
        for one in ids
    ]
    results = [{"role": "tool", "tool_call_id": one, "content": "sea"} for one in ids]
    # with an empty part the conversation is not plain
    first = HELLO if plain else {**HELLO, "content": [{"type": "text", "text": ""}, "hi"]}
    wanted = parse_call(
        {"model": "m", "messages": [first, {"role": "assistant", "tool_calls": calls}, *results]}
    ).request
    sent = json.loads(write_request(wanted, resolve(profile)).body)["messages"]

    called = [call["id"] for call in sent[1]["tool_calls"]]
    assert called == [message["tool_call_id"] for message in sent[2:]]
    limit = ALL_PROFILES[profile].call_id_length_max
    if profile == "mistral":
        assert len(set(called)) == 2
        assert all(re.fullmatch("[a-zA-Z0-9]{9}", one) for one in called)
    elif limit is None or length <= limit:
        assert called == ids
    else:
        assert len(set(called)) == 2
        assert all(0 < len(one) <= limit for one in called)


def test_mistrals_own_ids_stay() -> None:
    mistral = ALL_PROFILES["mistral"]
    assert fit_id("D681PevKs", mistral) == "D681PevKs"
    assert fit_id("D681Pev-s", mistral) != "D681Pev-s"
    assert fit_id("D681Pevüs", mistral) != "D681Pevüs"


def test_openais_models_have_the_limit() -> None:
    limited = {name for name, profile in ALL_PROFILES.items() if profile.call_id_length_max}
    assert limited == {"gpt-4", "gpt-5", "gpt-5.1"}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("", "{}"),
        (' {"a": 1.0, "b":[]}', ' {"a": 1.0, "b":[]}'),
        ('{"a":18446744073709551616}', '{"a":18446744073709551616}'),
        ("[1]", '{"invalid_arguments":"[1]"}'),
        ("{}],[{}", '{"invalid_arguments":"{}],[{}"}'),
        ('{"a":1e999}', '{"invalid_arguments":"{\\"a\\":1e999}"}'),
        ('{"a":' + "[" * 250 + "]" * 250 + "}", '{"a":' + "[" * 250 + "]" * 250 + "}"),
        ("{}" + "[" * 250 + "]" * 250, None),
        ('{"a":' + "[" * 9000 + "]" * 9000 + "}", None),
        ("{}]" + ',["' * 250 + '"]' * 250, None),
    ],
)
def test_arguments_go_as_they_were_written(given: str, sent: str | None) -> None:
    wrapped = json.dumps({"invalid_arguments": given}, separators=(",", ":"))
    assert repair_arguments(given) == (wrapped if sent is None else sent)
    body = b'{"arguments":%b}' % bytes(encode_arguments(given))
    assert isinstance(json.loads(body)["arguments"], dict)


@pytest.mark.parametrize("model", ["generic", "kimi-k2.6", "claude", "gemini-3"])
@pytest.mark.parametrize("is_plain", [True, False])
def test_arguments_that_would_become_too_many_values_are_refused(
    model: str, is_plain: bool
) -> None:
    arguments = '{"a":[' + "{}," * 250_000 + "1]}"
    call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": arguments}}
    result = {"role": "tool", "tool_call_id": "a", "content": "sea" if is_plain else ""}
    body = {"model": "m", "messages": [HELLO, {"role": "assistant", "tool_calls": [call]}, result]}
    write = {"claude": write_messages, "gemini-3": write_gemini}.get(model, write_request)
    with pytest.raises(RequestTooLarge, match="JSON values"):
        write(parse_call(body).request, resolve(model))
