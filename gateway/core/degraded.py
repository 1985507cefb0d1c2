"""The features of a request that an answer may have to do without, as a closed set.

A client reads the names as they are, in a header; they hold kinds that clients make up. Owns what
such a name counts as, where only known words may stand. Must never give anything out of the set.
"""

from gateway.core.upstream_profiles import ALL_PROFILES

OTHER = "other"

#: hosted tools by the beginning of their kind, the first match wins; what follows is a date
_HOSTED = {
    "web_search": "web_search",
    "web_fetch": "web_fetch",
    "code_": "code_execution",
    "computer": "computer_use",
    "browser": "computer_use",
    "file_search": "file_search",
    "image_generation": "image_generation",
    "mcp": "mcp",
    "tool_search": "tool_search",
    "advisor": "advisor",
    "programmatic_tool_calling": "programmatic_tool_calling",
}
#: experiments of a provider, under any name
_BETAS = "betas"
_PARAMETERS = frozenset({"tool_choice", "stop", "parallel_tool_calls"}).union(
    *(profile.parameters | profile.fixed for profile in ALL_PROFILES.values())
)
#: hosted elsewhere, and only mentioned in a history
_HISTORY = "history"
#: results of tools that had to be made up or moved
_RESULTS = {
    "tool_use without tool_result": "tool_result",
    "tool_result without tool_use": "tool_result",
}

FEATURES: frozenset[str] = frozenset(
    {
        OTHER,
        _HISTORY,
        "document",
        "image",
        "citations",
        "thinking",
        _BETAS,
        "max_tokens",
        "strict",
        *_HOSTED.values(),
        *_RESULTS.values(),
        *_PARAMETERS,
    }
)


def feature_of(name: str) -> str:
    """The feature that a name of what was left out stands for, one of `FEATURES`."""
    if name in FEATURES:
        return name
    if name in _RESULTS:
        return _RESULTS[name]
    place, _, kind = name.partition(".")
    if place == "input":
        return _HISTORY
    if place == _BETAS:
        return _BETAS
    if place == "tools":
        return next((word for start, word in _HOSTED.items() if kind.startswith(start)), OTHER)
    return OTHER
