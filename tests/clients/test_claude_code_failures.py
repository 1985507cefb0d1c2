"""Claude Code when something fails: its words, how often it asks, what it costs."""

import pytest

from tests.clients.sights import sees
from tests.clients.site import Home, Site
from tests.clients.test_claude_code import ask, settings

_CLIENT = ("Claude Code", "@anthropic-ai/claude-code")


@sees(*_CLIENT, "a cut stream, asked again whole and paid once")
def test_a_cut_stream_is_asked_again_and_paid_once(site: Site, home: Home) -> None:
    script = "!when stream\n!cut 3\n!when *\n!answer Said whole."
    with site.watch() as seen:
        result = ask(home, settings(site), script)
    assert result.result["result"] == "Said whole."
    assert seen.of_route("messages") == {502: 1, 200: 1}
    seen.reckoned()
    assert (len(seen.charges), len(seen.refunds)) == (2, 1)


@sees(*_CLIENT, "a stream that always breaks")
@pytest.mark.parametrize("script", ["!cut 3", "!error-event\n!answer Never whole."])
def test_a_stream_that_always_breaks_costs_nothing(site: Site, home: Home, script: str) -> None:
    with site.watch() as seen:
        result = ask(home, settings(site, CLAUDE_CODE_MAX_RETRIES="1"), script)
    assert result.result["is_error"] is True
    assert "502" in result.result["result"]
    assert seen.charges
    seen.cost_nothing()


@sees(*_CLIENT, "each error of an upstream (400, 401, 403, 429, 500, 503, 504)")
@pytest.mark.parametrize(
    ("status", "shown", "tries"),
    [(401, 502, 1), (403, 502, 1), (429, 529, 2), (500, 502, 2), (503, 529, 2), (504, 504, 2)],
)
def test_an_error_is_reported_and_costs_nothing(
    site: Site, home: Home, status: int, shown: int, tries: int
) -> None:
    with site.watch() as seen:
        result = ask(home, settings(site, CLAUDE_CODE_MAX_RETRIES="1"), f"!error {status}")
    assert result.result["is_error"] is True
    assert f"API Error: {shown}" in result.result["result"]
    assert seen.of_route("messages") == {shown: tries}, "tried again only where that may help"
    seen.cost_nothing()


def test_a_refusal_by_the_upstream_is_reported_in_its_words(site: Site, home: Home) -> None:
    with site.watch() as seen:
        result = ask(home, settings(site, CLAUDE_CODE_MAX_RETRIES="1"), "!error 400")
    assert "API Error: 400 Simulated error 400" in result.result["result"]
    seen.cost_nothing()


@sees(*_CLIENT, "credits used up and a wrong key, each shown once")
def test_used_up_credits_are_reported_once(site: Site, home: Home) -> None:
    with site.watch() as seen:
        result = ask(home, settings(site, ANTHROPIC_AUTH_TOKEN=site.poor_key), "!answer Never.")
    assert "credit balance is too low" in result.result["result"].lower()
    assert seen.of_route("messages") == {402: 1}
    assert seen.bodies == []


def test_a_wrong_key_is_reported(site: Site, home: Home) -> None:
    environment = settings(site, ANTHROPIC_AUTH_TOKEN="sk-" + "x" * 48, CLAUDE_CODE_MAX_RETRIES="1")
    with site.watch() as seen:
        result = ask(home, environment, "!answer Never.")
    assert result.result["is_error"] is True
    assert "401" in result.result["result"]
    assert set(seen.of_route("messages")) == {401}
    assert seen.bodies == []


def test_an_unknown_model_is_reported(site: Site, home: Home) -> None:
    with site.watch() as seen:
        result = ask(home, settings(site, ANTHROPIC_MODEL="no-such-model"), "!answer Never.")
    assert result.result["is_error"] is True
    assert "no-such-model" in result.result["result"]
    assert set(seen.of_route("messages")) == {404}
    seen.cost_nothing()
