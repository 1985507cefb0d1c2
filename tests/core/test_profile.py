"""Which family an upstream's model id suggests, and that the families hold together."""

import pytest

from gateway.core.catalog import profile_for
from gateway.core.upstream_profiles import ALL_PROFILES


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("kimi-k2.5", "kimi-k2.5"),
        ("kimi-k2.6", "kimi-k2.6"),
        ("kimi-k2.7-code-highspeed", "kimi-k2.7-code"),
        ("kimi-k2-thinking-turbo", "kimi-k2-thinking"),
        ("kimi-k3", "kimi-k3"),
        ("moonshotai/Kimi-K2.5", "generic"),
        ("qwen3", "generic"),
        ("gpt-4.1-mini", "gpt-4"),
        ("gpt-4o", "gpt-4"),
        ("gpt-5-chat-latest", "gpt-4"),
        ("gpt-5.2-chat-latest", "gpt-4"),
        ("gpt-5-mini", "gpt-5"),
        ("o1", "gpt-5"),
        ("o4-mini", "gpt-5"),
        ("gpt-5.2-pro", "gpt-5.1"),
        ("gpt-oss-120b", "generic"),
        ("gemini-1.5-pro-002", "gemini-2.5"),
        ("gemini-2.0-flash", "gemini-2.5"),
        ("gemini-2.5-flash-lite", "gemini-2.5"),
        ("gemini-2.5-pro-preview", "gemini-2.5-pro"),
        ("gemini-3.1-pro", "gemini-3"),
        ("gemini-flash-latest", "gemini-3"),
        ("gemma-3", "generic"),
    ],
)
def test_the_model_id_suggests_the_family(model: str, name: str) -> None:
    assert profile_for(model, "https://gateway.example/v1").name == name


@pytest.mark.parametrize(
    ("model", "takes"), [("o1", False), ("o3-mini", False), ("o4-mini", False), ("gpt-5", True)]
)
def test_models_before_gpt_5_take_no_choice_of_parallel_calls(model: str, takes: bool) -> None:
    profile = profile_for(model, "https://api.openai.com/v1")
    assert ("parallel_tool_calls" in profile.parameters) == takes
    assert profile.max_tokens_member == "max_completion_tokens"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.fireworks.ai/inference/v1", "fireworks"),
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://api.together.xyz/v1", "together"),
        ("https://api.together.ai/v1", "together"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.x.ai/v1", "xai"),
        ("https://eu-west-1.api.x.ai/v1", "xai"),
        ("https://api.cerebras.ai/v1", "cerebras"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://127.0.0.1:11434/v1", "ollama"),
        ("http://desk.lan:1234/v1", "lm-studio"),
        ("http://sglang.models:30000/v1", "sglang"),
        ("http://127.0.0.1:30000/v1", "sglang"),
        ("http://10.0.0.7:30000/v1", "generic"),
        ("http://[fd00::7]:30000/v1", "generic"),
        ("http://vllm.models:8000/v1", "generic"),
        ("https://notgroq.com/v1", "generic"),
        ("https://api.groq.com.example/v1", "generic"),
        ("https://x.ai.example/v1", "generic"),
        ("http://[::1]:99999/v1", "generic"),
        ("simulated:", "generic"),
    ],
)
def test_the_url_suggests_the_provider_of_an_open_model(url: str, name: str) -> None:
    assert profile_for("meta/llama-4", url).name == name
    assert profile_for("kimi-k2.6", url).name == "kimi-k2.6"


#: model -> whether it reasons if it is not its client's to choose, and what is sent for each effort
XAI = {
    "grok-3-mini": (True, {None: "low", "medium": "low", "max": "high"}),
    "grok-4.3": (None, {None: "medium", "medium": "medium", "xhigh": "high"}),
    "grok-4.5": (True, {None: "high", "minimal": "low", "max": "high"}),
    "grok-4.7-latest": (True, {None: "high", "medium": "medium"}),
    "grok-4-1-fast-non-reasoning": (False, {}),
    "grok-4.20-0309-non-reasoning": (False, {}),
    "grok-3": (False, {}),
    "grok-4-0709": (True, {}),
    "grok-4.20-0309-reasoning": (True, {}),
    "grok-code-fast-1": (True, {}),
    "grok-latest": (None, {None: "medium", "max": "high"}),
}


@pytest.mark.parametrize("model", XAI)
def test_a_model_of_xai_gets_the_levels_that_it_has(model: str) -> None:
    profile = profile_for(model, "https://api.x.ai/v1")
    forced, sent = XAI[model]
    assert (profile.name, profile.reasoning_forced) == ("xai", forced)
    assert profile.spelling == ("reasoning_effort" if sent else "none")
    assert profile.effort_off == ("none" if model == "grok-4.3" else None)
    got = {word: profile.efforts.get(word or "", profile.effort_default) for word in sent}
    assert got == sent


@pytest.mark.parametrize("model", ["gemini-1.5-pro-002", "gemini-2.0-flash"])
def test_the_first_models_of_google_never_think(model: str) -> None:
    profile = profile_for(model, "https://generativelanguage.googleapis.com/v1beta")
    assert (profile.spelling, profile.reasoning_forced) == ("none", False)
    assert profile.tools_exclude_format


@pytest.mark.parametrize("name", ALL_PROFILES)
def test_a_family_does_not_contradict_itself(name: str) -> None:
    profile = ALL_PROFILES[name]
    assert not (profile.forced_tool_refused and profile.forced_tool_stops_reasoning)
    assert profile.reasoning_forced or not profile.forced_tool_refused
    if profile.spelling == "reasoning_effort":
        assert profile.effort_default in profile.efforts.values()
    if profile.spelling == "none":
        assert profile.reasoning_forced is not None
    if profile.moonshot_schema:
        assert (profile.stop_count_max, profile.stop_bytes_max) == (5, 32)
