"""Logarithmic probabilities of tokens, which both OpenAI dialects spell alike.

Read only where the client asks for them: it is the one thing that the internal events do not carry.
Source: OpenAI API reference, "The chat completion chunk object", `logprobs`.
"""

import msgspec
from msgspec import Raw, Struct


class _Tokens(Struct):
    content: list[Raw] | None = None


class _ChoiceLogprobs(Struct):
    logprobs: _Tokens | None = None


class _Probable(Struct):
    choices: list[_ChoiceLogprobs] | None = None


_PROBABLE = msgspec.json.Decoder(_Probable)


def read_logprobs(data: bytes) -> list[Raw]:
    """The logarithmic probabilities in a chat chunk or answer: both dialects spell them alike."""
    if b'"logprobs"' not in data:
        return []
    try:
        choices = _PROBABLE.decode(data).choices
    except (ValueError, RecursionError):  # another shape is left out
        return []
    tokens = choices[0].logprobs if choices else None
    # Copies: a raw value is a view of the whole message otherwise.
    return [Raw(bytes(token)) for token in tokens.content or ()] if tokens is not None else []
