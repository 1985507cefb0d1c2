"""The public model name put into an upstream's JSON without parsing it.

Inside a JSON string every quotation mark is escaped. So the bytes `"model":` are a member's name,
and never a text of a model or a client; after a text that is just `model` there is no colon.
"""

import re

import msgspec

_MEMBER = re.compile(rb'"model"\s*:\s*(?:"(?:[^"\\]|\\.)*"|null)')


class ModelSplice:
    """Replaces the `model` member of one stream's events, remembering how it is spelled."""

    def __init__(self, model: str) -> None:
        self._new = b'"model":' + msgspec.json.encode(model)
        self._old = b'"model":null'

    def replace(self, data: bytes) -> bytes:
        """`data`, a JSON object, with the public name; a missing member is put in front."""
        if self._old in data:
            return data.replace(self._old, self._new, 1)
        found = _MEMBER.search(data)
        if found is None:
            rest = data[1:].lstrip()
            return b"{" + self._new + (b"," if rest[:1] != b"}" else b"") + rest
        self._old = found.group()
        return data[: found.start()] + self._new + data[found.end() :]
