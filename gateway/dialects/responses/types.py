"""A client's request for a response, as far as this gateway reads it.

Members that nothing here depends on are not named, so they can hold anything. Items, content parts
and tools arrive as plain objects first, because their kinds are an open set: each kind that is
known has its struct here. Source: OpenAI API reference, "Create a model response".
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.dialects.values import MESSAGES_MAX, PARTS_MAX, TOOLS_MAX

Object = dict[str, Any]
Tools = Annotated[list[Object], Meta(max_length=TOOLS_MAX)]


class ReasoningOptions(Struct, frozen=True):
    """`effort` other than `none` asks for reasoning; `summary` only for its visibility."""

    effort: str | None = None
    summary: str | None = None


class TextFormat(Struct, frozen=True):
    """Flat, other than in the chat dialect."""

    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema: Object | None = None
    strict: bool | None = None


class TextOptions(Struct, frozen=True):
    """Structured output, and a verbosity that no upstream knows."""

    format: TextFormat | None = None
    verbosity: str | None = None


class ResponsesBody(Struct, frozen=True, kw_only=True):
    """The body of `POST /responses`."""

    model: str
    input: str | Annotated[list[Object], Meta(max_length=MESSAGES_MAX)] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    background: bool | None = None
    store: bool | None = None
    stream: bool | None = None
    include: list[str] | None = None
    tools: Tools | None = None
    tool_choice: str | Object | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    metadata: Object | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class MessageItem(Struct, frozen=True):
    """A message; its `type` may be absent. `content` is text or parts, `phase` an assistant's."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | Annotated[list[Object], Meta(max_length=PARTS_MAX)] | None = None
    phase: str | None = None


class TextPiece(Struct, frozen=True):
    """One piece of a reasoning item's content or summary."""

    text: str = ""


class ReasoningItem(Struct, frozen=True):
    """Reasoning of an earlier turn, in up to three spellings."""

    summary: list[TextPiece] | None = None
    content: list[TextPiece] | None = None
    encrypted_content: str | None = None


class CallItem(Struct, frozen=True):
    """A call of any kind. Which of the last six members is there depends on the kind."""

    call_id: str | None = None
    id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    input: str | None = None
    action: Object | None = None
    operation: Object | None = None
    execution: str | None = None


class CallOutputItem(Struct, frozen=True):
    """The result of a call of any kind."""

    call_id: str | None = None
    id: str | None = None
    output: str | list[Any] | Object | None = None
    status: str | None = None
    tools: Tools | None = None
    execution: str | None = None


class ResponsesTool(Struct, frozen=True):
    """A tool of any kind that this gateway can serve."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: Object | None = None
    strict: bool | None = None
    format: Object | None = None
    tools: Tools | None = None


class ChoiceParam(Struct, frozen=True):
    """A `tool_choice` that is an object."""

    type: str
    name: str | None = None
    namespace: str | None = None
    mode: Literal["none", "auto", "required"] = "auto"
    tools: Tools = []


class InputPart(Struct, frozen=True):
    """One content part of any kind."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
