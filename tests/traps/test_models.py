"""Traps of the model families: names, fixed parameters, forced tools, and every profile with what
stock clients send. Nothing of it may end in the upstream's 400."""

from typing import Any

import pytest

from tests.harness.dialects import reasoning
from tests.traps.support import (
    PRICE,
    SURCHARGE,
    Client,
    either_way,
    every_dialect,
    every_model,
    forced,
    function,
    read,
    strict_models,
)

UPSTREAM_IDS = {
    "kimi-k2.5": "kimi-k2.6",
    "claude-sonnet-4-5-20250929": "kimi-k2.6",
    "k3": "kimi-k3",
    "coder": "kimi-k2.7-code",
    "thinker": "kimi-k2-thinking",
    "open": "open-weights",
}
#: sampling that stock clients send, by dialect
STOCK: dict[str, dict[str, Any]] = {
    "chat": {
        "temperature": 0.7,
        "top_p": 1,
        "n": 1,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
    },
    "responses": {
        "temperature": 0.7,
        "top_p": 0.9,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
    },
    "messages": {"temperature": 0.7, "top_p": 0.9},
}
#: families that always reason, no matter what they are asked
ALWAYS = ("coder", "thinker")
OFF: dict[str, dict[str, Any]] = {
    "chat": {"reasoning_effort": "none"},
    "responses": {"reasoning": {"effort": "none"}},
    "messages": {"thinking": {"type": "disabled"}},
}


def asked_to_reason(body: dict[str, Any]) -> bool | None:
    """True if the upstream was asked to reason; None where it was asked nothing."""
    if "thinking" in body:
        assert body["thinking"] in ({"type": "enabled"}, {"type": "disabled"})
        return bool(body["thinking"]["type"] == "enabled")
    if "reasoning_effort" in body:
        assert body["reasoning_effort"] in ("low", "high", "max")
        return True
    flags = body.get("chat_template_kwargs")
    if flags is None:
        return None
    assert flags["thinking"] == flags["enable_thinking"]
    return bool(flags["thinking"])


@every_dialect
@either_way
@pytest.mark.parametrize("public", UPSTREAM_IDS)
def test_trap_01_a_public_name_is_an_alias_and_the_answer_echoes_it(
    client: Client, dialect: str, stream: bool, public: str
) -> None:
    sent = client.ask(dialect, "!answer Hello", model=public, stream=stream)
    assert sent.upstream["model"] == UPSTREAM_IDS[public]
    assert read(dialect, sent.response).model == public
    assert UPSTREAM_IDS[public] not in sent.response.text


@every_dialect
def test_trap_01_a_model_that_the_upstream_retired_is_not_the_clients_fault(
    client: Client, dialect: str
) -> None:
    sent = client.ask(dialect, "Hi", model="dead")
    assert sent.response.status_code == 502
    assert sent.response.headers["x-credits-charged"] == "0"
    assert sent.response.headers["x-should-retry"] == "false"
    assert "kimi-gone" not in sent.response.text
    assert [body["model"] for body in sent.bodies] == ["kimi-gone"]


@every_dialect
@strict_models
@either_way
def test_trap_03_fixed_sampling_parameters_never_reach_a_family_that_fixes_them(
    client: Client, dialect: str, model: str, stream: bool
) -> None:
    sent = client.ask(dialect, "Hi", model=model, stream=stream, **STOCK[dialect])
    given = set(STOCK[dialect])
    dropped = set() if model == "thinker" else given
    assert given & sent.upstream.keys() == given - dropped - {"n"}
    # one choice is what every family gives, so nothing was lost
    assert sent.degraded == dropped - {"n"}


@every_dialect
def test_trap_03_a_lenient_family_gets_all_of_them(client: Client, dialect: str) -> None:
    sent = client.ask(dialect, "Hi", model="open", **STOCK[dialect])
    sampling = {name: value for name, value in STOCK[dialect].items() if name != "n"}
    assert sampling.items() <= sent.upstream.items()
    assert sent.degraded == set()


@strict_models
def test_trap_03_more_than_one_choice_is_refused_where_it_cannot_be_had(
    client: Client, model: str
) -> None:
    sent = client.ask("chat", "Hi", model=model, n=2)
    assert sent.response.status_code == 400
    assert sent.response.json()["error"]["param"] == "n"
    assert sent.bodies == []


@every_dialect
@either_way
@pytest.mark.parametrize("name", [None, "look"])
def test_trap_04_forcing_a_tool_switches_thinking_off_where_both_cannot_be(
    client: Client, dialect: str, stream: bool, name: str | None
) -> None:
    offered = [function(dialect, "look"), function(dialect, "leap")]
    choice = forced(dialect, name)
    sent = client.ask(dialect, "Go", stream=stream, tools=offered, **choice, **reasoning(dialect))
    assert asked_to_reason(sent.upstream) is False
    assert len(sent.upstream["tools"]) == 2
    named = {"type": "function", "function": {"name": "look"}}
    assert sent.upstream["tool_choice"] == ("required" if name is None else named)
    assert sent.response.headers["x-credits-charged"] == str(PRICE)
    assert [call.name for call in read(dialect, sent.response).calls] == ["look"]


@every_dialect
@either_way
def test_trap_04_where_a_named_tool_is_ignored_it_is_the_only_one_offered(
    client: Client, dialect: str, stream: bool
) -> None:
    offered = [function(dialect, "look"), function(dialect, "leap")]
    choice = forced(dialect, "leap")
    sent = client.ask(
        dialect, "Go", model="k3", stream=stream, tools=offered, **choice, **reasoning(dialect)
    )
    assert [tool["function"]["name"] for tool in sent.upstream["tools"]] == ["leap"]
    assert sent.upstream["tool_choice"] == "required"
    assert asked_to_reason(sent.upstream) is True
    assert [call.name for call in read(dialect, sent.response).calls] == ["leap"]


@every_dialect
@pytest.mark.parametrize("model", ALWAYS)
@pytest.mark.parametrize("name", [None, "leap"])
def test_trap_04_a_family_that_cannot_be_forced_is_asked_in_words(
    client: Client, dialect: str, model: str, name: str | None
) -> None:
    offered = [function(dialect, "look"), function(dialect, "leap")]
    sent = client.ask(dialect, "Go", model=model, tools=offered, **forced(dialect, name))
    assert "tool_choice" not in sent.upstream
    assert "tool_choice" in sent.degraded
    assert sent.upstream["messages"][-1]["role"] == "system"
    names = [tool["function"]["name"] for tool in sent.upstream["tools"]]
    assert names == (["look", "leap"] if name is None else ["leap"])


@every_dialect
@every_model
@pytest.mark.parametrize("wish", ["on", "off", "silent"])
@pytest.mark.parametrize("choice", ["free", "any", "named"])
def test_every_family_takes_what_stock_clients_send(
    client: Client, dialect: str, model: str, wish: str, choice: str
) -> None:
    """No 400, reasoning is what was asked for, and billed as it runs."""
    source: dict[str, dict[str, Any]] = {
        "on": reasoning(dialect),
        "off": OFF[dialect],
        "silent": {},
    }
    choices = {"free": {}, "any": forced(dialect), "named": forced(dialect, "look")}
    sent = client.ask(
        dialect,
        "Hi",
        model=model,
        tools=[function(dialect, "look")],
        **STOCK[dialect],
        **choices[choice],
        **source[wish],
    )
    thinks = wish == "on" and not (model == "kimi-k2.5" and choice != "free")
    thinks = thinks or model in ALWAYS
    is_silent = model == "thinker" or (model == "open" and wish == "silent")
    assert asked_to_reason(sent.upstream) == (None if is_silent else thinks)
    answer = read(dialect, sent.response)
    assert bool(answer.reasoning) is thinks
    assert answer.model == model
    price = PRICE + (SURCHARGE if thinks else 0)
    assert sent.response.headers["x-credits-charged"] == str(price)


@pytest.mark.parametrize(
    ("effort", "level"),
    [
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "high"),
        ("high", "high"),
        ("xhigh", "max"),
        ("max", "max"),
    ],
)
def test_a_family_with_levels_gets_one_that_it_knows(
    client: Client, effort: str, level: str
) -> None:
    source: dict[str, dict[str, Any]] = {
        "chat": {"reasoning_effort": effort},
        "responses": {"reasoning": {"effort": effort}},
        "messages": {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}},
    }
    for dialect, wish in source.items():
        sent = client.ask(dialect, "Hi", model="k3", **wish)
        assert sent.upstream["reasoning_effort"] == level


def test_contradictions_are_no_error_and_off_wins(client: Client) -> None:
    source: list[tuple[str, dict[str, Any]]] = [
        ("chat", {"thinking": {"type": "disabled"}, "reasoning_effort": "high"}),
        ("chat", {"thinking": {"type": "enabled"}, "enable_thinking": False}),
        ("messages", {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}}),
    ]
    for dialect, wish in source:
        sent = client.ask(dialect, "Hi", **wish)
        assert asked_to_reason(sent.upstream) is False
        assert sent.response.headers["x-credits-charged"] == str(PRICE)
