"""Names of tools as every profile takes them."""

import re

import pytest

from gateway.core.request import AssistantMessage, Request, Tool, ToolCall, ToolChoice
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.dialects.adapt.names import fit_names
from gateway.dialects.chat.call_names import CallNames
from gateway.dialects.chat.request_reader import parse_body
from gateway.dialects.json import encode
from tests.dialects.support import request
from tests.growth.measure import peak_bytes

TAKEN_BY_ALL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
OPENAIS = ALL_PROFILES["gpt-5"]


def offer(*names: str) -> Request:
    return request(tools=tuple(Tool(name) for name in names))


def cut(*names: str) -> list[str]:
    return [tool.name for tool in fit_names(offer(*names), OPENAIS)[0].tools]


@pytest.mark.parametrize("profile", ALL_PROFILES)
@pytest.mark.parametrize("name", ["look", "a" * 64, "Look-up_2"])
def test_a_name_that_all_take_is_left_alone(profile: str, name: str) -> None:
    asked = offer(name)
    assert fit_names(asked, ALL_PROFILES[profile]) == (asked, {})


@pytest.mark.parametrize("profile", ALL_PROFILES)
@pytest.mark.parametrize("name", ["a" * 129, "a.b", "look up!", "查天气", "-.-", ".", "\n"])
def test_any_other_is_cut_to_one_that_all_take(profile: str, name: str) -> None:
    fitted, names = fit_names(offer(name), ALL_PROFILES[profile])
    (tool,) = fitted.tools
    assert TAKEN_BY_ALL.fullmatch(tool.name)
    assert names == {tool.name: name}


@pytest.mark.parametrize(
    ("profile", "taken", "not_taken"),
    [
        ("gpt-5", "a" * 64, "a" * 65),
        ("generic", "3d", "a" * 65),
        ("claude", "a" * 128, "a" * 129),
        ("kimi-k2.6", "a" * 128, "3d"),
        ("gemini-3", "a" * 64, "-d"),
    ],
)
def test_what_is_taken_is_the_profile_s(profile: str, taken: str, not_taken: str) -> None:
    fitted, _ = fit_names(offer(taken, not_taken), ALL_PROFILES[profile])
    first, second = fitted.tools
    assert first.name == taken
    assert second.name != not_taken


def test_a_name_is_cut_to_the_same_in_every_turn_and_stays_legible() -> None:
    (alone,) = cut("server.tool")
    assert cut("look", "server.tool", "a" * 70)[1] == alone
    assert re.fullmatch(r"server_tool_[0-9a-f]{12}", alone)


def test_no_two_names_become_one() -> None:
    names = [f"{'a' * 100}{number}" for number in range(500)]
    names += ["a.b", "a_b", "a-b", "a b", "a/b"]
    assert len(set(cut(*names))) == len(names)
    (short,) = cut("server.tool")
    both = cut("server.tool", short)
    assert both[1] == short
    assert both[0] != short
    assert TAKEN_BY_ALL.fullmatch(both[0])


def test_choice_and_earlier_calls_have_the_same_name_and_nothing_else_changes() -> None:
    calls = (ToolCall("1", "a.b", '{"name": "a.b"}'), ToolCall("2", "look", "{}"))
    message = AssistantMessage("a.b", None, calls)
    asked = request(message, tools=(Tool("a.b"),), tool_choice=ToolChoice("named", "a.b"))
    fitted, names = fit_names(asked, OPENAIS)
    (short,) = names
    assert fitted.tool_choice == ToolChoice("named", short)
    renamed = ToolCall("1", short, '{"name": "a.b"}')
    assert fitted.messages == (AssistantMessage("a.b", None, (renamed, calls[1])),)
    assert asked.tools == (Tool("a.b"),)


def test_messages_that_might_go_as_they_are_do_not_with_such_a_name() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "a.b", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "It."},
    ]
    asked = parse_body(encode({"model": "public", "messages": messages})).request
    assert asked.written is not None
    fitted, names = fit_names(asked, OPENAIS)
    assert fitted.written is None
    message = fitted.read()[1]
    assert isinstance(message, AssistantMessage)
    assert message.calls[0].name in names


def test_a_name_is_put_back_where_it_names_a_call_and_nowhere_else() -> None:
    restore = CallNames({"a_b_0": "a.b", "a_b_01": 'say "hi"'}).restore
    assert restore(b'{"name":"a_b_0"}') == b'{"name":"a.b"}'
    assert restore(b'{"name" : "a_b_01"}') == rb'{"name" : "say \"hi\""}'
    for other in (b'{"content":"a_b_0"}', rb'{"content":"\"name\":\"a_b_0\""}', b'{"name":"a_b_"}'):
        assert restore(other) == other


def test_nothing_is_made_of_thousands_of_names_before_one_comes_back() -> None:
    """Each answer has its own; a pattern of them all was kept for good, a megabyte each."""
    names = {f"n_{number:032x}": f"n.{number}" for number in range(20_000)}
    assert peak_bytes(lambda: CallNames(names)) < 20_000
    restored = CallNames(names).restore(b'{"name":"n_%032x"}' % 19_999)
    assert restored == b'{"name":"n.19999"}'
