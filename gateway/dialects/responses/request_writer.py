"""From the internal request to a Responses body, by the model's profile.

Owns spelling, and what Responses has no word for: an answer that is begun already, and for Moonshot
free JSON. `adapt` has applied the profile. Must never let anything be stored, or write anything
that differs between two equal requests.

Source: OpenAI API reference, "Create a model response"; Moonshot, "Responses"; vLLM, "Responses
API".
"""

from typing import Any

from msgspec.structs import replace

from gateway.core.catalog import Resolution
from gateway.core.profile import Profile
from gateway.core.request import (
    AssistantMessage,
    OutputFormat,
    Request,
    SystemMessage,
    Tool,
    ToolChoice,
)
from gateway.dialects.adapt.history import lead_with_instructions
from gateway.dialects.adapt.parameters import write_parameters, write_template
from gateway.dialects.adapt.prepare import FREE_JSON, Prepared, no_prefill, prepare
from gateway.dialects.adapt.tools import fit_parameters, fit_schema
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.json import encode
from gateway.dialects.responses.history_writer import write_conversation, write_reasoning

Object = dict[str, Any]

#: members that the dialect has a word for, and of vLLM's own members the one that switches
#: reasoning
_WORDS = frozenset({"temperature", "top_p", "parallel_tool_calls", "chat_template_kwargs"})
_WORDS_OF_ALL = frozenset({"prompt_cache_key", "safety_identifier"})
#: Moonshot's endpoint takes no choice but "auto"
_NO_CALL = "Answer without calling a tool."
#: included, so that reasoning can come back
SEALED = "reasoning.encrypted_content"


def write_request(request: Request, resolution: Resolution) -> UpstreamRequest:
    """Write a request; raises `InvalidRequest` for what the profile cannot take."""
    profile = resolution.model.profile
    if request.prefill:
        raise no_prefill()
    prepared = prepare(request, _without_force(resolution))
    if prepared.choice is not None and prepared.choice.mode == "none" and profile.moonshot_schema:
        prepared.choice = None
        prepared.instructions.append(_NO_CALL)
        prepared.degraded.append("tool_choice")
    degraded = prepared.degraded
    body: Object = {"model": resolution.model.upstream_model}
    if request.output is not None:
        _write_format(body, request.output, profile, prepared)
    _write_input(body, prepared, resolution)
    if prepared.tools:
        body["tools"] = [_write_tool(tool, profile) for tool in prepared.tools]
    if prepared.choice is not None:
        body["tool_choice"] = _write_choice(prepared.choice)
    write_parameters(body, request, _with_words(resolution), degraded)
    if body.get("max_output_tokens", profile.output_tokens_min) < profile.output_tokens_min:
        body["max_output_tokens"] = profile.output_tokens_min
        degraded.append("max_tokens")
    _switch_reasoning(body, request, resolution)
    body["store"] = False
    if request.stream:
        body["stream"] = True
    return UpstreamRequest(encode(body), request.stream, tuple(dict.fromkeys(degraded)))


def _without_force(resolution: Resolution) -> Resolution:
    """The same with a profile that has no forced tools, where this dialect's endpoint has none."""
    profile = resolution.model.profile
    if not profile.moonshot_schema or profile.forced_tool_refused:
        return resolution
    unforced = replace(profile, forced_tool_refused=True)
    return replace(resolution, model=replace(resolution.model, profile=unforced))


def _with_words(resolution: Resolution) -> Resolution:
    """The same with the parameters that this dialect has words for."""
    profile = resolution.model.profile
    with_efforts = replace(
        profile,
        parameters=(profile.parameters & _WORDS) | _WORDS_OF_ALL,
        max_tokens_member="max_output_tokens",
    )
    return replace(resolution, model=replace(resolution.model, profile=with_efforts))


def _write_input(body: Object, prepared: Prepared, resolution: Resolution) -> None:
    profile = resolution.model.profile
    messages = [*prepared.messages, *map(SystemMessage, prepared.instructions)]
    if profile.instructions_first:
        messages = lead_with_instructions(messages)

    def think(message: AssistantMessage) -> list[Object]:
        if not resolution.reasoning:
            return []
        return write_reasoning(message, resolution.model.upstream, not profile.reasoning_signed)

    system, body["input"] = write_conversation(messages, think)
    if system:
        body["instructions"] = "\n\n".join(system)


def _write_tool(tool: Tool, profile: Profile) -> Object:
    """`strict` is always sent: Responses defaults it to true."""
    written: Object = {"type": "function", "name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["parameters"] = fit_parameters(tool, profile)
    written["strict"] = bool(tool.strict)
    return written


def _write_choice(choice: ToolChoice) -> Any:
    return {"type": "function", "name": choice.name} if choice.mode == "named" else choice.mode


def _write_format(body: Object, output: OutputFormat, profile: Profile, prepared: Prepared) -> None:
    format: Object = {"type": "json_object"}
    if output.kind == "json_schema" and output.schema is not None:
        schema = fit_schema(output.schema, profile)
        format = {"type": "json_schema", "name": output.name, "schema": schema}
        if output.strict is not None:
            format["strict"] = output.strict
    elif profile.moonshot_schema:
        prepared.instructions.append(FREE_JSON)
        prepared.degraded.append("response_format")
        return
    body["text"] = {"format": format}


def switch_off(body: Object, profile: Profile) -> None:
    """Switch reasoning off."""
    body["reasoning"] = {"effort": profile.effort_off or "none"}


def _switch_reasoning(body: Object, request: Request, resolution: Resolution) -> None:
    """Write whether the upstream is to reason, so that what is billed is what runs."""
    profile, on = resolution.model.profile, resolution.reasoning
    if profile.spelling == "chat_template_kwargs":
        write_template(body, request, resolution)
    elif not on and profile.spelling != "none" and not profile.off_is_silent:
        switch_off(body, profile)
    if not on:
        return
    effort = profile.efforts.get(resolution.effort or "")
    if profile.spelling == "reasoning_effort":
        effort = effort or profile.effort_default
    body["reasoning"] = {"effort": effort, "summary": "auto"} if effort else {"summary": "auto"}
    if profile.reasoning_signed:
        body["include"] = [SEALED]
