"""The tree of errors in both envelopes, with the phrases that clients match on."""

import inspect
from collections.abc import Iterator

import pytest

import gateway.core.errors
from gateway.core.errors import (
    ContextOverflow,
    CreditLimitReached,
    CreditsExhausted,
    FaregateError,
    InvalidRequest,
    Overloaded,
    RateLimited,
    UpstreamMisconfigured,
    UpstreamOverloaded,
)
from gateway.dialects.errors import error_headers, render_anthropic, render_openai, status_for


def all_errors() -> Iterator[type[FaregateError]]:
    for _, member in inspect.getmembers(gateway.core.errors, inspect.isclass):
        if issubclass(member, FaregateError):
            yield member


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_every_error_has_both_envelopes_a_status_and_a_word_on_retries(
    kind: type[FaregateError],
) -> None:
    error = kind("what went wrong", param="model")

    openai = render_openai(error)["error"]
    assert isinstance(openai, dict)
    assert openai.keys() == {"message", "type", "param", "code"}
    assert "what went wrong" in openai["message"]
    assert openai["param"] == "model"

    anthropic = render_anthropic(error, "req_1")
    assert anthropic["type"] == "error"
    assert anthropic["request_id"] == "req_1"
    inner = anthropic["error"]
    assert isinstance(inner, dict)
    assert inner.keys() == {"type", "message"}
    assert "what went wrong" in inner["message"]

    for family in ("openai", "anthropic"):
        assert 400 <= status_for(error, family) < 600
        headers = dict(error_headers(error, family))
        assert headers[b"x-should-retry"] == (b"true" if kind.retryable else b"false")


def test_overload_is_529_in_the_anthropic_family_only() -> None:
    error = UpstreamOverloaded("busy")
    assert status_for(error, "openai") == 503
    assert status_for(error, "anthropic") == 529
    assert render_anthropic(error, "r")["error"] == {"type": "overloaded_error", "message": "busy"}


def test_used_up_credits_are_reported_in_the_words_agents_look_for() -> None:
    error = CreditsExhausted("balance 3, price 5")
    inner = render_anthropic(error, "r")["error"]
    assert inner == {
        "type": "billing_error",
        "message": "Your credit balance is too low. balance 3, price 5",
    }
    assert render_openai(error)["error"] == {
        "message": "balance 3, price 5",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
    again = CreditsExhausted("Your credit balance is too low (balance 3)")
    found = render_anthropic(again, "r")["error"]
    assert isinstance(found, dict)
    assert found["message"].count("Your credit balance is too low") == 1


def overflow(**numbers: object) -> tuple[str, str]:
    error = ContextOverflow("too much", details=numbers or None)
    openai, anthropic = render_openai(error)["error"], render_anthropic(error, "r")["error"]
    assert isinstance(openai, dict)
    assert isinstance(anthropic, dict)
    assert openai["code"] == "context_length_exceeded"
    assert "details" not in anthropic
    return openai["message"], anthropic["message"]


def test_an_overflow_states_the_numbers_in_each_familys_words() -> None:
    openai, anthropic = overflow(input_tokens=300, context_window=200)
    assert openai.startswith("This model's maximum context length is 200 tokens. However,")
    assert "300 tokens" in openai
    assert anthropic == "prompt is too long: 300 tokens > 200 maximum"


def test_an_overflow_without_numbers_that_make_sense_invents_none() -> None:
    openai, anthropic = overflow(input_tokens=100, context_window=200)
    assert openai.startswith("This model's maximum context length is 200 tokens.")
    assert "100" not in openai
    assert anthropic == "prompt is too long: too much"
    assert overflow() == ("too much", "prompt is too long: too much")


def test_details_with_an_error_code_reach_anthropic_clients() -> None:
    details: dict[str, object] = {"error_code": "thread_unsupported_request", "unsupported": ["x"]}
    error = InvalidRequest("no threads", details=details)
    inner = render_anthropic(error, "r")["error"]
    assert isinstance(inner, dict)
    assert inner["details"] == details


def test_waiting_is_reported_in_whole_seconds_and_only_where_it_helps() -> None:
    def wait(error: FaregateError) -> bytes | None:
        return dict(error_headers(error, "openai")).get(b"retry-after")

    assert wait(RateLimited("slow down", retry_after_seconds=1.2)) == b"2"
    assert wait(RateLimited("slow down", retry_after_seconds=0.01)) == b"1"
    assert wait(CreditLimitReached("tomorrow", retry_after_seconds=3600)) == b"3600"
    assert wait(Overloaded("full")) == b"1"
    assert wait(UpstreamMisconfigured("ours")) is None
    assert wait(InvalidRequest("no")) is None
