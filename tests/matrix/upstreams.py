"""The upstreams of the matrix: each dialect with the profiles that are served in it."""

from typing import get_args

from gateway.core.profile import PROFILES
from gateway.core.spec import UpstreamDialect
from gateway.core.upstream_profiles import ALL_PROFILES, UPSTREAM_PROFILES
from tests.matrix.crossings import Upstream

_KIMI = tuple(name for name in PROFILES if name.startswith("kimi-"))
#: providers and engines that differ from each other in their parameters only: they take turns
_ALIKE = tuple(name for name in UPSTREAM_PROFILES if name not in ("mistral", "deepseek"))
_ENGINES = ("vllm", "sglang", "llama.cpp", "lm-studio", "ollama")
#: in every case
_ALWAYS: dict[str, tuple[str, ...]] = {
    "chat": (*PROFILES, "mistral", "deepseek"),
    "messages": (*_KIMI, "claude", "generic", "deepseek"),
    # Moonshot's endpoint is for one model, which always reasons there.
    "responses": ("kimi-k3", "gpt-4", "gpt-5", "gpt-5.1", "generic"),
    "gemini": ("gemini-2.5", "gemini-2.5-pro", "gemini-3", "generic"),
}
#: one of them in each case
_IN_TURN: dict[str, tuple[str, ...]] = {
    "chat": _ALIKE,
    "messages": (*_ENGINES, "openrouter"),
    "responses": (*_ENGINES, "groq", "xai", "openrouter"),
    "gemini": (),
}
assert _ALWAYS.keys() == _IN_TURN.keys() == {*get_args(UpstreamDialect)}, "a dialect has no line"
assert {*_ALWAYS["chat"], *_IN_TURN["chat"]} == set(ALL_PROFILES)


def upstreams(dialect: str, turn: int) -> list[Upstream]:
    """Those of one case, which has its place in the turn."""
    in_turn = _IN_TURN[dialect]
    profiles = [*_ALWAYS[dialect], *([in_turn[turn % len(in_turn)]] if in_turn else [])]
    return [(dialect, profile) for profile in profiles]


def must_reason(upstream: Upstream) -> bool:
    """True if no request may ask for an answer without reasoning."""
    return upstream == ("responses", "kimi-k3")
