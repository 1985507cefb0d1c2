"""From a public name to model, reasoning and price."""

from typing import Any

import pytest

from gateway.core.catalog import Catalog, fall_back
from gateway.core.errors import ModelNotFound
from gateway.core.request import ReasoningChoice, Request, TextPart, Tool, ToolChoice, UserMessage
from gateway.core.spec import API_VERSION, GatewayFleet, parse_document
from gateway.core.spec_fields import SpecError


def catalog(*models: dict[str, Any], **spec: Any) -> Catalog:
    document = parse_document(
        {
            "apiVersion": API_VERSION,
            "kind": "GatewayFleet",
            "metadata": {"name": "fleet"},
            "spec": {
                "pricing": {"chatCreditsPerMessage": 10, "chatCreditsReasoningSurcharge": 5},
                "upstreams": [{"name": "main", "url": "https://example.com/v1"}],
                "models": [{"upstream": "main", **model} for model in models],
                **spec,
            },
        }
    )
    assert isinstance(document, GatewayFleet)
    return Catalog(document.spec)


SEVERAL = [{"name": name, "url": "https://example.com/v1"} for name in ("main", "b", "c")]


def request(model: str, on: bool | None = None, choice: ToolChoice | None = None) -> Request:
    return Request(
        model=model,
        messages=(UserMessage((TextPart("hi"),)),),
        reasoning=ReasoningChoice(on, "high"),
        tools=(Tool("look"),),
        tool_choice=choice,
    )


def test_the_id_beats_an_alias_and_an_alias_beats_a_wildcard() -> None:
    found = catalog(
        {"id": "claude-own"},
        {"id": "kimi", "aliases": ["claude-named", "claude-*"]},
        {"id": "other", "aliases": ["claude-named-*"]},
    )
    for name, model in [
        ("claude-own", "claude-own"),
        ("claude-named", "kimi"),
        ("claude-named-too", "kimi"),
        ("claude-3", "kimi"),
        ("other", "other"),
    ]:
        assert found.resolve(request(name)).model.id == model
    with pytest.raises(ModelNotFound, match="model: gpt"):
        found.resolve(request("gpt"))


@pytest.mark.parametrize(
    ("says", "model", "reasons"),
    [
        (None, {}, False),
        (True, {}, True),
        (False, {"reasoning": {"default": "on"}}, False),
        (None, {"reasoning": {"default": "on"}}, True),
        (True, {"reasoning": {"force": "off"}}, False),
        (False, {"reasoning": {"force": "on"}}, True),
        (False, {"upstreamModel": "kimi-k2-thinking"}, True),
        (True, {"upstreamModel": "kimi-k2-thinking", "reasoning": {"force": "off"}}, True),
    ],
)
def test_reasoning_is_what_profile_then_model_then_client_ask(
    says: bool | None, model: dict[str, Any], reasons: bool
) -> None:
    resolution = catalog({"id": "kimi-k2.6", **model}).resolve(request("kimi-k2.6", says))
    assert resolution.reasoning is reasons
    assert resolution.price == (15 if reasons else 10)
    assert resolution.effort == ("high" if reasons else None)


def test_a_forced_tool_stops_reasoning_where_the_family_cannot_do_both() -> None:
    forced = ToolChoice("named", "look")
    found = catalog({"id": "kimi-k2.6"}, {"id": "kimi-k3"})
    assert found.resolve(request("kimi-k2.6", True, forced)).price == 10
    assert found.resolve(request("kimi-k3", True, forced)).price == 15


def test_a_model_may_have_its_own_price() -> None:
    own = {"pricing": {"chatCreditsPerMessage": 0, "chatCreditsReasoningSurcharge": 1}}
    found = catalog({"id": "kimi-k2.6", **own})
    assert found.resolve(request("kimi-k2.6")).price == 0
    assert found.resolve(request("kimi-k2.6", True)).price == 1


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ([{"id": "a", "upstream": "gone"}], "no upstream 'gone'"),
        ([{"id": "a", "profile": "odd"}], "no profile 'odd'"),
        ([{"id": "a"}, {"id": "b", "aliases": ["a"]}], "given twice"),
        ([{"id": "a", "fallbacks": [{"upstream": "gone"}]}], "no upstream 'gone'"),
        ([{"id": "a", "fallbacks": [{"upstream": "main"}]}], "one upstream is given twice"),
        ([{"id": "a", "fallbacks": [{"upstream": "b", "profile": "odd"}]}], "no profile 'odd'"),
    ],
)
def test_a_fleet_that_cannot_work_is_refused_with_a_sentence(
    models: list[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(SpecError, match=problem):
        catalog(*models, upstreams=SEVERAL)


@pytest.mark.parametrize(
    ("fallback", "upstream_model", "profile"),
    [
        ({}, "kimi-k3-x", "kimi-k3"),
        ({"upstreamModel": "kimi-k2.6-y"}, "kimi-k2.6-y", "kimi-k2.6"),
        ({"upstreamModel": "weights"}, "weights", "generic"),
        ({"upstreamModel": "weights", "profile": "kimi-k2.5"}, "weights", "kimi-k2.5"),
        ({"profile": "generic"}, "kimi-k3-x", "generic"),
    ],
)
def test_what_a_fallback_does_not_set_is_as_for_the_model(
    fallback: dict[str, str], upstream_model: str, profile: str
) -> None:
    fallbacks = [{"upstream": "b", **fallback}, {"upstream": "c"}]
    found = catalog(
        {"id": "kimi-k3", "upstreamModel": "kimi-k3-x", "fallbacks": fallbacks}, upstreams=SEVERAL
    )
    first, second = found.models[0].fallbacks
    assert (first.upstream, first.upstream_model) == ("b", upstream_model)
    assert first.profile.name == profile
    assert (second.upstream, second.upstream_model) == ("c", "kimi-k3-x")


@pytest.mark.parametrize(
    ("profile", "on", "taken"),
    [
        ("generic", True, True),
        ("generic", False, True),
        ("kimi-k2-thinking", True, True),
        ("kimi-k2-thinking", False, False),
    ],
)
def test_a_fallback_reasons_as_it_was_paid_for_or_is_passed_over(
    profile: str, on: bool, taken: bool
) -> None:
    fallbacks = [{"upstream": "b", "profile": profile}]
    asked = request("kimi-k3", on)
    resolution = catalog({"id": "kimi-k3", "fallbacks": fallbacks}, upstreams=SEVERAL).resolve(
        asked
    )
    found = fall_back(asked, resolution, resolution.model.fallbacks[0])
    assert (found is not None) == taken
    if found is not None:
        assert (found.reasoning, found.price) == (on, resolution.price)
        assert found.model.upstream == "b"


def test_a_model_without_a_price_is_refused() -> None:
    with pytest.raises(SpecError, match="has no price"):
        catalog({"id": "a"}, pricing={})
