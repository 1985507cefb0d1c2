"""Requests that go as their client wrote them to an upstream that speaks Responses, or do not."""

import json
from typing import Any

import pytest

from gateway.core.catalog import Catalog, Resolution
from gateway.core.request import Request, SignedReasoning
from gateway.core.spec import GatewayFleetSpec, ModelSpec, Pricing, UpstreamSpec
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.messages.betas import Betas
from gateway.dialects.messages.passthrough import pass_through as render_raw_body_messages
from gateway.dialects.responses.passthrough import pass_through
from tests.dialects.messages.support import parse_call as parse_messages
from tests.dialects.responses.support import ALICE, BOB, SEALER, parse_call

THOUGHT = SignedReasoning("Look first.", "abc", "main")
ANYTHING = {"type": "object", "properties": {}}
TOOL = {"type": "function", "name": "look", "parameters": ANYTHING, "unheard_of": 1}
CALL = {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"at":  1.50}'}
OUTPUT = {"type": "function_call_output", "call_id": "a", "output": "seen"}
GO = {"role": "user", "content": "Go"}
FILE = {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,YQ=="}
IMAGE = {"type": "input_image", "image_url": "data:image/gif;base64,R0lGODlhAQABAAAAACw="}
ODD_URL = "data:image/gif;charset=utf-8;base64,R0lGODlhAQABAAAAACw="
#: everything that the translation would lose or change
RICH: dict[str, Any] = {
    "model": "public",
    "input": [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "Go", "unheard_of": 1}]},
    ],
    "text": {"verbosity": "low"},
    "reasoning": {"effort": "xhigh", "summary": "detailed", "unheard_of": 1},
    "tools": [TOOL],
    "truncation": "auto",
    "prompt_cache_retention": "24h",
    "unheard_of": {"as": ["it", 1.50, "is"]},
    "store": False,
    "include": ["reasoning.encrypted_content"],
}


def prepare(
    body: dict[str, Any], upstream_model: str = "gpt-5.1", caller: Any = ALICE, **model: Any
) -> UpstreamRequest | None:
    request = parse_call({"model": "public", **body}, caller=caller).request
    upstream = UpstreamSpec(name="main", url="https://example.com/v1", dialect="responses")
    spec = ModelSpec(id="public", upstream="main", upstream_model=upstream_model, **model)
    pricing = Pricing(chat_credits_per_message=1)
    fleet = GatewayFleetSpec(pricing=pricing, models=[spec], upstreams=[upstream])
    return pass_through(request, Catalog(fleet).resolve(request))


def raw_body(body: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The body as the upstream reads it."""
    outgoing = prepare(body, **settings)
    assert outgoing is not None
    sent: dict[str, Any] = json.loads(outgoing.body)
    return sent


def asked(*items: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"input": list(items), "reasoning": {"effort": "high"}, "tools": [TOOL], **members}


def reasoning(signed_block: SignedReasoning, account_id: int = ALICE.account_id) -> dict[str, Any]:
    sealed = SEALER.seal_reasoning(account_id, signed_block)
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed}


def test_everything_goes_as_it_was_written_but_the_model() -> None:
    outgoing = prepare(RICH)
    assert outgoing is not None
    assert json.loads(outgoing.body) == {**RICH, "model": "gpt-5.1"}
    assert b'{"as": ["it", 1.5, "is"]}' in outgoing.body, "the bytes, not the value"
    assert outgoing.degraded == ()
    again = prepare(RICH)
    assert again is not None
    assert outgoing.body == again.body


def test_nothing_is_stored_and_nothing_but_reasoning_included() -> None:
    sent = raw_body(asked(GO, include=["code_interpreter_call.outputs"], store=True))
    assert sent["store"] is False
    assert sent["include"] == ["reasoning.encrypted_content"]
    assert raw_body({"input": "Go"})["store"] is False


def test_reasoning_goes_back_as_its_upstream_sealed_it() -> None:
    messages = {"type": "message", "id": "msg_1", "role": "assistant", "content": "I look."}
    sent = raw_body(asked(GO, reasoning(THOUGHT), messages, CALL, OUTPUT))["input"]
    summary = [{"type": "summary_text", "text": "Look first."}]
    sealed = {"type": "reasoning", "summary": summary, "encrypted_content": "abc"}
    assert sent == [GO, sealed, {k: v for k, v in messages.items() if k != "id"}, CALL, OUTPUT]


@pytest.mark.parametrize(
    "item",
    [
        reasoning(SignedReasoning("Hm.", "abc", "elsewhere")),
        reasoning(THOUGHT, BOB.account_id),
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAAforeign"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
    ],
    ids=["of another upstream", "of another account", "foreign", "bare"],
)
def test_any_other_reasoning_is_left_out(item: dict[str, Any]) -> None:
    assert raw_body(asked(GO, item, CALL, OUTPUT))["input"] == [GO, CALL, OUTPUT]


def test_what_shows_who_asks_is_taken_away() -> None:
    who = {"metadata": {"who": "alice"}, "user": "alice", "client_metadata": {"x": "y"}}
    sent = raw_body(asked(GO, **who))
    assert sent.keys().isdisjoint(who)
    assert sent["safety_identifier"] == "alice"


def test_the_phase_of_an_answer_goes_back() -> None:
    messages = {
        "type": "message",
        "role": "assistant",
        "content": "Let me look.",
        "phase": "commentary",
    }
    assert raw_body(asked(GO, messages, CALL, OUTPUT))["input"] == [GO, messages, CALL, OUTPUT]


@pytest.mark.parametrize(
    "kind", ["configuration_update", "compaction_trigger", "compaction", "of_the_future"]
)
def test_items_that_cannot_be_served_are_left_out_by_the_translation(kind: str) -> None:
    """They may be of another account, or of another upstream."""
    item = {"type": kind, "id": "x_1", "encrypted_content": "sealed"}
    body = asked(GO, item, CALL, OUTPUT)
    assert prepare(body) is None
    assert parse_call({"model": "public", **body}).request.degraded == [f"input.{kind}"]


def test_what_decides_on_the_bill_is_the_administrators() -> None:
    own: dict[str, Any] = {"service_tier": "priority", "context_management": [{}]}
    own |= {"billing_policy": {"bill_to": "self"}, "fallback_credit_token": "t", "models": ["dear"]}
    outgoing = prepare(asked(GO, **own, Reasoning={"effort": "xhigh"}))
    assert outgoing is not None
    assert json.loads(outgoing.body).keys().isdisjoint({*own, "Reasoning"})
    assert set(outgoing.degraded) == {*own, "Reasoning"}


def test_a_cap_is_one_that_is_taken() -> None:
    for given, sent in ((900, 500), (90, 90), (1, 16)):
        body = asked(GO, max_output_tokens=given)
        assert raw_body(body, max_output_tokens=500)["max_output_tokens"] == sent


def test_reasoning_is_what_is_charged() -> None:
    silent = {"input": "Go", "reasoning": {"summary": "auto"}}
    for body in (silent, {"input": "Go"}, {"input": "Go", "reasoning": {"effort": "none"}}):
        assert raw_body(body)["reasoning"] == {"effort": "none"}
        assert "include" not in raw_body(body)
        assert prepare(body, upstream_model="gpt-5") is None
    assert raw_body(asked(GO), upstream_model="gpt-5")["reasoning"] == {"effort": "high"}


@pytest.mark.parametrize(
    "members",
    [
        {"tool_choice": "required"},
        {"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "look"}]}},
        {"tools": [TOOL, {"type": "web_search"}]},
        {"tools": [{"type": "custom", "name": "patch"}]},
        {"tools": [{"type": "namespace", "name": "n", "tools": [TOOL]}]},
        {"input": [GO, {"type": "additional_tools", "tools": [TOOL]}]},
        {"input": [GO, {"type": "web_search_call", "id": "ws_1"}]},
        {"input": [GO, CALL, OUTPUT, OUTPUT]},
        {"input": [GO, {**CALL, "namespace": "n"}, OUTPUT]},
        {"input": [{"role": "user", "content": [{**FILE, "file_id": "file_1"}]}]},
        {"input": [{"role": "user", "content": [{**IMAGE, "file_id": "file_1"}]}]},
        {"input": [GO, CALL, {**OUTPUT, "output": [{**FILE, "file_url": "https://x"}]}]},
        {"temperature": 0.5},
        {"include": ["message.output_text.logprobs"]},
    ],
)
def test_what_the_gateway_must_own_is_translated(members: dict[str, Any]) -> None:
    assert prepare(asked(GO)) is not None
    assert prepare(asked({"role": "user", "content": [FILE, IMAGE]})) is not None
    assert prepare({**asked(GO), **members}) is None


def whole_for_messages(request: Request, resolution: Resolution) -> UpstreamRequest | None:
    return render_raw_body_messages(request, resolution, Betas())


def test_other_models_and_other_dialects_are_translated() -> None:
    assert prepare(asked(GO), upstream_model="kimi-k3") is None
    assert prepare(asked(GO), upstream_model="open-weights") is None
    assert prepare(asked(GO), upstream_model="claude-new") is None
    whole = {
        "model": "public",
        "max_tokens": 100,
        "messages": [GO],
        "thinking": {"type": "adaptive"},
    }
    for call, upstream_model, render in (
        (parse_messages(whole), "gpt-5.1", pass_through),
        (parse_call({"model": "public", **asked(GO)}), "claude-new", whole_for_messages),
    ):
        request = call.request
        assert request.raw is not None
        request.raw.betas = ()
        upstream = UpstreamSpec(name="main", url="https://example.com/v1")
        spec = ModelSpec(id="public", upstream="main", upstream_model=upstream_model)
        pricing = Pricing(chat_credits_per_message=1)
        fleet = GatewayFleetSpec(pricing=pricing, models=[spec], upstreams=[upstream])
        assert render(request, Catalog(fleet).resolve(request)) is None


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [{"type": "function", "name": "look"}]},
        {"tools": [{**TOOL, "parameters": {"type": "object"}}]},
        {"tools": [{**TOOL, "parameters": {**ANYTHING, "anyOf": [ANYTHING]}}]},
        {"input": [GO, {**CALL, "call_id": "a" * 65}, {**OUTPUT, "call_id": "a" * 65}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": ""}, IMAGE]}]},
        {"input": [{"role": "user", "content": [{**IMAGE, "image_url": ODD_URL}]}]},
    ],
)
def test_what_would_be_refused_is_translated(members: dict[str, Any]) -> None:
    assert prepare({"input": [GO], "reasoning": {"effort": "high"}, "tools": [TOOL]}) is not None
    asked = {"input": [GO], "reasoning": {"effort": "high"}, "tools": [TOOL], **members}
    assert prepare(asked) is None
