"""A chat request's choice of reasoning, in any of the spellings that clients use.

    off   thinking.type disabled · a template flag or `enable_thinking` false ·
          reasoning.enabled false · an effort of none
    on    thinking.type enabled · a flag true · reasoning {…} · an effort above none

Contradictions are no error: clients send several spellings at once, and off wins.
"""

from typing import Any

from gateway.core.profile import TEMPLATE_EFFORT
from gateway.core.request import ReasoningChoice
from gateway.dialects.chat.types import ChatBody

#: members of `chat_template_kwargs` that switch reasoning; the upstream's renderer sets its own
TEMPLATE_FLAGS = ("thinking", "enable_thinking")

#: members that switch it
SPELLINGS = (
    "thinking",
    "enable_thinking",
    "reasoning",
    "reasoning_effort",
    "chat_template_kwargs",
)
_OFF = frozenset({"none", "off", "disabled"})
_SILENT = frozenset({"", "auto", "default"})


def read_reasoning_choice(body: ChatBody[Any]) -> ReasoningChoice:
    """On, off or silent, and the effort where one is named."""
    effort = _effort(body)
    switches = [
        _switch_of(body.thinking),
        body.enable_thinking,
        _switch_of_object(body.reasoning),
        None if effort is None else effort not in _OFF,
    ]
    if body.chat_template_kwargs:
        switches += [_flag(body.chat_template_kwargs.get(name)) for name in TEMPLATE_FLAGS]
    if False in switches:
        return ReasoningChoice(on=False)
    return ReasoningChoice(on=True if True in switches else None, effort=effort)


def _effort(body: ChatBody[Any]) -> str | None:
    """The effort in lower case; None where there is none or it leaves the choice to us."""
    named = body.reasoning_effort
    for holder in (body.reasoning, body.thinking):
        if named is None and isinstance(holder, dict):
            named = holder.get("effort")
    if named is None and body.chat_template_kwargs:
        named = body.chat_template_kwargs.get(TEMPLATE_EFFORT)
    if not isinstance(named, str) or named.lower() in _SILENT:
        return None
    return named.lower()


def _switch_of(thinking: Any) -> bool | None:
    """`thinking` is an object with a type; some clients send a plain flag."""
    if isinstance(thinking, dict):
        kind = thinking.get("type")
        if kind == "disabled":
            return False
        return True if kind in ("enabled", "adaptive") else None
    return _flag(thinking)


def _switch_of_object(reasoning: Any) -> bool | None:
    """OpenRouter's `reasoning: {enabled, effort, max_tokens}`; effort is read elsewhere."""
    if not isinstance(reasoning, dict):
        return None
    enabled = _flag(reasoning.get("enabled"))
    if enabled is not None:
        return enabled
    allowance = reasoning.get("max_tokens")
    return None if not isinstance(allowance, int) else allowance > 0


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
