"""From the internal request to a Messages body, by the model's profile.

Owns spelling, and what Messages has no word for: instructions after the beginning, free JSON.
`adapt` has applied the profile. Must never write anything that differs between two equal requests.

Source: Anthropic API reference, "Messages"; Moonshot, "Messages".
"""

from typing import Any

from gateway.core.catalog import Resolution, has_lost_thinking
from gateway.core.profile import Profile
from gateway.core.request import AssistantMessage, OutputFormat, Request, Tool
from gateway.dialects.adapt.parameters import fit_stop, no_logprobs
from gateway.dialects.adapt.prepare import (
    FREE_JSON,
    Prepared,
    no_content,
    no_prefill,
    one_choice_only,
    prepare,
)
from gateway.dialects.adapt.tools import fit_parameters, fit_schema
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.json import encode
from gateway.dialects.messages.history_writer import write_conversation
from gateway.dialects.messages.thinking import write_signed_reasoning

Object = dict[str, Any]

#: the member is required, and clients of other dialects need not name a cap
_MAX_TOKENS = 32_000
_REASONING_TOKENS_MIN = 1024
_MODES = {"named": "tool", "required": "any"}


def write_request(request: Request, resolution: Resolution) -> UpstreamRequest:
    """Write a request; raises `InvalidRequest` for what the profile cannot take."""
    profile = resolution.model.profile
    if request.prefill and profile.prefill_member is None:
        raise no_prefill()
    prepared = prepare(request, resolution)
    body: Object = {
        "model": resolution.model.upstream_model,
        "max_tokens": _max_tokens(request, resolution),
    }
    _write_output(body, request.output, profile, prepared)
    _write_messages(body, prepared, resolution)
    if prepared.tools:
        body["tools"] = [_write_tool(tool, profile) for tool in prepared.tools]
        if any(tool.strict for tool in prepared.tools):
            # Anthropic's strict schemas are another subset, and any other is refused.
            prepared.degraded.append("strict")
        _write_choice(body, request, profile, prepared)
    _switch_reasoning(body, resolution)
    _write_parameters(body, request, resolution, prepared.degraded)
    if request.stream:
        body["stream"] = True
    if has_lost_thinking(request, resolution.model):
        prepared.degraded.append("thinking")
    return UpstreamRequest(encode(body), request.stream, tuple(dict.fromkeys(prepared.degraded)))


def _max_tokens(request: Request, resolution: Resolution) -> int:
    limit = resolution.model.max_output_tokens
    wanted = request.max_tokens or limit or _MAX_TOKENS
    return min(wanted, limit or wanted)


def _write_messages(body: Object, prepared: Prepared, resolution: Resolution) -> None:
    profile = resolution.model.profile

    def think(message: AssistantMessage) -> list[Object]:
        if not resolution.reasoning:
            return []
        return write_signed_reasoning(
            message, resolution.model.upstream, not profile.reasoning_signed
        )

    system, body["messages"] = write_conversation(prepared.messages, think)
    if not body["messages"]:
        raise no_content()
    system += prepared.instructions
    if system:
        body["system"] = "\n\n".join(system)


def _write_tool(tool: Tool, profile: Profile) -> Object:
    written: Object = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = fit_parameters(tool, profile)
    return written


def _write_choice(body: Object, request: Request, profile: Profile, prepared: Prepared) -> None:
    choice, one_by_one = prepared.choice, request.parallel_tool_calls is False
    if one_by_one and "parallel_tool_calls" not in profile.parameters:
        prepared.degraded.append("parallel_tool_calls")
        one_by_one = False
    written: Object = {}
    if choice is not None:
        written = {"type": _MODES.get(choice.mode, choice.mode)}
        if choice.mode == "named":
            written["name"] = choice.name
    if one_by_one and written.get("type") != "none":
        written = {"type": "auto", **written, "disable_parallel_tool_use": True}
    if written:
        body["tool_choice"] = written


def _write_output(
    body: Object, output: OutputFormat | None, profile: Profile, prepared: Prepared
) -> None:
    if output is None:
        return
    if output.schema is None or output.kind == "json_object":
        prepared.instructions.append(FREE_JSON)
        prepared.degraded.append("response_format")
        return
    schema = fit_schema(output.schema, profile)
    body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}


def _switch_reasoning(body: Object, resolution: Resolution) -> None:
    """Send the upstream whether to reason, so that what is billed is what runs."""
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
    """Write the other parameters: sent, dropped and named, or refused where their absence would
    break something."""
    profile, sampling = resolution.model.profile, request.sampling
    if sampling.n is not None and sampling.n > 1:
        raise one_choice_only()
    if sampling.logprobs:
        raise no_logprobs()
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
    degraded += request.extra
    if request.stop:
        body["stop_sequences"] = fit_stop(request, profile)
    if request.safety_identifier:
        body["metadata"] = {"user_id": request.safety_identifier}
