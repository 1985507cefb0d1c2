"""The body of `POST /chat/completions`, typed as far as the gateway reads it.

Unknown members are skipped. Bounds are those of the OpenAI API reference ("Create chat
completion"); members that other servers added (`thinking`, `chat_template_kwargs`, `partial` …)
follow Moonshot's and vLLM's documentation. Bounds that no type has are `request_reader`'s to check.
"""

from typing import Annotated, Any, Generic, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.dialects.values import MESSAGES_MAX, PARTS_MAX, TOOLS_MAX

M = TypeVar("M")

_LARGEST = 2**63 - 1

TokenCount = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]


class ImageURL(Struct, frozen=True):
    """The URL of an image; only `data:` URLs are taken."""

    url: str
    detail: str | None = None


class File(Struct, frozen=True):
    """A file that is sent along, or named; only `data:` URLs in `file_data` are taken."""

    file_data: str | None = None
    filename: str | None = None


class ContentPart(Struct, frozen=True):
    """One part of a message's content; `type` names the member that counts.

    `detail` and what follows are of the Responses API's parts, `content` of a Messages result.
    """

    type: str = "text"
    text: str | None = None
    refusal: str | None = None
    image_url: ImageURL | str | None = None
    file: File | None = None
    detail: str | None = None
    file_data: str | None = None
    filename: str | None = None
    content: Any = None


class Function(Struct, frozen=True):
    """The function of a call. `arguments` should be JSON text; some clients send the object."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CustomCall(Struct, frozen=True):
    """The custom tool that a model called, with its words for it."""

    name: str | None = None
    input: str | None = None


class CallParam(Struct, frozen=True):
    """A tool call in an assistant message."""

    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: CustomCall | None = None
    extra_content: Any = None


class ChatMessage(Struct, frozen=True):
    """A message of any role. The reasoning of earlier turns comes under three names."""

    role: str
    content: (
        str | Annotated[list[str | ContentPart], Meta(max_length=PARTS_MAX)] | dict[str, Any] | None
    ) = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[CallParam], Meta(max_length=PARTS_MAX)] | None = None
    function_call: Function | None = None
    tool_call_id: str | None = None
    partial: bool | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    extra_content: Any = None


class FunctionTool(Struct, frozen=True):
    """A function on offer."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatTool(Struct, frozen=True):
    """A tool on offer; only functions can be served. Flat, it has a function's own members, the
    last of them as Messages names it."""

    type: str = "function"
    function: FunctionTool | None = None
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    input_schema: dict[str, Any] | None = None


class Named(Struct, frozen=True):
    """A function by its name."""

    name: str


class AllowedTool(Struct, frozen=True):
    """An entry of `allowed_tools`; flat, it has the name itself."""

    function: Named | None = None
    name: str | None = None


class AllowedTools(Struct, frozen=True):
    """A choice among some of the tools on offer."""

    mode: str = "auto"
    tools: list[AllowedTool] = []


class Choice(Struct, frozen=True):
    """`tool_choice` in its object form; flat, it has the last three members."""

    type: str = "function"
    function: Named | None = None
    allowed_tools: AllowedTools | None = None
    name: str | None = None
    mode: str = "auto"
    tools: list[AllowedTool] = []


class Schema(Struct, frozen=True):
    """`response_format.json_schema`."""

    name: str = "response"
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True):
    """`response_format`: text, json_object or json_schema.

    The last three members are those of a schema, where engines and some providers have it.
    """

    type: str
    json_schema: Schema | None = None
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class StreamOptions(Struct, frozen=True):
    """`stream_options`; obfuscation is never added."""

    include_usage: bool | None = None


class ChatBody(Struct, Generic[M], frozen=True):
    """The whole body, with messages of one type."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[M], Meta(min_length=1, max_length=MESSAGES_MAX)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    tools: Annotated[list[ChatTool], Meta(max_length=TOOLS_MAX)] | None = None
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[FunctionTool], Meta(max_length=TOOLS_MAX)] | None = None
    function_call: str | Named | None = None
    response_format: ResponseFormat | None = None

    max_completion_tokens: TokenCount | None = None
    max_tokens: TokenCount | None = None
    stop: str | list[str] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=_LARGEST)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Annotated[int, Meta(ge=-_LARGEST, le=_LARGEST)] | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None

    thinking: Any = None
    enable_thinking: bool | None = None
    reasoning: Any = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    continue_final_message: bool | None = None

    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    metadata: Raw | UnsetType = UNSET

    modalities: list[str] | None = None
    audio: Any = None
    web_search_options: Any = None

    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None
    structured_outputs: Any = None
    min_p: Any = None
    min_tokens: Any = None
    repetition_penalty: Any = None
