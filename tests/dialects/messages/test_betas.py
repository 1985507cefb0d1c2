"""Of a client's betas only those without a price pass, unless the administrator allows more."""

from typing import get_args

import pytest
from anthropic.types.anthropic_beta_param import AnthropicBetaParam

from gateway.core.request import RawBody
from gateway.dialects.messages.betas import Betas, read_betas

CLAUDE_CODE = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,"
    "advanced-tool-use-2025-11-20,effort-2025-11-24"
)
PRICED = (
    "context-1m-2025-08-07",
    "fast-mode-2026-02-01",
    "output-300k-2026-03-24",
    "extended-cache-ttl-2025-04-11",
    "mcp-client-2025-11-20",
    "code-execution-2025-08-25",
    "web-search-2025-03-05",
    "advisor-tool-2026-03-01",
    "server-side-fallback-2026-07-01",
    "user-profiles-billing-2026-10-01",
)

UNDECIDED = {
    "admin-user-sign-out-2026-10-08",
    "agent-memory-2026-07-22",
    "analytics-usage-cost-2026-08-24",
    "ce-claude-code-managed-settings-2026-10-06",
    "ce-plugins-2026-09-01",
    "ce-user-management-2026-07-13",
    "compact-2026-01-12",
    "compact-2026-09-04",
    "dev-full-thinking-2025-05-14",
    "dreaming-2026-04-21",
    "experimental-claude-tag-2026-10-21",
    "managed-agents-2026-04-01",
    "mcp-tunnels-2026-06-22",
    "spend-limit-reads-2026-09-26",
    "telemetry-destinations-2026-08-11",
    "webhooks-2026-10-07",
}


def read(*values: str, allowed: tuple[str, ...] = ()) -> Betas:
    return read_betas(RawBody("messages", b"{}", {}, values), allowed)


def test_those_of_an_agent_client_pass_in_their_order() -> None:
    assert ",".join(read(CLAUDE_CODE).passed) == CLAUDE_CODE
    assert read(CLAUDE_CODE).dropped == ()


@pytest.mark.parametrize("beta", PRICED)
def test_what_has_a_price_does_not_pass_and_changes_nothing_else(beta: str) -> None:
    found = read(f"effort-2025-11-24, {beta}")
    assert found == Betas(("effort-2025-11-24",), (beta,), unknown=False)


@pytest.mark.parametrize("beta", ["unheard-of-2031-01-01", "CONTEXT-1M-2025-08-07", "compact"])
def test_nothing_passes_for_being_unknown(beta: str) -> None:
    assert read(beta) == Betas((), (beta,), unknown=True)


def test_a_later_date_is_the_same_feature_and_a_longer_name_is_not() -> None:
    assert read("effort-2027-01-01", "effort-20270101").dropped == ()
    assert read("context-1m-2027-01-01") == Betas((), ("context-1m-2027-01-01",), unknown=False)
    assert read("effort-x-2027-01-01").unknown


def test_an_administrator_allows_more() -> None:
    asked = ("context-1m-2025-08-07,unheard-of-2031-01-01", "fast-mode-2026-02-01")
    found = read(*asked, allowed=("context-1m-*", "unheard-of-2031-01-01"))
    assert found.passed == ("context-1m-2025-08-07", "unheard-of-2031-01-01")
    assert found.dropped == ("fast-mode-2026-02-01",)
    assert not found.unknown
    assert ",".join(read(*asked, allowed=("*",)).passed) == ",".join(asked)


def test_values_may_be_empty_or_given_twice() -> None:
    assert read("", " , ,", "pdfs-2024-09-25,pdfs-2024-09-25").passed == ("pdfs-2024-09-25",)
    assert read() == Betas()


def test_every_beta_that_the_sdk_knows_was_decided_on() -> None:
    """Unknown stays what is of other routes, or gives back what no client here could read."""
    *_, literal = get_args(AnthropicBetaParam)
    assert {beta for beta in get_args(literal) if read(beta).unknown} == UNDECIDED
