"""From the internal request to a Messages body, by the model's profile.

Owns what Messages has no word for: instructions after the beginning, free JSON, a tool's choice
that the family refuses. Who may say what, and in which order, is settled as for chat. Must never
write anything that differs between two equal requests.

Source: Anthropic API reference, "Messages"; Moonshot, "Messages".
"""

from typing import Any

from gateway.core.catalog import Resolution, has_lost_thinking
from gateway.core.profile import Profile
from gateway.core.request import AssistantMessage, OutputFormat, Request, Tool
from gateway.errors import InvalidRequest, UnsupportedParameter
from gateway.upstream.base import Outgoing
from gateway.upstream.chat.history import fill_reasoning, repair
from gateway.upstream.chat.render import (
    ANY_PARAMETERS,
    FREE_JSON,
    refuse_images,
    settle_choice,
)
from gateway.upstream.chat.schema import normalise
from gateway.upstream.messages.conversation import write_conversation
from gateway.upstream.messages.thinking import write_thoughts
from gateway.wire.json import encode

Object = dict[str, Any]

#: the member is required, and clients of other dialects need not name a cap
_MAX_TOKENS = 32_000
_REASONING_TOKENS_MIN = 1024


def render_request(request: Request, resolution: Resolution) -> Outgoing:
    """Render a request; raises `InvalidRequest` for what the profile cannot take."""
    profile = resolution.model.profile
    degraded: list[str] = []
    instruction, tools = settle_choice(request, profile, degraded)
    instructions = [instruction] if instruction is not None else []
    body: Object = {
        "model": resolution.model.upstream_model,
        "max_tokens": _max_tokens(request, resolution),
    }
    _write_output(body, request.output, profile, instructions, degraded)
    _write_messages(body, request, resolution, instructions)
    if tools:
        body["tools"] = [_write_tool(tool, profile) for tool in tools]
        if any(tool.strict for tool in tools):
            # Anthropic's strict schemas are another subset, and any other is refused.
            degraded.append("strict")
        _write_choice(body, request, profile, instruction is None, degraded)
    _switch_reasoning(body, resolution)
    _write_parameters(body, request, resolution, degraded)
    if request.stream:
        body["stream"] = True
    if has_lost_thinking(request, resolution.model):
        degraded.append("thinking")
    return Outgoing(encode(body), request.stream, tuple(dict.fromkeys(degraded)))


def _max_tokens(request: Request, resolution: Resolution) -> int:
    limit = resolution.model.max_output_tokens
    wanted = request.max_tokens or limit or _MAX_TOKENS
    return min(wanted, limit or wanted)


def _write_messages(
    body: Object, request: Request, resolution: Resolution, instructions: list[str]
) -> None:
    profile = resolution.model.profile
    messages = list(request.messages)
    if not profile.sees_images:
        refuse_images(messages)
    if request.prefill and profile.prefill_member is None:
        raise InvalidRequest(
            "This model cannot continue an assistant message; the last message must be another.",
            param="messages",
        )
    messages = repair(messages, profile.sees_images)
    if resolution.reasoning and profile.reasoning_in_history:
        messages = fill_reasoning(messages)

    def think(message: AssistantMessage) -> list[Object]:
        if not resolution.reasoning:
            return []
        return write_thoughts(message, resolution.model.upstream, not profile.reasoning_signed)

    system, body["messages"] = write_conversation(messages, think)
    if not body["messages"]:
        raise InvalidRequest("The messages hold no content.", param="messages")
    system += instructions
    if system:
        body["system"] = "\n\n".join(system)


def _write_tool(tool: Tool, profile: Profile) -> Object:
    parameters = tool.parameters or ANY_PARAMETERS
    written: Object = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = normalise(parameters) if profile.moonshot_schema else parameters
    return written


def _write_choice(
    body: Object, request: Request, profile: Profile, may_force: bool, degraded: list[str]
) -> None:
    choice, one_by_one = request.tool_choice, request.parallel_tool_calls is False
    if one_by_one and "parallel_tool_calls" not in profile.parameters:
        degraded.append("parallel_tool_calls")
        one_by_one = False
    written: Object = {}
    if choice is not None and (may_force or not choice.is_forced):
        match choice.mode:
            case "named" if not profile.named_tool_ignored:
                written = {"type": "tool", "name": choice.name}
            case "named" | "required":
                written = {"type": "any"}
            case mode:
                written = {"type": mode}
    if one_by_one and written.get("type") != "none":
        written = {"type": "auto", **written, "disable_parallel_tool_use": True}
    if written:
        body["tool_choice"] = written


def _write_output(
    body: Object,
    output: OutputFormat | None,
    profile: Profile,
    instructions: list[str],
    degraded: list[str],
) -> None:
    if output is None:
        return
    if output.schema is None or output.kind == "json_object":
        instructions.append(FREE_JSON)
        degraded.append("response_format")
        return
    schema = normalise(output.schema) if profile.moonshot_schema else output.schema
    body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}


def _switch_reasoning(body: Object, resolution: Resolution) -> None:
    """Tell the upstream whether to reason, so that what is billed is what runs."""
    profile, on = resolution.model.profile, resolution.reasoning
    effort = profile.efforts.get(resolution.effort or "") if on else None
    if profile.spelling == "reasoning_effort" and on:
        effort = effort or profile.effort_default
    if effort:
        body["output_config"] = {**body.get("output_config", {}), "effort": effort}
    if not on:
        body["thinking"] = {"type": "disabled"}
    elif profile.spelling == "adaptive":
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
    else:
        most = max(_REASONING_TOKENS_MIN, body["max_tokens"] // 2)
        body["thinking"] = {"type": "enabled", "budget_tokens": most}


def _write_parameters(
    body: Object, request: Request, resolution: Resolution, degraded: list[str]
) -> None:
    """What is left: sent, dropped and named, or refused where its absence would break something."""
    profile, sampling = resolution.model.profile, request.sampling
    if sampling.n is not None and sampling.n > 1:
        raise InvalidRequest("This model gives one choice only; n must be 1.", param="n")
    if sampling.logprobs:
        raise UnsupportedParameter("This model does not give log probabilities.", param="logprobs")
    taken = profile.parameters - profile.fixed
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(sampling, name)
        if value is None:
            continue
        if name not in taken or (resolution.reasoning and profile.reasoning_signed):
            degraded.append(name)
        else:
            body[name] = min(value, 1.0) if name == "temperature" else value
    unknown = ("presence_penalty", "frequency_penalty", "seed", "logit_bias")
    degraded += [name for name in unknown if getattr(sampling, name) is not None]
    degraded += request.passthrough
    if request.stop:
        count_max, bytes_max = profile.stop_count_max, profile.stop_bytes_max
        if count_max is not None and len(request.stop) > count_max:
            raise InvalidRequest(
                f"This model takes at most {count_max} stop sequences.", param="stop"
            )
        if bytes_max is not None and any(len(one.encode()) > bytes_max for one in request.stop):
            raise InvalidRequest(
                f"A stop sequence of this model has at most {bytes_max} bytes.", param="stop"
            )
        body["stop_sequences"] = list(request.stop)
    if request.safety_identifier:
        body["metadata"] = {"user_id": request.safety_identifier}
