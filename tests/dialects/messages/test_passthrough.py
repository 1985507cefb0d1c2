"""Requests that go as their client wrote them to an upstream that speaks Messages, or do not."""

import json
from typing import Any

import pytest

from gateway.core.catalog import Catalog
from gateway.core.request import SignedReasoning
from gateway.core.spec import GatewayFleetSpec, ModelSpec, Pricing, UpstreamSpec
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.messages.betas import read_betas
from gateway.dialects.messages.passthrough import pass_through
from gateway.dialects.messages.request_writer import write_request
from tests.dialects.messages.support import (
    ALICE,
    BOB,
    SEALER,
    assistant,
    call_block,
    parse_call,
    result_block,
    tool,
    user,
)

BETAS = ("effort-2025-11-24,claude-code-20250219", "context-management-2025-06-27")
THOUGHT = SignedReasoning("Look first.", "abc", "main")
REDACTED = SignedReasoning("", "xyz", "main", is_redacted=True)
ADAPTIVE = {"type": "adaptive"}
#: everything that the translation would lose or change
RICH: dict[str, Any] = {
    "model": "claude",
    "max_tokens": 4000,
    "system": [
        {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ],
    "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
    "output_config": {"effort": "low", "unheard_of": 1},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "cache_control": {"type": "ephemeral"},
    "top_k": 7,
    "unheard_of": {"as": ["it", 1.50, "is"]},
    "tools": [
        tool("look", strict=True, eager_input_streaming=True, input_examples=[{}]),
        {"type": "bash_20250124", "name": "bash", "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [
        user(
            {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "It is here."},
                "citations": {"enabled": True},
            },
        )
    ],
}


def catalog(upstream_model: str = "claude-new", **model: Any) -> Catalog:
    spec = ModelSpec(id="claude", upstream="main", upstream_model=upstream_model, **model)
    upstream = UpstreamSpec(name="main", url="https://example.com/v1", dialect="messages")
    pricing = Pricing(chat_credits_per_message=1)
    return Catalog(GatewayFleetSpec(pricing=pricing, models=[spec], upstreams=[upstream]))


def prepare(
    body: dict[str, Any],
    upstream_model: str = "claude-new",
    betas: tuple[str, ...] | None = BETAS,
    caller: Any = ALICE,
    **model: Any,
) -> UpstreamRequest | None:
    request = parse_call(body, caller).request
    if request.raw is not None:
        request.raw.betas = betas
    resolution = catalog(upstream_model, **model).resolve(request)
    return pass_through(request, resolution, read_betas(request.raw, ()))


def raw_body(body: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The body as the upstream reads it."""
    outgoing = prepare(body, **settings)
    assert outgoing is not None
    sent: dict[str, Any] = json.loads(outgoing.body)
    return sent


def asked(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    more = {"thinking": ADAPTIVE, **fields}
    return {"model": "claude", "max_tokens": 100, "messages": list(messages), **more}


def sealed(signed_block: SignedReasoning, account_id: int = ALICE.account_id) -> str:
    return SEALER.seal_reasoning(account_id, signed_block)


def thinking(text: str, signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def test_everything_goes_as_it_was_written_but_the_model() -> None:
    outgoing = prepare(RICH)
    assert outgoing is not None
    assert json.loads(outgoing.body) == {**RICH, "model": "claude-new"}
    assert list(json.loads(outgoing.body)) == list(RICH)
    assert b'{"as": ["it", 1.5, "is"]}' in outgoing.body, "the bytes, not the value"
    assert outgoing.headers == {"anthropic-beta": ",".join(BETAS)}
    assert outgoing.degraded == ()
    assert not outgoing.stream


def test_equal_requests_are_equal_bytes() -> None:
    first, second = prepare(RICH), prepare(RICH)
    assert first is not None
    assert second is not None
    assert first.body == second.body


def test_a_client_without_betas() -> None:
    outgoing = prepare(RICH, betas=())
    assert outgoing is not None
    assert outgoing.headers == {}


def test_thinking_goes_back_as_its_upstream_signed_it() -> None:
    content = [
        thinking("", sealed(THOUGHT)),
        {"type": "redacted_thinking", "data": sealed(REDACTED)},
        {"type": "text", "text": "I look.", "cache_control": {"type": "ephemeral"}},
        call_block("look", "a"),
    ]
    body = asked(user("Go"), assistant(*content), user(result_block("a")), tools=[tool("look")])
    sent = raw_body(body)["messages"]
    assert sent[0] == body["messages"][0]
    assert sent[2] == body["messages"][2]
    assert sent[1]["content"] == [
        thinking("Look first.", "abc"),
        {"type": "redacted_thinking", "data": "xyz"},
        *content[2:],
    ]


@pytest.mark.parametrize(
    "signature",
    [
        sealed(SignedReasoning("Hm.", "abc", "elsewhere")),
        sealed(THOUGHT, BOB.account_id),
        SEALER.seal(ALICE.account_id, b"Hm."),
        "RW1wdHk=",
        "",
    ],
    ids=["of another upstream", "of another account", "of nobody", "foreign", "none"],
)
def test_any_other_thinking_is_left_out(signature: str) -> None:
    found = {"type": "text", "text": "Yes."}
    body = asked(
        user("I am thinking"),
        assistant(thinking("Hm.", signature), found),
        user("And?"),
        assistant(thinking("Hm.", signature)),
        user("So?"),
    )
    sent = raw_body(body)["messages"]
    assert [turn["content"] for turn in sent] == ["I am thinking", [found], "And?", "So?"]


def test_a_loop_in_manual_mode_that_lost_its_thinking_is_translated_without_any() -> None:
    manual = {"type": "enabled", "budget_tokens": 1024}
    turns = (user("Go"), assistant(call_block("look", "a")), user(result_block("a")))
    body = asked(*turns, tools=[tool("look")], thinking=manual)
    assert prepare(body) is None
    request = parse_call(body).request
    outgoing = write_request(request, catalog().resolve(request))
    assert json.loads(outgoing.body)["thinking"] == {"type": "disabled"}
    assert "thinking" in outgoing.degraded
    assert raw_body({**body, "thinking": ADAPTIVE})["messages"] == list(turns)


def test_what_shows_who_asks_is_taken_away() -> None:
    header = "x-anthropic-billing-header: cc_version=2.1; cch=0a1;"
    system = [
        {"type": "text", "text": header},
        {"type": "text", "text": f"{header}\nBe kind."},
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
    ]
    who = {"user": "alice", "session_id": "s", "user_profile_id": "u", "metadata": {"x": "y"}}
    sent = raw_body(asked(user("Go"), system=system, **who))
    assert sent["system"] == [{"type": "text", "text": "Be kind."}, system[2]]
    assert sent.keys().isdisjoint(who)
    assert "system" not in raw_body(asked(user("Go"), system=header))
    assert raw_body(asked(user("Go"), system="Be kind."))["system"] == "Be kind."


def test_what_decides_on_the_bill_is_the_administrators() -> None:
    own: dict[str, Any] = {"speed": "fast", "service_tier": "auto", "inference_geo": "us"}
    own |= {"container": "c_1"}
    own |= {"billing_policy": {"bill_to": "self"}, "fallback_credit_token": "t"}
    own |= {"compaction": {"type": "summarize"}}
    routes = {"models": ["dear"], "provider": {"order": ["dear"]}, "plugins": [{"id": "web"}]}
    outgoing = prepare(asked(user("Go"), mcp_servers=[], Speed="fast", **own, **routes))
    assert outgoing is not None
    assert json.loads(outgoing.body).keys().isdisjoint({*own, *routes, "mcp_servers", "Speed"})
    assert set(outgoing.degraded) == {*own, *routes, "Speed"}


@pytest.mark.parametrize("kept", [[], [{"type": "clear_thinking_20251015", "keep": "all"}]])
def test_an_edit_that_compacts_is_left_out(kept: list[Any]) -> None:
    """Its result could be read by nobody here."""
    edits = [{"type": "compact_20260112", "pause_after_compaction": True}, *kept]
    outgoing = prepare(asked(user("Go"), context_management={"edits": edits}))
    assert outgoing is not None
    expected = {"edits": kept} if kept else None
    assert json.loads(outgoing.body).get("context_management") == expected
    assert outgoing.degraded == ("context_management.compact",)


@pytest.mark.parametrize("management", [None, [], 5, "compact", {"edits": "compact"}])
def test_odd_context_management_breaks_nothing(management: Any) -> None:
    assert prepare(asked(user("Go"), context_management=management)) is not None


def test_a_switch_that_is_given_twice_is_read_once() -> None:
    thinking = b'"thinking":{"type":"enabled","type":"disabled"}'
    body = json.dumps(asked(user("Go"), thinking="twice")).encode()
    request = parse_call(body.replace(b'"thinking": "twice"', thinking)).request
    assert request.raw is not None
    request.raw.betas = BETAS
    outgoing = pass_through(request, catalog().resolve(request), read_betas(request.raw, ()))
    assert outgoing is not None
    assert b'"thinking":{"type":"disabled"}' in outgoing.body


def test_a_cap_above_the_models_is_lowered() -> None:
    assert raw_body(asked(user("Go"), max_tokens=900), max_output_tokens=500)["max_tokens"] == 500
    assert raw_body(asked(user("Go"), max_tokens=90), max_output_tokens=500)["max_tokens"] == 90
    assert raw_body(asked(user("Go"), max_tokens=0))["max_tokens"] == 0
    manual = {"type": "enabled", "budget_tokens": 600}
    body = asked(user("Go"), max_tokens=900, thinking=manual)
    assert prepare(body, max_output_tokens=500) is None


def test_thinking_is_what_is_charged() -> None:
    silent = asked(user("Go"))
    del silent["thinking"]
    assert raw_body(silent)["thinking"] == {"type": "disabled"}
    off = asked(user("Go"), thinking={"type": "disabled"})
    assert raw_body(off)["thinking"] == {"type": "disabled"}
    forced = {"type": "tool", "name": "look"}
    assert prepare(asked(user("Go"), tools=[tool("look")], tool_choice=forced)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": [user("Go"), {"role": "system", "content": "Hurry."}]},
        {"messages": [user({"type": "text", "text": "Go"}, {"type": "unheard_of"})]},
        {"messages": [user({"type": "text", "text": "Go"}, {"type": "text", "text": " "})]},
        {"messages": [user("Go"), assistant(call_block("look", "a")), user("No")]},
        {"tools": [tool("look"), {"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [tool("look"), tool("look")]},
        {"messages": [user("Go"), assistant(), user("No")]},
        {"messages": [assistant("Welcome."), user("Go")]},
        {"messages": [user("Go"), assistant(call_block("look", "a:0")), user(result_block("a:0"))]},
        {"messages": [user("Go"), assistant(call_block("look", "a")), user("No"),
                      user(result_block("a"))]},
        {"messages": [user("Go"), assistant(call_block("look", "a")),
                      user({"type": "text", "text": "No"}, result_block("a"))]},
        {"messages": [user("Go"), assistant(call_block("look", "a"), call_block("see", "a")),
                      user(result_block("a"), result_block("a"))]},
    ],
    ids=["system", "unknown", "blank", "no result", "hosted tool", "one tool twice", "empty",
         "an assistant first", "a sign in an id", "words before a result",
         "a text before a result", "an id twice"],
)  # fmt: skip
def test_what_has_to_be_put_right_is_translated(changes: dict[str, Any]) -> None:
    assert parse_call(asked(user("Go")) | changes).request.raw is None


@pytest.mark.parametrize(
    "schema", [{}, {"properties": {}}, {"type": "object", "oneOf": [{"type": "object"}]}]
)
def test_a_schema_that_would_be_refused_is_translated(schema: dict[str, Any]) -> None:
    assert prepare(asked(user("Go"), tools=[tool("look", input_schema={"type": "object"})]))
    assert prepare(asked(user("Go"), tools=[tool("look", input_schema=schema)])) is None


def test_results_in_any_order_go_as_they_were_written() -> None:
    calls = assistant(call_block("look", "a"), call_block("look", "b"))
    more = user(result_block("b"), result_block("a"), {"type": "text", "text": "Go on"})
    assert prepare(asked(user("Go"), calls, more)) is not None


def test_other_models_and_requests_whose_betas_nobody_listed_are_translated() -> None:
    assert prepare(asked(user("Go")), upstream_model="kimi-k2.6") is None
    assert prepare(asked(user("Go")), upstream_model="open-weights") is None
    assert prepare(asked(user("Go")), betas=None) is None
