"""Reasoning in a client's request, in every spelling; off beats on, and silence stays silence."""

from typing import Any

import pytest

from tests.dialects.chat.support import parse


@pytest.mark.parametrize(
    "members",
    [
        {"thinking": {"type": "disabled"}},
        {"thinking": False},
        {"enable_thinking": False},
        {"chat_template_kwargs": {"thinking": False}},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"reasoning_effort": "none"},
        {"chat_template_kwargs": {"reasoning_effort": "none"}},
        {"reasoning": {"enabled": False}},
        {"reasoning": {"effort": "none"}},
        {"reasoning": {"max_tokens": 0}},
        {"thinking": {"type": "disabled"}, "reasoning_effort": "high"},
        {"thinking": {"type": "enabled"}, "enable_thinking": False},
        {"reasoning": {"enabled": False, "effort": "high"}},
    ],
)
def test_off(members: dict[str, Any]) -> None:
    wish = parse(**members).reasoning
    assert wish.on is False
    assert wish.effort is None


@pytest.mark.parametrize(
    ("members", "effort"),
    [
        ({"thinking": {"type": "enabled"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, None),
        ({"thinking": {"type": "enabled", "effort": "low"}}, "low"),
        ({"thinking": True}, None),
        ({"enable_thinking": True}, None),
        ({"chat_template_kwargs": {"thinking": True}}, None),
        ({"chat_template_kwargs": {"enable_thinking": True, "other": 1}}, None),
        ({"chat_template_kwargs": {"reasoning_effort": "High"}}, "high"),
        ({"reasoning_effort": "minimal"}, "minimal"),
        ({"reasoning_effort": "High"}, "high"),
        ({"reasoning": {"effort": "xhigh"}}, "xhigh"),
        ({"reasoning": {"enabled": True}}, None),
        ({"reasoning": {"max_tokens": 2000}}, None),
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "low"),
    ],
)
def test_on(members: dict[str, Any], effort: str | None) -> None:
    wish = parse(**members).reasoning
    assert wish.on is True
    assert wish.effort == effort


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"thinking": None},
        {"thinking": {"type": "auto"}},
        {"thinking": "enabled"},
        {"reasoning": {}},
        {"reasoning": "deep"},
        {"reasoning_effort": "auto"},
        {"reasoning_effort": None},
        {"chat_template_kwargs": {"other": True}},
    ],
)
def test_silence(members: dict[str, Any]) -> None:
    wish = parse(**members).reasoning
    assert wish.on is None
    assert wish.effort is None


@pytest.mark.parametrize(
    "members",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "h"}, {"text": "m"}, {}]},
        {"reasoning_content": "", "reasoning": "hm"},
    ],
)
def test_reasoning_of_earlier_turns_is_read_in_every_spelling(members: dict[str, Any]) -> None:
    message = {"role": "assistant", "content": "ok", **members}
    [read] = parse(messages=[message]).messages
    assert getattr(read, "reasoning", None) == "hm"
