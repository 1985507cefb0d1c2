"""The model families: what each takes, fixes and ignores, as Moonshot's documentation and recorded
answers have it (platform documentation "chat", "models overview"; vendor verifier `test_params`).

Owns facts only; `rules` turns them into refusals. `kimi-k2.5` is retired at Moonshot but lives on
as open weights, so it is served, as `kimi-k2.6`. Any id that is not Moonshot's is `generic`: an
engine such as vLLM, which takes nearly everything.
"""

from typing import Any, Literal

from msgspec import Struct

from gateway.upstream.simulated.errors import Refused

#: `switch`: the `thinking` object, on by default. `always`: cannot be switched off. `effort`: a
#: level, on by default, `thinking` may still be disabled. `template`: an engine's own flags.
Thinking = Literal["switch", "always", "effort", "template"]


class Family(Struct, frozen=True, kw_only=True):
    """One family. `strict` ones refuse what Moonshot refuses."""

    name: str
    thinking: Thinking
    strict: bool = True
    context_tokens: int = 262_144
    #: the only temperature allowed with thinking and without; None: any
    temperatures: tuple[float, float] | None = (1.0, 1.0)
    #: the only value of other sampling parameters
    fixed: tuple[tuple[str, float], ...] = (
        ("top_p", 0.95),
        ("n", 1),
        ("presence_penalty", 0),
        ("frequency_penalty", 0),
    )
    #: `required` and a named tool are refused while thinking is on
    forcing_stops_thinking: bool = True
    #: a named tool is silently ignored
    ignores_named_tool: bool = False
    #: an assistant message with tool calls must carry its reasoning_content
    wants_reasoning_back: bool = True
    #: `reasoning_effort` is a parameter here, if only to be ignored
    takes_effort: bool = False
    #: `thinking.keep` is a parameter here
    takes_keep: bool = False
    sees_images: bool = True
    #: a system message may bring tools instead of content
    takes_message_tools: bool = False


K2_6 = Family(
    name="kimi-k2.6",
    thinking="switch",
    temperatures=(1.0, 0.6),
    takes_effort=True,
    takes_keep=True,
)
K2_7_CODE = Family(name="kimi-k2.7-code", thinking="always", takes_keep=True)
K3 = Family(
    name="kimi-k3",
    thinking="effort",
    context_tokens=1_048_576,
    forcing_stops_thinking=False,
    ignores_named_tool=True,
    wants_reasoning_back=False,
    takes_effort=True,
    takes_message_tools=True,
)
K2_THINKING = Family(
    name="kimi-k2-thinking", thinking="always", temperatures=None, fixed=(), sees_images=False
)
GENERIC = Family(
    name="generic",
    thinking="template",
    strict=False,
    temperatures=None,
    fixed=(),
    forcing_stops_thinking=False,
    wants_reasoning_back=False,
    takes_effort=True,
)

MODELS: dict[str, Family] = {
    "kimi-k2.5": K2_6,
    "kimi-k2.6": K2_6,
    "kimi-k2.7-code": K2_7_CODE,
    "kimi-k2.7-code-highspeed": K2_7_CODE,
    "kimi-k3": K3,
    "kimi-k2-thinking": K2_THINKING,
    "generic": GENERIC,
}


def find_family(model: str) -> Family:
    """The family of a model id. Raises `Refused` (404) for an id of Moonshot's that is not live."""
    family = MODELS.get(model)
    if family is not None:
        return family
    if model.startswith(("kimi-", "moonshot-")):
        raise unknown_model(model)
    return GENERIC


def unknown_model(model: str) -> Refused:
    """The 404 for a model that does not exist, in Moonshot's words."""
    return Refused(
        f"Not found the model {model} or Permission denied",
        status=404,
        type="resource_not_found_error",
    )


def thinks(family: Family, body: dict[str, Any]) -> bool:
    """True if thinking is on for this request: by its own word, else by the family's default."""
    thinking = body.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if family.thinking == "always":
        return True
    if family.thinking == "template":
        return kind == "enabled" or _template_switch(body)
    return kind != "disabled"


def _template_switch(body: dict[str, Any]) -> bool:
    arguments = body.get("chat_template_kwargs")
    flags = (body, arguments if isinstance(arguments, dict) else {})
    if any(flag.get(name) is True for flag in flags for name in ("thinking", "enable_thinking")):
        return True
    return body.get("reasoning_effort") not in (None, "none") and not any(
        flag.get(name) is False for flag in flags for name in ("thinking", "enable_thinking")
    )


def describe_model(model: str) -> dict[str, Any]:
    """The entry of `GET /v1/models`, with the members Moonshot adds to OpenAI's."""
    family = MODELS[model]
    choice = {"switch": "both", "effort": "both", "always": "only", "template": "both"}
    return {
        "id": model,
        "object": "model",
        "created": 1_767_225_600,
        "owned_by": "moonshot" if family.strict else "simulated",
        "context_length": family.context_tokens,
        "supports_reasoning": True,
        "supports_image_in": family.sees_images,
        "supports_video_in": family.sees_images and family.strict,
        "supports_tool_use": True,
        "supports_thinking_type": choice[family.thinking],
    }
