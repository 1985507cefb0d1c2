"""The strict rules hold of the upstream's messages, for every history a client may send."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest
from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    Message,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.adapt.history import fill_reasoning, lead_with_instructions, repair
from gateway.upstream.simulated.families import find_family
from gateway.upstream.simulated.history_rules import check_messages
from tests.dialects.support import HELLO, render, request

IMAGE = ImagePart("data:image/png;base64,iVBORw0KGgo=")
LATER = UserMessage((TextPart("and then?"),))


def calls(*ids: str, text: str | None = None, reasoning: str | None = None) -> AssistantMessage:
    made = tuple(ToolCall(each, "look", "{}") for each in ids)
    return AssistantMessage(text, reasoning, made)


def result(call_id: str, *parts: Any, is_error: bool = False) -> ToolMessage:
    return ToolMessage(call_id, parts, is_error)


def text_of(message: Message) -> str:
    assert isinstance(message, ToolMessage | UserMessage)
    return "|".join(part.text for part in message.parts if isinstance(part, TextPart))


def fix(*messages: Message, sees_images: bool = True) -> list[Message]:
    return repair(messages, sees_images)


def test_a_good_history_is_left_alone() -> None:
    history: list[Message] = [
        SystemMessage("s"),
        HELLO,
        calls("a", "b", text="t", reasoning="r"),
        result("a", TextPart("1")),
        result("b", TextPart("2")),
        AssistantMessage("done"),
        LATER,
    ]
    assert fix(*history) == history


def _user(*texts: str) -> UserMessage:
    return UserMessage(tuple(map(TextPart, texts)))


S, T = SystemMessage("s"), SystemMessage("t")
#: both as a user's words
LED = "<system>\ns\n</system>\n\n<system>\nt\n</system>"


@pytest.mark.parametrize(
    ("given", "led"),
    [
        ([], []),
        ([S], [S]),
        ([S, T, LATER], [SystemMessage("s\n\nt"), LATER]),
        ([_user("a"), S, T], [_user(f"a\n\n{LED}")]),
        ([_user("a", "b"), S, T, LATER], [_user("a", "b", LED), LATER]),
        ([calls("a"), S, T, _user("a")], [calls("a"), _user(f"{LED}\n\na")]),
        ([result("a"), S, T], [result("a"), _user(LED)]),
        ([result("a"), S, T, calls("b")], [result("a"), _user(LED), calls("b")]),
        ([T, UserMessage((IMAGE,), "Ann"), S, T],
         [T, UserMessage((IMAGE, TextPart(LED)), "Ann")]),
    ],
)  # fmt: skip
def test_instructions_lead(given: list[Message], led: list[Message]) -> None:
    assert lead_with_instructions(given) == led
    assert lead_with_instructions(led) == led


def test_results_are_put_into_the_order_of_the_calls() -> None:
    fixed = fix(HELLO, calls("a", "b"), result("b", TextPart("2")), result("a", TextPart("1")))
    assert [text_of(message) for message in fixed[2:]] == ["1", "2"]


def test_an_unanswered_call_gets_a_result() -> None:
    for following in ([], [LATER], [AssistantMessage("gave up")]):
        fixed = fix(HELLO, calls("a"), *following)
        assert text_of(fixed[2]) == "[no result: the call was interrupted]"
        assert fixed[3:] == following


def test_a_result_without_its_call_is_sent_as_the_users() -> None:
    fixed = fix(HELLO, result("x", TextPart("42")), LATER)
    assert isinstance(fixed[1], UserMessage)
    assert "42" in text_of(fixed[1])
    doubled = fix(calls("a"), result("a", TextPart("1")), result("a", TextPart("2")))
    assert [type(message) for message in doubled] == [AssistantMessage, ToolMessage, UserMessage]
    assert "2" in text_of(doubled[2])


def test_nothing_stands_between_calls_and_results() -> None:
    fixed = fix(calls("a", "b"), SystemMessage("s"), result("a"), LATER, result("b"))
    assert [type(message) for message in fixed] == [
        AssistantMessage,
        ToolMessage,
        ToolMessage,
        SystemMessage,
        UserMessage,
    ]


def test_ids_that_come_back_every_turn_are_paired_within_their_turn() -> None:
    turns: list[Message] = [
        calls("look:0"),
        result("look:0", TextPart("1")),
        calls("look:0"),
        result("look:0", TextPart("2")),
    ]
    assert fix(*turns) == turns


def test_equal_ids_in_one_message_are_distinguished() -> None:
    fixed = fix(
        calls("a", "a", ""),
        result("a", TextPart("1")),
        result("a", TextPart("2")),
        result("", TextPart("3")),
    )
    assistant, *results = fixed
    assert isinstance(assistant, AssistantMessage)
    ids = [call.id for call in assistant.calls]
    assert len(set(ids)) == 3
    assert all(ids)
    assert [message.call_id for message in results if isinstance(message, ToolMessage)] == ids
    assert [text_of(message) for message in results] == ["1", "2", "3"]


def test_images_of_results_follow_after_all_results_of_the_turn() -> None:
    fixed = fix(
        calls("a", "b"),
        result("a", TextPart("one"), IMAGE),
        result("b", IMAGE),
        LATER,
    )
    assert [text_of(message) for message in fixed[1:3]] == [
        "one\n(see the image below)",
        "(see the image below)",
    ]
    assert fixed[3:] == [UserMessage((IMAGE, IMAGE)), LATER]
    blind = fix(calls("a"), result("a", IMAGE), result("x", IMAGE), sees_images=False)
    assert not any(isinstance(part, ImagePart) for message in blind[1:] for part in message.parts)  # type: ignore[union-attr]  # results and user messages have parts
    assert "omitted" in text_of(blind[1])


@pytest.mark.parametrize(
    ("parts", "is_error", "expected"),
    [
        ((), False, "(no output)"),
        ((TextPart(""),), False, "(no output)"),
        ((TextPart("a"), TextPart("b")), False, "a\nb"),
        ((TextPart("no such file"),), True, "Error: no such file"),
        ((TextPart("Error: bad"),), True, "Error: bad"),
        ((), True, "Error: (no output)"),
    ],
)
def test_a_result_is_one_text(parts: tuple[Any, ...], is_error: bool, expected: str) -> None:
    fixed = fix(calls("a"), ToolMessage("a", parts, is_error))
    assert fixed[1] == ToolMessage("a", (TextPart(expected),))


def test_empty_messages_are_dropped() -> None:
    history: list[Message] = [
        SystemMessage(""),
        HELLO,
        AssistantMessage(""),
        AssistantMessage(None, "only reasoning"),
        UserMessage((TextPart(""), TextPart("x"))),
        UserMessage(()),
    ]
    assert fix(*history) == [HELLO, UserMessage((TextPart("x"),))]


def reasonings(*history: Message) -> list[str | None]:
    filled = fill_reasoning(history)
    return [message.reasoning for message in filled if isinstance(message, AssistantMessage)]


def test_missing_reasoning_is_filled_with_the_best_there_is() -> None:
    assert reasonings(calls("a", reasoning="own")) == ["own"]
    assert reasonings(calls("a", reasoning="first"), calls("b")) == ["first", "first"]
    assert reasonings(AssistantMessage("x", "said"), calls("b", text="t")) == ["said", "said"]
    assert reasonings(calls("a", text="I look.")) == ["I look."]
    assert reasonings(calls("a")) == ["[reasoning unavailable]"]
    assert reasonings(calls("a", reasoning=" ", text=" ")) == ["[reasoning unavailable]"]
    assert reasonings(AssistantMessage("no calls")) == [None]


def test_many_calls_with_one_id_do_not_take_for_ever() -> None:
    count = 20_000
    fixed = fix(calls(*["a"] * count), *[result("a", TextPart("1"))] * count)
    assert len(fixed) == count + 1


TEXTS = st.sampled_from(["", " ", "x", "Error"])
IDS = st.sampled_from(["", "a", "b", "look:0"])
PARTS = st.lists(st.builds(TextPart, TEXTS) | st.just(IMAGE), max_size=3).map(tuple)
HISTORIES = st.lists(
    st.one_of(
        st.builds(SystemMessage, TEXTS),
        st.builds(UserMessage, PARTS),
        st.builds(
            AssistantMessage,
            st.none() | TEXTS,
            st.none() | TEXTS,
            st.lists(
                st.builds(
                    ToolCall, IDS, st.just("look"), st.sampled_from(["", "{}", "[", '{"a":1}'])
                ),
                max_size=3,
            ).map(tuple),
        ),
        st.builds(ToolMessage, IDS, PARTS, st.booleans()),
    ),
    max_size=10,
)


@given(HISTORIES, st.booleans())
def test_a_repaired_history_passes_the_strict_rules(
    history: list[Message], reasoning: bool
) -> None:
    try:
        body = render(request(*history), "kimi-k2.6", reasoning)
    except InvalidRequest as error:
        refused = error
    else:
        check_messages(body["messages"], find_family("kimi-k2.6"), thinking=reasoning)
        return
    assert refused.param == "messages"
    assert not any(isinstance(message, ToolMessage) for message in history)


@given(HISTORIES)
def test_repairing_twice_changes_nothing(history: list[Message]) -> None:
    once = repair(history, sees_images=True)
    assert repair(once, sees_images=True) == once
