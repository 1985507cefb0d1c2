"""The events of an answer, of no dialect: answer readers make them, answer writers take them.

    (Reasoning | Signature | MessageStarted | Text | Citation | Refusal | CallStarted |
     CallArguments)*  Finished

Only the first choice is here: no dialect except chat knows of more, and chat answers are passed on
as they are. Deltas are never empty. A `CallArguments` follows the `CallStarted` of its index;
several calls may interleave. A piece of its message's text follows `MessageStarted`. `Signature`
ends the reasoning before it. `Finished` of a chat upstream may come more than once, and content
after it: some servers give a reason to finish in every chunk. `Usage` is no event: a reader keeps
the last that was reported.
"""

from typing import Literal

from msgspec import Struct

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Reasoning(Struct, frozen=True, gc=False):
    """A piece of the chain of thought."""

    text: str


class Signature(Struct, frozen=True, gc=False):
    """The reasoning since the last one is whole, and `upstream` wants it back with `signature`.

    `is_redacted`: it is reasoning of its own, whose text nobody sees.
    """

    signature: str
    upstream: str
    is_redacted: bool = False


class MessageStarted(Struct, frozen=True, gc=False):
    """The text from here on is another message than the text before, or has a phase.

    `phase` is its upstream's word for the message's part in the answer: `commentary`,
    `final_answer`. Source: OpenAI API reference, "Responses", output messages.
    """

    phase: str | None = None


class Text(Struct, frozen=True, gc=False):
    """A piece of the answer."""

    text: str


class Citation(Struct, frozen=True, gc=False):
    """A page that a message's text cites; `start` and `end` are places in that text."""

    url: str
    title: str
    start: int
    end: int


class Refusal(Struct, frozen=True, gc=False):
    """A piece of a refusal."""

    text: str


class CallStarted(Struct, frozen=True, gc=False):
    """A tool call whose id and name are known. `index` orders the calls of one answer from 0."""

    index: int
    id: str
    name: str


class CallArguments(Struct, frozen=True, gc=False):
    """A fragment of a call's JSON arguments."""

    index: int
    fragment: str


class Finished(Struct, frozen=True, gc=False):
    """The reason why the model stopped; `stop_sequence` is the one that matched, where the upstream
    reports it."""

    reason: FinishReason
    stop_sequence: str | None = None


class Usage(Struct, frozen=True, gc=False):
    """Tokens: `input` includes `cached` and `cache_write`, `output` includes `reasoning`.

    `cache_write_hour` is what of `cache_write` is kept for an hour, where a provider reports it.
    `credits` is the price of a request whose model has token prices.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0
    cache_write_hour: int = 0
    credits: int | None = None


Event = (
    Reasoning
    | Signature
    | MessageStarted
    | Text
    | Citation
    | Refusal
    | CallStarted
    | CallArguments
    | Finished
)
