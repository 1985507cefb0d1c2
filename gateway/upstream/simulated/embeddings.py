"""Embeddings of the simulated upstream, in OpenAI's dialect and Gemini's.

A vector follows from its text alone, so the same text has the same one anywhere. `!vectors N` as
the first text makes the answer have so many of them. Sources: OpenAI API reference,
"Create embeddings"; Gemini API reference, "Embeddings".
"""

import base64
import hashlib
import math
import struct
from typing import Any

import msgspec
from msgspec import Struct

from gateway.upstream.simulated.errors import Refused

_LENGTH = 8
_LENGTH_MAX = 4096
_GOOGLES_MAX = 100
_NUMBER = "!vectors "


class Embedding(Struct, frozen=True):
    """The texts to be embedded; lists of token ids as texts of numbers."""

    model: str
    texts: list[str]
    length: int
    is_base64: bool

    @property
    def prompt_tokens(self) -> int:
        return sum(len(text.split()) for text in self.texts)


def read_openai(body: Any) -> Embedding:
    """A request in OpenAI's dialect. Raises `Refused`."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise Refused("you must provide a model parameter")
    given = body.get("input")
    inputs = given if isinstance(given, list) and not _is_tokens(given) else [given]
    texts = [_text_of(each) for each in inputs]
    if not texts or not all(texts):
        raise Refused("'$.input' is invalid.")
    encoding = body.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise Refused("'encoding_format' must be float or base64")
    return Embedding(body["model"], texts, _length(body.get("dimensions")), encoding == "base64")


def read_gemini(model: str, body: Any) -> Embedding:
    """A request in Gemini's dialect. Raises `Refused`."""
    requests = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(requests, list) or not 0 < len(requests) <= _GOOGLES_MAX:
        raise Refused(f"at most {_GOOGLES_MAX} requests can be in one batch")
    texts, length = [], _LENGTH
    for each in requests:
        if each.get("model") != f"models/{model}":
            raise Refused("the model of each request must be that of the path")
        texts.append("".join(part["text"] for part in each["content"]["parts"]))
        length = _length(each.get("outputDimensionality"))
    return Embedding(model, texts, length, is_base64=False)


def render_openai(asked: Embedding) -> bytes:
    """The answer in OpenAI's dialect."""
    data = [
        {"object": "embedding", "index": index, "embedding": _form(vector, asked)}
        for index, vector in enumerate(_vectors(asked))
    ]
    usage = {"prompt_tokens": asked.prompt_tokens, "total_tokens": asked.prompt_tokens}
    return msgspec.json.encode(
        {"object": "list", "data": data, "model": asked.model, "usage": usage}
    )


def render_gemini(asked: Embedding) -> bytes:
    """The answer in Gemini's dialect, which states no usage."""
    return msgspec.json.encode({"embeddings": [{"values": each} for each in _vectors(asked)]})


def vector_of(text: str, length: int = _LENGTH) -> list[float]:
    """The vector of a text: of length one, and of floats of 32 bits."""
    stream = hashlib.shake_256(text.encode("utf-8", "replace")).digest(length)
    numbers = [byte - 127.5 for byte in stream]
    size = math.sqrt(sum(number * number for number in numbers))
    packed = struct.pack(f"<{length}f", *(number / size for number in numbers))
    return list(struct.unpack(f"<{length}f", packed))


def _vectors(asked: Embedding) -> list[list[float]]:
    first, texts = asked.texts[0], asked.texts
    if first.startswith(_NUMBER) and first.removeprefix(_NUMBER).isdigit():
        texts = texts[:1] * int(first.removeprefix(_NUMBER))
    return [vector_of(text, asked.length) for text in texts]


def _form(vector: list[float], asked: Embedding) -> Any:
    if not asked.is_base64:
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _text_of(given: Any) -> str:
    if isinstance(given, str):
        return given
    return " ".join(map(str, given)) if _is_tokens(given) else ""


def _is_tokens(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(isinstance(each, int) for each in given)


def _length(given: Any) -> int:
    if given is None:
        return _LENGTH
    if not isinstance(given, int) or not 0 < given <= _LENGTH_MAX:
        raise Refused(f"dimensions must be between 1 and {_LENGTH_MAX}")
    return given
