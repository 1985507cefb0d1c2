"""The client's names of tools put back into an upstream's chunks and completions, without decoding.

A name that the upstream got is followed by a quotation mark and stands behind `"name":`, which no
text in JSON can hold: its own quotation marks are escaped.
"""

import re
from collections.abc import Mapping

import msgspec

#: a name as the upstream got it: those of the client's that have this form were not cut
_CALL = re.compile(rb'("name"\s*:\s*)"([a-zA-Z0-9_-]{1,64})"')


class CallNames:
    """The names of one request: the client's by those that were sent.

    Made for each answer, and there may be thousands of them: so nothing is made of them before one
    comes back.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def restore(self, data: bytes) -> bytes:
        """A chunk or a completion with the client's names."""
        return _CALL.sub(self._restore_one, data)

    def _restore_one(self, found: re.Match[bytes]) -> bytes:
        name = self._names.get(found[2].decode())
        return found[0] if name is None else found[1] + msgspec.json.encode(name)
