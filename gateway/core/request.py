"""The request of no dialect: request readers make it, request writers take it.

It holds the client's meaning, not its spelling. A field that no upstream can serve is not here: its
reader maps, drops or refuses it. `Request.degraded` names the dropped ones that the client should
know of.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Raw, Struct


class TextPart(Struct, frozen=True, tag="text"):
    """A piece of text."""

    text: str


class DocumentPart(TextPart, frozen=True, tag="document", kw_only=True):
    """A text that is still inside a document; nobody but the documents' reader meets one.

    `data` is a PDF in base64; where nothing can read it, `problem` is the sentence about it. `path`
    is its place in the client's body.
    """

    path: str
    data: str = ""
    problem: str | None = None


class ImagePart(Struct, frozen=True, tag="image"):
    """An image, always inline: `url` is a `data:` URL. `detail` is low, high or auto."""

    url: str
    detail: str | None = None


Part = TextPart | ImagePart


class ToolCall(Struct, frozen=True):
    """A call the model made. `arguments` is JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class SignedReasoning(Struct, frozen=True, array_like=True):
    """Thinking as an upstream signed it, to be handed back to that upstream unchanged.

    `is_redacted`: it shows nobody its text, and `signature` is its sealed content.
    """

    text: str
    signature: str
    upstream: str
    is_redacted: bool = False


class SystemMessage(Struct, frozen=True, tag="system"):
    """Instructions; may stand anywhere in the conversation."""

    text: str


class UserMessage(Struct, frozen=True, tag="user"):
    """A message of the person's: at least one part."""

    parts: tuple[Part, ...]
    name: str | None = None


class AssistantMessage(Struct, frozen=True, tag="assistant"):
    """A message of the model's. `reasoning` is its raw chain of thought where the client kept it.

    `signed_blocks` is what of it an upstream signed. `phase` is the message's part in an answer of
    several messages, as in `events.MessageStarted`.
    """

    text: str | None = None
    reasoning: str | None = None
    calls: tuple[ToolCall, ...] = ()
    name: str | None = None
    signed_blocks: tuple[SignedReasoning, ...] = ()
    phase: str | None = None


class ToolMessage(Struct, frozen=True, tag="tool"):
    """The result of one call; `parts` may be empty and may hold images."""

    call_id: str
    parts: tuple[Part, ...]
    is_error: bool = False


Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage


class Tool(Struct, frozen=True):
    """A function the model may call. `parameters` is a JSON Schema object."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolChoice(Struct, frozen=True):
    """`named` forces the tool `name`; `required` forces any."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None

    @property
    def is_forced(self) -> bool:
        return self.mode in ("required", "named")


class OutputFormat(Struct, frozen=True):
    """Structured output: free JSON, or JSON of a schema."""

    kind: Literal["json_object", "json_schema"]
    name: str = "response"
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ReasoningChoice(Struct, frozen=True):
    """The client's choice of reasoning: `on` is None when it makes none.

    `is_manual`: it wants Anthropic's manual mode, in which a turn has to begin with thinking.
    """

    on: bool | None = None
    effort: str | None = None
    is_manual: bool = False


class Sampling(Struct, frozen=True):
    """Sampling parameters; None where the client is silent."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class RawBody(Struct):
    """A request as its client wrote it, for an upstream that speaks the client's own dialect.

    `signed_blocks` are those that the body holds sealed, by the sealed text. `betas` are the values
    of the client's `anthropic-beta` headers; None where the route gives none: an
    upstream refuses members whose beta is not named, so Messages cannot be sent then.
    """

    dialect: Literal["messages", "responses"]
    body: bytes
    signed_blocks: dict[str, SignedReasoning]
    betas: tuple[str, ...] | None = None


class Written(Struct, frozen=True):
    """Messages that a chat upstream may get as a chat client wrote them.

    `messages` are ready to be encoded. `call_id_length` is that of the longest id of a call, 0
    without calls; `call_names` are the names of what was called. `read` makes of the body what any
    other upstream needs.
    """

    messages: Sequence[Any]
    call_id_length: int
    call_names: frozenset[str]
    read: Callable[[], tuple[Message, ...]]


class EmbeddingInput(Struct, frozen=True):
    """The input of embeddings: `number` texts, or lists of token ids, with `tokens` in all.

    `written` is all of it as its client wrote it, in JSON. `dimensions` is the wanted length of a
    vector; `is_base64`: vectors are wanted in base64.
    """

    written: bytes
    number: int
    texts: tuple[str, ...] = ()
    tokens: int = 0
    dimensions: int | None = None
    is_base64: bool = False


class Request(Struct):
    """One charged request, in no dialect.

    `model` is the public name as the client sent it. `max_tokens` is the cap on output tokens
    (reasoning included). `prefill` means that the last message is an assistant's to be continued.
    `extra` holds members that only some upstreams know and the profile lets through
    (`chat_template_kwargs`, `guided_json` …) as raw JSON. `raw` is there only where nothing of the
    client's body had to be left out or put right. `tags` are those of the body. With `embedding` it
    asks for vectors, and holds no messages.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputFormat | None = None
    reasoning: ReasoningChoice = ReasoningChoice()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    prefill: bool = False
    cache_key: str | None = None
    safety_identifier: str | None = None
    extra: dict[str, Raw] = {}
    degraded: list[str] = []
    raw: RawBody | None = None
    written: Written | None = None
    tags: dict[str, str] = {}
    embedding: EmbeddingInput | None = None

    def read(self) -> tuple[Message, ...]:
        """The messages, in no dialect."""
        if self.written is not None and not self.messages:
            self.messages = self.written.read()
        return self.messages


def can_think_on(messages: Sequence[Message], upstream: str) -> bool:
    """True if a tool loop that is under way holds thinking which `upstream` signed.

    True where there is no such loop. A user's text beside results does not end a loop.
    """
    index, in_loop = len(messages) - 1, False
    while True:
        while index >= 0 and isinstance(messages[index], UserMessage | SystemMessage):
            index -= 1
        if index < 0 or not isinstance(messages[index], ToolMessage):
            return not in_loop
        while index >= 0 and isinstance(messages[index], ToolMessage):
            index -= 1
        if index >= 0 and isinstance(step := messages[index], AssistantMessage):
            if any(signed_block.upstream == upstream for signed_block in step.signed_blocks):
                return True
            index -= 1
        in_loop = True
