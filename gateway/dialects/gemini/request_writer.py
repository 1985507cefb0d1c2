"""From the internal request to a Gemini body, by the model's profile.

Owns spelling, and what Gemini has no word for: later instructions, an output format beside tools
where the family refuses it. `adapt` has applied the profile. Must never send a signature to an
upstream that did not make it, or write anything that differs between two equal requests.

Sources: Gemini API reference, "Generating content"; Gemini API, "Function calling", "Thinking",
"Thought signatures" and "Structured output".
"""

from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from gateway.core.catalog import Resolution
from gateway.core.profile import Profile
from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    OutputFormat,
    Part,
    Request,
    SystemMessage,
    Tool,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.adapt.calls import encode_arguments
from gateway.dialects.adapt.parameters import write_parameters
from gateway.dialects.adapt.prepare import (
    Prepared,
    no_content,
    no_prefill,
    prepare,
    written_format,
)
from gateway.dialects.adapt.schema_root import COMBINED, flatten, resolve
from gateway.dialects.adapt.tools import fit_parameters, fit_schema
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.gemini.tables import (
    CALL_PLACE,
    CHOICE_MODES,
    PARAMETERS,
    TEXT_PLACE,
    THOUGHT_PLACE,
)
from gateway.dialects.gemini.types import (
    Content,
    FunctionCall,
    FunctionResponse,
    GeminiPart,
    InlineData,
)
from gateway.dialects.json import encode

Object = dict[str, Any]

_BEGINNING = "(the conversation goes on)"
#: stands for the signature of a call that another made, or whose client lost it
_NO_SIGNATURE = "skip_thought_signature_validator"
#: as much thinking as the model finds right
_AS_NEEDED = -1


def write_request(request: Request, resolution: Resolution) -> UpstreamRequest:
    """Write a request; raises `InvalidRequest` for what the profile cannot take."""
    profile = resolution.model.profile
    if request.prefill:
        raise no_prefill()
    prepared = prepare(request, resolution)
    config = _write_config(request, resolution, prepared)
    system, contents = _Conversation(resolution).write(prepared)
    if not contents:
        raise no_content()
    body: Object = {"contents": contents}
    if system:
        body["systemInstruction"] = Content(parts=system)
    if prepared.tools:
        declared = [_write_tool(tool, profile) for tool in prepared.tools]
        body["tools"] = [{"functionDeclarations": declared}]
        _write_choice(body, prepared)
    if config:
        body["generationConfig"] = config
    verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    return UpstreamRequest(
        encode(body),
        request.stream,
        tuple(dict.fromkeys(prepared.degraded)),
        path=f"/{quote(resolution.model.upstream_model, safe='')}:{verb}",
    )


def _write_config(request: Request, resolution: Resolution, prepared: Prepared) -> Object:
    profile = resolution.model.profile
    narrowed = replace(
        profile,
        parameters=profile.parameters & PARAMETERS.keys(),
        max_tokens_member="max_output_tokens",
    )
    known: Object = {}
    model = replace(resolution.model, profile=narrowed)
    write_parameters(known, request, replace(resolution, model=model), prepared.degraded)
    config = {PARAMETERS[name]: value for name, value in known.items()}
    if request.output is not None:
        _write_format(config, request.output, profile, prepared)
    thinking = _thinking(resolution)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def _thinking(resolution: Resolution) -> Object:
    """State whether to reason, and how hard, so that what is billed is what runs."""
    profile = resolution.model.profile
    if not resolution.reasoning:
        return {} if profile.spelling == "none" else {"thinkingBudget": 0}
    thinking: Object = {"includeThoughts": True}
    level = profile.efforts.get(resolution.effort or "")
    if profile.effort_tokens:
        thinking["thinkingBudget"] = profile.effort_tokens.get(level or "", _AS_NEEDED)
    elif profile.spelling == "reasoning_effort":
        thinking["thinkingLevel"] = level or profile.effort_default
    return thinking


def _write_format(
    config: Object, output: OutputFormat, profile: Profile, prepared: Prepared
) -> None:
    if prepared.tools and profile.tools_exclude_format:
        prepared.instructions.append(written_format(output))
        prepared.degraded.append("response_format")
        return
    config["responseMimeType"] = "application/json"
    if output.kind != "json_object" and output.schema is not None:
        config["responseJsonSchema"] = fit_schema(output.schema, profile)


def _write_tool(tool: Tool, profile: Profile) -> Object:
    """A function; a schema has properties, and a function without parameters names none."""
    written: Object = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    parameters = resolve(tool.parameters or {})
    if not parameters.get("properties") and not COMBINED.isdisjoint(parameters):
        parameters = flatten(parameters)
    tool = replace(tool, parameters=parameters)
    if parameters.get("properties"):
        written["parametersJsonSchema"] = fit_parameters(tool, profile)
    return written


def _write_choice(body: Object, prepared: Prepared) -> None:
    """The mode; calls that have to fit their schema are checked in one of its own."""
    choice = prepared.choice
    mode = None if choice is None else CHOICE_MODES[choice.mode]
    if mode in (None, "AUTO") and any(tool.strict for tool in prepared.tools):
        mode = "VALIDATED"
    if mode is None:
        return
    calling: Object = {"mode": mode}
    if choice is not None and choice.mode == "named":
        calling["allowedFunctionNames"] = [choice.name]
    body["toolConfig"] = {"functionCallingConfig": calling}


class _Conversation:
    """The turns, which alternate and begin with the user's."""

    def __init__(self, resolution: Resolution) -> None:
        self._upstream = resolution.model.upstream
        self._wants_signatures = resolution.model.profile.reasoning_signed
        self._turns: list[Content] = []
        #: names of the calls by their ids, of the newest message that has any
        self._names: dict[str, str] = {}
        #: signatures of the model's turn under way by their places, until these come
        self._signatures: dict[str, str] = {}

    def write(self, prepared: Prepared) -> tuple[list[GeminiPart], list[Content]]:
        """Return the instructions and the turns; instructions alone are the user's."""
        system: list[GeminiPart] = []
        for message in prepared.messages:
            match message:
                case SystemMessage(text=text) if not self._turns:
                    system.append(GeminiPart(text))
                case SystemMessage(text=text):
                    self._add("user", [GeminiPart(f"<system>\n{text}\n</system>")])
                case UserMessage(parts=parts):
                    self._add("user", [_write_part(part) for part in parts])
                case ToolMessage():
                    self._add("user", [self._write_result(message)])
                case AssistantMessage():
                    self._add("model", self._write_model_turn(message))
        if not self._turns:
            self._add("user", system)
            system = []
        return system + [GeminiPart(text) for text in prepared.instructions], self._turns

    def _add(self, role: str, parts: list[GeminiPart]) -> None:
        turns = self._turns
        if role == "user":
            self._signatures.clear()
        if not turns and role == "model":
            turns.append(Content("user", [GeminiPart(_BEGINNING)]))
        if turns and turns[-1].role == role and turns[-1].parts is not None:
            turns[-1].parts += parts
        elif parts:
            turns.append(Content(role, parts))

    def _write_model_turn(self, message: AssistantMessage) -> list[GeminiPart]:
        """The parts of a message, each with the signature that it had.

        A turn may be several messages, and its signatures stand in any of them: a client that takes
        items in the order of their ends has a call behind what came after it.
        """
        parts: list[GeminiPart] = []
        signatures = self._signatures
        for signed_block in message.signed_blocks:
            if signed_block.upstream != self._upstream:
                continue
            place, _, signature = signed_block.signature.rpartition(" ")
            if place == THOUGHT_PLACE:
                parts.append(GeminiPart(signed_block.text, True, signature))
            else:
                signatures[place] = signature
        if message.text:
            parts.append(GeminiPart(message.text, None, signatures.pop(TEXT_PLACE, None)))
        elif TEXT_PLACE in signatures:
            self._sign_last_text(signatures.pop(TEXT_PLACE))
        self._names = {call.id: call.name for call in message.calls}
        for index, call in enumerate(message.calls):
            signature = signatures.pop(CALL_PLACE + call.id, "")
            if not signature and not index and self._wants_signatures:
                signature = _NO_SIGNATURE
            made = FunctionCall(call.name, encode_arguments(call.arguments), call.id)
            parts.append(GeminiPart(thought_signature=signature or None, function_call=made))
        return parts

    def _sign_last_text(self, signature: str) -> None:
        """Sign the text of an earlier message of the turn."""
        turn = self._turns[-1] if self._turns else Content()
        for part in reversed(turn.parts or () if turn.role == "model" else ()):
            if part.text and not part.thought:
                part.thought_signature = part.thought_signature or signature
                return

    def _write_result(self, message: ToolMessage) -> GeminiPart:
        output = "\n".join(part.text for part in message.parts if not isinstance(part, ImagePart))
        name = self._names[message.call_id]
        result = FunctionResponse(name, {"output": output}, message.call_id)
        return GeminiPart(function_response=result)


def _write_part(part: Part) -> GeminiPart:
    if not isinstance(part, ImagePart):
        return GeminiPart(part.text)
    head, _, data = part.url.partition(",")
    media_type = head.removeprefix("data:").partition(";")[0]
    return GeminiPart(inline_data=InlineData(media_type or "image/png", data))
