"""The directives that shape an answer; faults are in test_faults.py."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import gateway.upstream.simulated
from gateway.upstream.simulated.script import DIRECTIVES, SCOPES
from tests.simulated.talk import Talk, call_message, function_tool, result_message, user

_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}}
_DOCS = Path(__file__).parents[2] / "docs/reference/simulated.md"


def test_every_directive_is_documented_in_both_places() -> None:
    known = {*DIRECTIVES, *SCOPES, "!then"}
    docstring = gateway.upstream.simulated.__doc__ or ""
    assert set(re.findall(r"^ {4}.{12}(![a-z-]+)", docstring, re.MULTILINE)) == known
    assert set(re.findall(r"^\| `(![a-z-]+)", _DOCS.read_text(), re.MULTILINE)) == known


def test_an_answer_may_have_lines(talk: Talk) -> None:
    answer = talk.ask("ignored\n!answer one\\ntwo\n!answer three")
    assert answer["message"]["content"] == "one\ntwo\nthree"


def test_unknown_directives_are_speech(talk: Talk) -> None:
    content = talk.ask("!important\n!cached 2\nread ![this](x)")["message"]["content"]
    assert content == "You said: !important\nread ![this](x)"


def test_directives_may_stand_in_any_text_part(talk: Talk) -> None:
    parts = [{"type": "text", "text": text} for text in ("hello", "!answer one", "!answer two")]
    answer = talk.ask([{"role": "user", "content": parts}])
    assert answer["message"]["content"] == "one\ntwo"


def test_a_script_ends_with_its_answer(talk: Talk) -> None:
    history = [user("!answer old"), {"role": "assistant", "content": "old"}, user("new")]
    assert talk.ask(history)["message"]["content"] == "You said: new"


def test_what_a_client_adds_behind_a_script_does_not_end_it(talk: Talk) -> None:
    script = user("!tool look\n!then\n!tool feel\n!then\n!answer done")
    calls = talk.ask([script, user("a reminder")])["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["look"]
    history = [
        script,
        user("a reminder"),
        call_message(("call-1", "look", "{}")),
        result_message("call-1", "an image"),
        {"role": "user", "content": [_IMAGE]},
    ]
    calls = talk.ask(history)["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["feel"]


def test_the_newest_script_counts(talk: Talk) -> None:
    history = [user("!answer old"), user("!answer new"), user("a reminder")]
    assert talk.ask(history)["message"]["content"] == "new"


@pytest.mark.parametrize(
    "directive",
    [
        "!chunks",
        "!chunks many",
        "!chunks 100001",
        "!chunks 1 soon",
        "!tool",
        "!when",
        "!when tool",
        "!when stream now",
        "!error",
        "!error 200",
        "!error 600",
        "!cut x",
        "!stall 1",
        "!silence -1",
        "!silence 4000",
        "!silence nan",
        "!chunks 1 hold",
        "!usage nowhere",
        "!reason-as thought",
        "!finish",
        "!cached ²",
    ],
)
def test_a_bad_argument_is_refused_and_named(talk: Talk, directive: str) -> None:
    response = talk.post(directive)
    assert response.status_code == 400
    assert directive.split()[0] in response.json()["error"]["message"]


def test_chunks_are_counted_exactly(talk: Talk) -> None:
    heard = talk.stream("!chunks 100")
    assert [delta["content"] for delta in heard.deltas[1:-1]] == [
        f"word{index} " for index in range(1, 101)
    ]
    assert heard.chunks[-1]["choices"][0]["usage"]["completion_tokens"] == 100
    assert talk.stats()["chunks_sent"] == 102


def test_a_given_answer_is_cut_into_as_many_chunks_as_asked_for(talk: Talk) -> None:
    heard = talk.stream("!answer abcdef\n!chunks 3")
    assert [delta["content"] for delta in heard.deltas[1:-1]] == ["ab", "cd", "ef"]


def test_parallel_calls_come_one_after_the_other(talk: Talk) -> None:
    heard = talk.stream('!tool look {"city": "Bern"}\n!tool feel')
    assert heard.calls() == [
        ("functions.look:0", "look", '{"city": "Bern"}'),
        ("functions.feel:1", "feel", "{}"),
    ]
    indexes = [delta["index"] for delta in heard.call_deltas]
    assert indexes == sorted(indexes)
    assert indexes.count(0) > 2
    first = heard.call_deltas[0]
    assert (first["type"], first["function"]["arguments"]) == ("function", "")
    assert heard.finish_reasons == ["tool_calls"]


def test_calls_may_interleave(talk: Talk) -> None:
    heard = talk.stream('!tool look {"city": "Bern"}\n!tool feel {"x": 1}\n!interleave')
    assert [delta["index"] for delta in heard.call_deltas][:4] == [0, 1, 0, 1]
    assert [call[2] for call in heard.calls()] == ['{"city": "Bern"}', '{"x": 1}']


def test_a_name_may_come_late(talk: Talk) -> None:
    heard = talk.stream('!tool look {"city": "Bern"}\n!late-name')
    first, second = heard.call_deltas[:2]
    assert "id" not in first
    assert set(first["function"]) == {"arguments"}
    assert second["function"] == {"name": "look", "arguments": ""}
    assert heard.calls() == [("functions.look:0", "look", '{"city": "Bern"}')]


def test_arguments_are_sent_as_they_are(talk: Talk) -> None:
    assert talk.stream('!tool look {"city": ').calls()[0][2] == '{"city":'


def test_text_may_go_before_a_call(talk: Talk) -> None:
    heard = talk.stream("!answer let me see\n!tool look")
    assert (heard.text, len(heard.calls())) == ("let me see", 1)
    assert heard.finish_reasons == ["tool_calls"]


def test_a_tool_loop_ends_by_itself(talk: Talk) -> None:
    history = [user("!tool look")]
    made = talk.ask(history)["message"]
    history += [made, result_message(made["tool_calls"][0]["id"], "sunny")]
    answer = talk.ask(history)
    assert (answer["finish_reason"], answer["message"]["content"]) == ("stop", "sunny")


def test_then_scripts_the_turns_after_tool_results(talk: Talk) -> None:
    history = [user("!tool look\n!then\n!tool feel\n!then\n!answer warm")]
    for name in ("look", "feel"):
        [(id, called, _)] = talk.stream(history).calls()
        assert called == name
        history += [call_message((id, called, "{}")), result_message(id, "fine")]
    assert talk.ask(history)["message"]["content"] == "warm"


def test_only_holds_for_one_model(talk: Talk) -> None:
    script = "!only kimi-k2.6\n!error 503\n!only other\n!answer hi\n!only *\n!cached 3"
    assert talk.post(script, model="kimi-k2.6").status_code == 503
    answer = talk.ask(script, model="other")
    assert answer["message"]["content"] == "hi"
    assert answer["usage"]["cached_tokens"] == 3
    assert talk.ask(script, model="third")["message"]["content"] == "Hello."


def test_when_holds_for_some_requests(talk: Talk) -> None:
    script = "!when no-tools\n!answer bare\n!when tool look\n!answer seen\n!when whole\n!cached 3"
    answer = talk.ask(script)
    assert (answer["message"]["content"], answer["usage"]["cached_tokens"]) == ("bare", 3)
    tools = [function_tool("feel"), function_tool("look")]
    assert talk.ask(script, tools=tools)["message"]["content"] == "seen"
    assert talk.ask(script, tools=tools[:1])["message"]["content"] == "Hello."
    assert talk.stream("!when stream\n!answer streamed").text == "streamed"
    assert talk.ask("!when stream\n!answer streamed")["message"]["content"] == "Hello."
    assert talk.ask("!when stream\n!when *\n!answer all")["message"]["content"] == "all"


def test_reasoning_may_be_scripted(talk: Talk) -> None:
    heard = talk.stream("!reason first\n!reason second\n!answer x")
    assert (heard.reasoning, heard.text) == ("first\nsecond", "x")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("reasoning", "why"),
        ("reasoning_details", [{"type": "reasoning.text", "text": "why"}]),
    ],
)
def test_reasoning_may_have_another_name(talk: Talk, member: str, value: Any) -> None:
    script = f"!reason why\n!reason-as {member}"
    assert talk.ask(script)["message"][member] == value
    assert {member: value} in talk.stream(script).deltas


def test_reasoning_may_hide_in_the_content(talk: Talk) -> None:
    script = "!think-tags\n!reason why not\n!answer so"
    heard = talk.stream(script)
    assert heard.text == "<think>why not</think>so"
    assert heard.reasoning == ""
    assert "completion_tokens_details" not in talk.ask(script)["usage"]
    assert talk.ask("!think-tags")["message"]["content"].startswith("<think>")


@pytest.mark.parametrize(
    ("directive", "reason"),
    [
        ("!refuse", "content_filter"),
        ("!length", "length"),
        ("!finish unexpected_state", "unexpected_state"),
    ],
)
def test_the_end_may_have_another_reason(talk: Talk, directive: str, reason: str) -> None:
    assert talk.stream(directive).finish_reasons == [reason]
    assert talk.ask(directive)["finish_reason"] == reason


@pytest.mark.parametrize("count", [0, 1, 3])
def test_there_may_be_more_or_fewer_choices_than_were_asked_for(talk: Talk, count: int) -> None:
    assert len(talk.post(f"!choices {count}", n=2).json()["choices"]) == count
    heard = talk.stream(f"!choices {count}", n=2)
    assert heard.finish_reasons == ["stop"] * count


_INCLUDE = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("directive", "members", "places"),
    [
        ("", {}, {"choice"}),
        ("", _INCLUDE, {"choice", "final"}),
        ("!usage final", {}, {"final"}),
        ("!usage choice", _INCLUDE, {"choice"}),
        ("!usage both", {}, {"choice", "final"}),
        ("!usage finish", {}, {"finish"}),
        ("!usage none", _INCLUDE, set()),
    ],
)
def test_usage_is_where_it_was_asked_to_be(
    talk: Talk, directive: str, members: dict[str, Any], places: set[str]
) -> None:
    heard = talk.stream(f"hi\n{directive}", **members)
    assert heard.usage_places() == places
    if "final" in places:
        assert heard.chunks[-1]["choices"] == []


def test_usage_of_a_whole_answer_may_hide_too(talk: Talk) -> None:
    assert talk.ask("!usage none")["usage"] is None
    hidden = talk.post("!usage choice").json()
    assert "usage" not in hidden
    assert hidden["choices"][0]["usage"]["total_tokens"] > 0


def test_cached_tokens_are_reported_twice(talk: Talk) -> None:
    usage = talk.ask("!cached 512")["usage"]
    assert usage["cached_tokens"] == 512
    assert usage["prompt_tokens_details"] == {"cached_tokens": 512}
    assert usage["prompt_tokens"] >= 512
    assert "cached_tokens" not in talk.ask("hi")["usage"]


def test_tokens_written_to_the_cache_are_a_detail_of_usage(talk: Talk) -> None:
    usage = talk.ask("!cached 2\n!cache-write 512")["usage"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 2, "cache_write_tokens": 512}
    assert usage["prompt_tokens"] >= 514


def test_events_may_be_split_inside_a_character(talk: Talk) -> None:
    heard = talk.stream("!answer héé 你好 🎉\n!split")
    assert heard.text == "héé 你好 🎉"
    assert heard.done
    assert any(write[-1:] >= b"\xc0" for write in heard.writes)
    assert any(b"\n\ndata" in write for write in heard.writes)
    assert talk.ask("!answer é\n!split")["message"]["content"] == "é"


def test_events_may_come_in_one_write(talk: Talk) -> None:
    heard = talk.stream("!chunks 50\n!coalesce")
    assert len(heard.chunks) == 52
    assert len(heard.writes) < 5


def test_events_come_one_to_a_write_otherwise(talk: Talk) -> None:
    heard = talk.stream("!chunks 20 1")
    assert len(heard.writes) == len(heard.chunks) + 1


def test_json_may_have_spaces_and_lines_may_end_in_crlf(talk: Talk) -> None:
    heard = talk.stream("!spaces\n!answer a:b")
    assert heard.text == "a:b"
    assert b'{"id": "' in heard.raw
    assert heard.raw.endswith(b"data: [DONE]\r\n\r\n")
    assert b"\n" not in heard.raw.replace(b"\r\n", b"")
    assert b'"object": "chat.completion"' in talk.post("!spaces").content


def test_the_space_after_data_may_be_missing(talk: Talk) -> None:
    heard = talk.stream("!tight")
    assert heard.raw.startswith(b"data:{")
    assert heard.raw.endswith(b"data:[DONE]\n\n")


def test_comments_may_stand_between_events(talk: Talk) -> None:
    heard = talk.stream("!comments\n!chunks 3")
    assert heard.comments == len(heard.chunks) + 1
    assert json.loads(heard.raw.split(b"data: ")[1].split(b"\n")[0])["choices"]
