"""From the internal request to the body an upstream takes, by its profile.

    messages ──▶ repaired, spelled out      reasoning ──▶ always told, on or off
    tools    ──▶ checked, in MFJS           parameters ──▶ sent, dropped (degraded) or refused

Owns what the families of models allow. Must never reorder tools or write anything that differs
between two equal requests: the upstream's prefix cache is the biggest lever on cost.
"""

import re
from typing import Any

import msgspec

from gateway.core.catalog import Resolution
from gateway.core.profile import Profile
from gateway.core.request import (
    AssistantMessage,
    Image,
    Message,
    OutputFormat,
    Request,
    SystemMessage,
    Tool,
    ToolChoice,
    UserMessage,
)
from gateway.errors import InvalidRequest
from gateway.upstream.base import Outgoing
from gateway.upstream.chat.history import fill_reasoning, repair
from gateway.upstream.chat.messages import write_messages
from gateway.upstream.chat.parameters import write_parameters
from gateway.upstream.chat.schema import normalise
from gateway.wire.chat.reasoning import TEMPLATE_EFFORT
from gateway.wire.json import encode

Object = dict[str, Any]

#: Moonshot, "Tool use": the name of a function
_MOONSHOT_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,127}")
ANY_PARAMETERS: Object = {"type": "object", "properties": {}}
#: where a dialect has no other word for it
FREE_JSON = "Answer with one JSON object, and with nothing else."


def render_request(request: Request, resolution: Resolution) -> Outgoing:
    """Render a request; raises `InvalidRequest` for what the profile cannot take."""
    profile = resolution.model.profile
    degraded: list[str] = []
    body: Object = {"model": resolution.model.upstream_model}
    forced, tools = settle_choice(request, profile, degraded)
    body["messages"] = _write_messages(request, resolution, forced)
    if tools:
        body["tools"] = [_write_tool(tool, profile) for tool in tools]
        if forced is None and request.tool_choice is not None:
            body["tool_choice"] = _write_choice(request.tool_choice, profile)
    if request.output is not None:
        body["response_format"] = _write_format(request.output, profile)
    write_parameters(body, request, resolution, degraded)
    _switch_reasoning(body, resolution)
    if request.prefill:
        _continue_prefill(body, request, profile)
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return Outgoing(
        body=encode(body),
        stream=request.stream,
        degraded=tuple(dict.fromkeys(degraded)),
        choices=request.sampling.n or 1,
    )


def settle_choice(
    request: Request, profile: Profile, degraded: list[str]
) -> tuple[str | None, tuple[Tool, ...]]:
    """The instruction that stands in for a choice the family refuses, and the tools to offer."""
    choice, tools = request.tool_choice, request.tools
    if tools:
        _check_names(tools, profile)
    if choice is None or not choice.is_forced:
        return None, tools
    if not tools:
        raise InvalidRequest("A tool is required, but no tools are given.", param="tool_choice")
    named = tuple(tool for tool in tools if tool.name == choice.name)
    if choice.mode == "named" and not named:
        raise InvalidRequest(
            f"The tool '{(choice.name or '')[:128]}' is required, but not among the tools.",
            param="tool_choice",
        )
    if profile.forced_tool_refused:
        degraded.append("tool_choice")
        wanted = f"the tool `{choice.name}`" if named else "one of the tools"
        return f"Answer by calling {wanted}, and with nothing else.", named or tools
    if named and profile.named_tool_ignored:
        return None, named
    return None, tools


def _check_names(tools: tuple[Tool, ...], profile: Profile) -> None:
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            raise InvalidRequest(f"Two tools are named '{tool.name[:128]}'.", param="tools")
        if not tool.name:
            raise InvalidRequest("A tool has no name.", param="tools")
        if profile.moonshot_schema and _MOONSHOT_NAME.fullmatch(tool.name) is None:
            raise InvalidRequest(
                f"The tool name '{tool.name[:128]}' is not allowed: at most 128 letters, digits, "
                "'_' and '-', the first not a digit or '-'.",
                param="tools",
            )
        seen.add(tool.name)


def _write_messages(
    request: Request, resolution: Resolution, instruction: str | None
) -> list[Object]:
    profile, reasoning = resolution.model.profile, resolution.reasoning
    messages = list(request.messages)
    if not profile.sees_images:
        refuse_images(messages)
    messages = repair(messages, profile.sees_images)
    if not messages:
        raise InvalidRequest("The messages hold no content.", param="messages")
    if reasoning and profile.reasoning_in_history:
        messages = fill_reasoning(messages)
    if instruction is not None and not request.prefill:
        messages.append(SystemMessage(instruction))
    return write_messages(messages, profile, reasoning)


def refuse_images(messages: list[Message]) -> None:
    """Raise `InvalidRequest` where a user shows one."""
    for index, message in enumerate(messages):
        if isinstance(message, UserMessage) and any(
            isinstance(part, Image) for part in message.parts
        ):
            raise InvalidRequest("This model sees no images.", param=f"messages.{index}.content")


def _write_tool(tool: Tool, profile: Profile) -> Object:
    function: Object = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    parameters = tool.parameters or ANY_PARAMETERS
    function["parameters"] = normalise(parameters) if profile.moonshot_schema else parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _write_choice(choice: ToolChoice, profile: Profile) -> Any:
    if choice.mode != "named":
        return choice.mode
    if profile.named_tool_ignored:
        return "required"
    return {"type": "function", "function": {"name": choice.name}}


def _write_format(output: OutputFormat, profile: Profile) -> Object:
    if output.kind == "json_object" or output.schema is None:
        return {"type": "json_object"}
    schema = normalise(output.schema) if profile.moonshot_schema else output.schema
    described: Object = {"name": output.name, "schema": schema}
    if output.strict is not None:
        described["strict"] = output.strict
    return {"type": "json_schema", "json_schema": described}


def _switch_reasoning(body: Object, resolution: Resolution) -> None:
    """Tell the upstream whether to reason, so that what is billed is what runs."""
    profile, on = resolution.model.profile, resolution.reasoning
    match profile.spelling:
        case "thinking":
            body["thinking"] = {"type": "enabled" if on else "disabled"}
        case "reasoning_effort" if on:
            effort = profile.efforts.get(resolution.effort or "")
            body["reasoning_effort"] = effort or profile.effort_default
        case "reasoning_effort" if profile.effort_off is not None:
            body["reasoning_effort"] = profile.effort_off
        case "reasoning_effort":
            body["thinking"] = {"type": "disabled"}
        case "adaptive":
            body["thinking"] = {"type": "adaptive" if on else "disabled"}
        case "chat_template_kwargs":
            tell_template(body, on)


def tell_template(body: Object, on: bool) -> None:
    """Say in an engine's own words whether to reason, beside what a client tells its template."""
    given = body.get("chat_template_kwargs")
    arguments = {} if given is None else msgspec.json.decode(given)
    if not on:
        arguments.pop(TEMPLATE_EFFORT, None)
    body["chat_template_kwargs"] = {**arguments, "thinking": on, "enable_thinking": on}


def _continue_prefill(body: Object, request: Request, profile: Profile) -> None:
    last = request.messages[-1] if request.messages else None
    if not isinstance(last, AssistantMessage) or last.calls or not last.text:
        return
    if profile.prefill_member is None:
        raise InvalidRequest(
            "This model cannot continue an assistant message; the last message must be another.",
            param="messages",
        )
    if profile.prefill_member == "partial":
        body["messages"][-1]["partial"] = True
    else:
        body["continue_final_message"] = True
        body["add_generation_prompt"] = False
