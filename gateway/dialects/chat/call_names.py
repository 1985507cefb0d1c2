"""The client's names of tools put back into an upstream's chunks and completions, without decoding.

A name that the upstream got is followed by a quotation mark and stands behind `"name":`, which no
text in JSON can hold: its own quotation marks are escaped.
"""

import re
from collections.abc import Mapping

import msgspec


class CallNames:
    """The names of one request: the client's by those that were sent."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = {short.encode(): msgspec.json.encode(name) for short, name in names.items()}
        any_name = b"|".join(map(re.escape, self._names))
        self._call = re.compile(rb'("name"\s*:\s*)"(%b)"' % any_name)

    def restore(self, data: bytes) -> bytes:
        """A chunk or a completion with the client's names."""
        return self._call.sub(lambda found: found[1] + self._names[found[2]], data)
