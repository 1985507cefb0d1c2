"""Of a client's betas only those without a price pass, unless the administrator allows more."""

from typing import get_args

import pytest
from anthropic.types.anthropic_beta_param import AnthropicBetaParam

from gateway.core.request import RawBody
from gateway.dialects.messages.betas import ASKED_MAX, Betas, read_betas

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
#: of the newest SDK
*_, _LITERAL = get_args(AnthropicBetaParam)
KNOWN: tuple[str, ...] = get_args(_LITERAL)


def read(*values: str, allowed: tuple[str, ...] = ()) -> Betas:
    return read_betas(RawBody("messages", b"{}", {}, values), allowed)


def test_those_of_an_agent_client_pass_in_their_order() -> None:
    assert ",".join(read(CLAUDE_CODE).passed) == CLAUDE_CODE
    assert read(CLAUDE_CODE).dropped == ()


@pytest.mark.parametrize("beta", PRICED)
def test_what_has_a_price_does_not_pass_and_changes_nothing_else(beta: str) -> None:
    found = read(f"effort-2025-11-24, {beta}")
    assert found == Betas(("effort-2025-11-24",), (beta,), unknown=False)


@pytest.mark.parametrize("beta", ["unheard-of-2031-01-01", "CONTEXT-1M-2025-08-07", "compacter"])
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


def test_only_so_many_are_looked_at() -> None:
    """A head may name thousands; a body is translated then, for it may need those left out."""
    asked = [f"pdfs-2024-09-{day:02}" for day in range(ASKED_MAX)]
    assert not read(",".join(asked)).unknown
    found = read(",".join([*asked, *map(str, range(10_000))]))
    assert found == Betas(tuple(asked), (), unknown=True)


def test_values_may_be_empty_or_given_twice() -> None:
    assert read("", " , ,", "pdfs-2024-09-25,pdfs-2024-09-25").passed == ("pdfs-2024-09-25",)
    assert read() == Betas()


@pytest.mark.parametrize("beta", KNOWN)
def test_every_beta_that_the_sdk_knows_goes_natively(beta: str) -> None:
    """The request is not translated for it; only a beta with a price stays behind."""
    found = read(beta)
    assert not found.unknown
    assert found.passed + found.dropped == (beta,)
    assert read(beta, allowed=("*",)).passed == (beta,)


def test_the_sdk_knows_them_all() -> None:
    assert len(KNOWN) > 50
