"""Which betas of a client reach an upstream that speaks Messages.

Owns the table: what costs nothing by itself passes; what has a price of its own, or works at the
expense of the administrator, is the administrator's to allow. Must never let a beta pass for being
unknown. Sources: Anthropic API reference, "Beta headers" and "Pricing"; the list
`AnthropicBeta` of its SDK 2.12; requests of Claude Code, recorded.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from gateway.core.patterns import matches
from gateway.core.request import RawBody

#: that are looked at; agents name some ten
ASKED_MAX = 100
_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")

#: betas that cost nothing by themselves, of any date
_FREE = frozenset(
    {
        "advanced-tool-use",
        "cache-diagnosis",
        "claude-code",
        "compact",  # what asks for it is taken out of a body
        "computer-use",
        "context-management",
        "dev-full-thinking",
        "effort",
        "fine-grained-tool-streaming",
        "inline-tools",
        "interleaved-thinking",
        "message-batches",
        "mid-conversation-output-config",
        "mid-conversation-system",
        "mid-conversation-system-clear-at",
        "mid-conversation-tool-changes",
        "model-context-window-exceeded",
        "pdfs",
        "prompt-caching",
        "prompt-caching-scope",
        "redact-thinking",
        "structured-outputs",
        "task-budgets",
        "thinking-binding-controls",
        "thinking-display-updates",
        "thinking-token-count",
        "token-counting",
        "token-efficient-tools",
        "tool-examples",
        "tool-search-tool",
    }
)
#: betas of other routes, which SDKs may send with every request; no member here is theirs
_ELSEWHERE = frozenset(
    {
        "admin-user-sign-out",
        "agent-memory",
        "analytics-usage-cost",
        "ce-claude-code-managed-settings",
        "ce-plugins",
        "ce-user-management",
        "dreaming",
        "experimental-claude-tag",
        "managed-agents",
        "mcp-tunnels",
        "spend-limit-reads",
        "telemetry-destinations",
        "webhooks",
    }
)
_PASSED = _FREE | _ELSEWHERE
#: betas that have a price of their own, and whose members in a body either go too or need no beta
_PRICED = frozenset(
    {
        "advisor-tool",  # another model is asked, at its price
        "code-execution",  # containers, by the hour
        "context-1m",  # above 200,000 tokens, twice the price of input
        "extended-cache-ttl",  # an hour's cache, twice the price of input
        "fallback-credit",
        "fast-mode",  # several times the price
        "files-api",  # kept with the provider, for everyone who has its credential
        "mcp-client",  # the provider calls others
        "message-threads",  # kept with the provider
        "oauth",  # a credential of another kind than ours
        "output-128k",
        "output-300k",
        "server-side-fallback",  # another model answers, at its price
        "skills",
        "user-profiles",
        "user-profiles-billing",
        "web-fetch",
        "web-search",  # by the search
    }
)


class Betas(Struct, frozen=True):
    """The betas that one request asks for, in their order.

    `unknown` are among `dropped`, or beyond those that are looked at; a body may hold members that
    an upstream refuses without them.
    """

    passed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    unknown: bool = False


def read_betas(raw_body: RawBody | None, allowed: Iterable[str]) -> Betas:
    """The client's betas that go on; `allowed` are patterns of those that do besides."""
    if raw_body is None or not raw_body.betas:
        return _NONE
    named = (beta.strip() for value in raw_body.betas for beta in value.split(","))
    asked = list(dict.fromkeys(filter(None, named)))
    passed: list[str] = []
    dropped: list[str] = []
    unknown = len(asked) > ASKED_MAX
    for beta in asked[:ASKED_MAX]:
        feature = _DATE.sub("", beta)
        if feature in _PASSED or any(matches(pattern, beta) for pattern in allowed):
            passed.append(beta)
        else:
            dropped.append(beta)
            unknown = unknown or feature not in _PRICED
    return Betas(tuple(passed), tuple(dropped), unknown)


_NONE = Betas()
