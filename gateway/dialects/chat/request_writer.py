"""From the internal request to a chat body, by the model's profile.

Owns spelling only: `adapt` has applied the profile. Must never write anything that differs between
two equal requests. Source: OpenAI API reference, "Create chat completion".
"""

from collections.abc import Sequence
from typing import Any

from gateway.core.catalog import Resolution
from gateway.core.profile import Profile
from gateway.core.request import OutputFormat, Request, SystemMessage, Tool, ToolChoice
from gateway.dialects.adapt.history import lead_with_instructions
from gateway.dialects.adapt.parameters import write_parameters, write_template
from gateway.dialects.adapt.prepare import (
    continues_answer,
    fit_messages,
    no_prefill,
    written_format,
)
from gateway.dialects.adapt.tools import fit_choice, fit_parameters, fit_schema
from gateway.dialects.chat.history_writer import write_messages
from gateway.dialects.chat.plain import System
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.json import encode

Object = dict[str, Any]


def write_request(request: Request, resolution: Resolution) -> UpstreamRequest:
    """Write a request; raises `InvalidRequest` for what the profile cannot take."""
    profile = resolution.model.profile
    degraded: list[str] = []
    tools, choice, instruction = request.tools, request.tool_choice, None
    if tools or choice is not None:
        tools, choice, instruction = fit_choice(request, profile, degraded)
    output, asked = request.output, ""
    if output is not None:
        output, asked = _fit_format(output, profile, bool(tools), degraded)
    body: Object = {
        "model": resolution.model.upstream_model,
        "messages": _write_messages(request, resolution, instruction or "", asked, degraded),
    }
    if tools:
        is_strict = not profile.tools_alike or all(tool.strict for tool in tools)
        body["tools"] = [_write_tool(tool, profile, is_strict) for tool in tools]
    if choice is not None:
        body["tool_choice"] = _write_choice(choice)
    if output is not None:
        body["response_format"] = _write_format(output, profile)
    write_parameters(body, request, resolution, degraded)
    _switch_reasoning(body, request, resolution)
    if request.prefill and continues_answer(request):
        _continue_answer(body, profile)
    if request.stream:
        body["stream"] = True
        if not profile.stream_usage_implied:
            body["stream_options"] = {"include_usage": True}
    return UpstreamRequest(
        body=encode(body),
        stream=request.stream,
        degraded=tuple(dict.fromkeys(degraded)) if degraded else (),
        choices=request.sampling.n or 1,
    )


def _write_messages(
    request: Request, resolution: Resolution, instruction: str, asked: str, degraded: list[str]
) -> Sequence[Any]:
    """The messages as the client wrote them, where nothing is to be added to them."""
    written, profile = request.written, resolution.model.profile
    if written is not None and profile.instructions_first:
        for plain in written.messages[1:]:
            if plain.__class__ is System:
                written = None
                break
    if written is not None and not (instruction or asked):
        length_max = profile.call_id_length_max
        if profile.call_id_length is not None or (
            resolution.reasoning and profile.reasoning_in_history
        ):
            length_max = 0
        if (length_max is None or written.call_id_length <= length_max) and (
            profile.message_names or not _are_named(written.messages)
        ):
            return written.messages
    messages = fit_messages(request, resolution, degraded)
    if not request.prefill:
        messages += [SystemMessage(text) for text in (instruction, asked) if text]
    if profile.instructions_first:
        for message in messages[1:]:
            if message.__class__ is SystemMessage:
                messages = lead_with_instructions(messages)
                break
    return write_messages(messages, resolution)


def _are_named(messages: Sequence[Any]) -> bool:
    return any(getattr(message, "name", None) for message in messages)


def _fit_format(
    output: OutputFormat, profile: Profile, beside_tools: bool, degraded: list[str]
) -> tuple[OutputFormat | None, str]:
    """The format that the upstream takes, and the instruction for the rest of it."""
    if beside_tools and profile.tools_exclude_format:
        degraded.append("response_format")
        return None, written_format(output)
    if profile.schema_as_instruction and output.schema is not None:
        degraded.append("response_format")
        return OutputFormat("json_object"), written_format(output)
    return output, ""


def _write_tool(tool: Tool, profile: Profile, is_strict: bool) -> Object:
    function: Object = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = fit_parameters(tool, profile)
    if tool.strict is not None and is_strict:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _write_choice(choice: ToolChoice) -> Any:
    if choice.mode != "named":
        return choice.mode
    return {"type": "function", "function": {"name": choice.name}}


def _write_format(output: OutputFormat, profile: Profile) -> Object:
    if output.kind == "json_object" or output.schema is None:
        return {"type": "json_object"}
    described: Object = {"name": output.name, "schema": fit_schema(output.schema, profile)}
    if output.strict is not None:
        described["strict"] = output.strict
    return {"type": "json_schema", "json_schema": described}


def _switch_reasoning(body: Object, request: Request, resolution: Resolution) -> None:
    """Write whether the upstream is to reason, so that what is billed is what runs."""
    profile, on = resolution.model.profile, resolution.reasoning
    match profile.spelling:
        case "thinking":
            body["thinking"] = {"type": "enabled" if on else "disabled"}
        case "reasoning_effort" if on:
            effort = profile.efforts.get(resolution.effort or "")
            body["reasoning_effort"] = effort or profile.effort_default
        case "reasoning_effort" if profile.effort_off is not None:
            body["reasoning_effort"] = profile.effort_off
        case "reasoning_effort" if not profile.off_is_silent:
            body["thinking"] = {"type": "disabled"}
        case "adaptive":
            body["thinking"] = {"type": "adaptive" if on else "disabled"}
        case "chat_template_kwargs":
            write_template(body, request, resolution)


def _continue_answer(body: Object, profile: Profile) -> None:
    if profile.prefill_member is None:
        raise no_prefill()
    if profile.prefill_member != "continue_final_message":
        body["messages"][-1][profile.prefill_member] = True
    else:
        body["continue_final_message"] = True
        body["add_generation_prompt"] = False
