"""Numbers of tokens, as upstreams write them."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.events import Usage
from gateway.dialects.chat import tables as chat
from gateway.dialects.counts import read_count
from gateway.dialects.gemini import tables as gemini
from gateway.dialects.messages import tables as messages
from gateway.dialects.responses import tables as responses

MOST = 2**31 - 1


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (5, 5),
        ("5", 5),
        (5.0, 5),
        (0, 0),
        (-5, 0),
        (-5.0, 0),
        (5.5, 0),
        ("-5", 0),
        ("five", 0),
        ("", 0),
        ("²", 0),
        (True, 0),
        (None, 0),
        ([5], 0),
        ({"5": 5}, 0),
        (10**30, MOST),
        (1e12, MOST),
        ("9" * 500, MOST),
        (1e300, 0),
    ],
)
def test_a_count_is_read_for_what_it_holds_and_fits_a_column(given: Any, count: int) -> None:
    assert read_count({"tokens": given}, "tokens") == count
    assert read_count(given, "tokens") == 0


@pytest.mark.parametrize(
    ("read_usage", "names"),
    [
        (chat.read_usage, ["prompt_tokens", "completion_tokens"]),
        (responses.read_usage, ["input_tokens", "output_tokens"]),
        (
            messages.read_usage,
            [
                "input_tokens",
                "cache_read_input_tokens",
                "cache_creation_input_tokens",
                "output_tokens",
            ],
        ),
        (
            gemini.read_usage,
            [
                "promptTokenCount",
                "toolUsePromptTokenCount",
                "candidatesTokenCount",
                "thoughtsTokenCount",
            ],
        ),
    ],
    ids=["chat", "responses", "messages", "gemini"],
)
def test_the_sum_of_counts_fits_a_column_too(
    read_usage: Callable[[dict[str, Any]], Usage | None], names: list[str]
) -> None:
    usage = read_usage(dict.fromkeys(names, MOST))
    assert usage is not None
    assert (usage.input, usage.output) == (MOST, MOST)
