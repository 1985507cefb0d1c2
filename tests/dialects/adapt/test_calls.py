"""Ids of calls: as the client has them where they fit, else cut in a call and its result alike."""

import json
import re

import pytest

from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.dialects.adapt.calls import fit_id
from gateway.dialects.chat.request_writer import write_request
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
