"""The parts of a Gemini conversation, as they are written.

Source: Gemini API reference, "Content".
"""

from typing import Any

from msgspec import Raw, Struct


class InlineData(Struct, rename="camel"):
    """An image, in base64."""

    mime_type: str
    data: str


class FunctionCall(Struct, rename="camel", omit_defaults=True):
    """A call; older models gave it no id."""

    name: str
    args: Raw | None = None
    id: str | None = None


class FunctionResponse(Struct, rename="camel", omit_defaults=True):
    """The result of the call of the same id."""

    name: str
    response: dict[str, Any]
    id: str | None = None


class GeminiPart(Struct, rename="camel", omit_defaults=True):
    """One of `text`, `inline_data`, `function_call` and `function_response`.

    `thought` marks a text as a summary of the thinking. Any part may carry a signature.
    """

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: InlineData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None


class Content(Struct, rename="camel", omit_defaults=True):
    """One turn, of the `user` or the `model`."""

    role: str | None = None
    parts: list[GeminiPart] | None = None
