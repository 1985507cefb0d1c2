"""The observer on the way to the upstream: its part of each request, and its whole answers.

It reads what passes a link. A connection carries one request at a time, so an answer is that of the
last mark that was sent.
"""

import re

from tests.chaos.records import MARK

#: an upstream's words that end an answer, in each dialect, streamed and whole
_LAST_WORDS = re.compile(
    rb'"finish_reason": ?"|"stop_reason": ?"|response\.(?:completed|incomplete)'
    rb'|"status": ?"(?:completed|incomplete)"'
)
#: the usage that an upstream of chat reports
_USAGE = re.compile(rb'"prompt_tokens": ?(\d+), ?"completion_tokens": ?(\d+)[,}]')
#: what is looked for may be cut by two reads
_OVERLAP_BYTES = 80


class UpstreamObserver:
    """Of all links to upstreams."""

    def __init__(self) -> None:
        #: numbers of the requests of which an upstream got something
        self.dispatched: set[int] = set()
        #: of those that it answered in part or wholly, and to the end
        self.begun: set[int] = set()
        self.answered: set[int] = set()
        #: by number the tokens of prompt and answer that an upstream reported, where they were seen
        self.usage: dict[int, tuple[int, int]] = {}
        self._numbers: dict[object, int] = {}
        self._tails: dict[tuple[object, bool], bytes] = {}

    def sent(self, connection: object, data: bytes) -> None:
        for number in MARK.findall(self._with_tail(connection, True, data)):
            self._numbers[connection] = int(number)
            self.dispatched.add(int(number))

    def received(self, connection: object, data: bytes) -> None:
        """An upstream answered something."""
        number = self._numbers.get(connection)
        if number is None:
            return
        self.begun.add(number)
        seen = self._with_tail(connection, False, data)
        if _LAST_WORDS.search(seen):
            self.answered.add(number)
        for prompt, answer in _USAGE.findall(seen):
            self.usage[number] = (int(prompt), int(answer))

    def ended(self, connection: object) -> None:
        self._numbers.pop(connection, None)
        self._tails.pop((connection, True), None)
        self._tails.pop((connection, False), None)

    def _with_tail(self, connection: object, is_sent: bool, data: bytes) -> bytes:
        """The lines behind the end of those that were read before."""
        joined = self._tails.get((connection, is_sent), b"") + data
        self._tails[connection, is_sent] = joined[-_OVERLAP_BYTES:]
        return joined
