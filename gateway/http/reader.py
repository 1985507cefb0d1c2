"""A client's bytes, read as one request after the other, and never further than one.

    bytes ─▶ pieces ─▶ parser ─▶ begin ─▶ take … ─▶ take_end
               └─ a piece ends where a head or a body does, so never with the beginning of what
                  follows; that stays unread until it is asked for

Owns HTTP's definition of a request, and bounds all of it that is no body. A head that can be read
in two ways is refused, since a proxy before the gateway may have read it in the other way. Trailers
are dropped, offers to speak another protocol ignored.

Sources: RFC 9110, sections 7.2 and 7.8; RFC 9112, sections 2.2, 3.2, 6 and 7.1.
"""

import re
from collections.abc import Callable
from typing import Any, Protocol

import httptools

from gateway.http.connection_admission import Reason

#: of a request's line and headers; and of what stands between two pieces of a body in chunks
HEAD_BYTES_MAX = 64 * 1024
HEADERS_MAX = 200
PARAMETERS_MAX = 200
#: an empty line within a body in chunks counts as so many beside it, for it costs as much to read
EMPTY_LINE_BYTES = 1024
#: bytes beside a body in chunks that each of its bytes pays for: a chunk of one byte has five
_ASIDE_BYTES_PER_BYTE = 8

_END_OF_LINES = b"\r\n\r\n"
#: nothing but a path, as nearly all are
_PLAIN_TARGET = re.compile(rb"(/[\w.-]+)+")
#: RFC 9112, section 3.2.2: a server takes a whole URL, too
_ORIGIN = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
#: a name, an IPv4 or an IPv6 address, and a port: RFC 3986, section 3.2.2
_HOST = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?[ \t]*", re.ASCII)
_SPACE = b" \t"


class RequestRefused(Exception):
    """The bytes are no request, or none that is taken; `reason` is the metric's."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason: Reason = reason


class MalformedRequest(RequestRefused):
    """It is not HTTP, or not in one way only."""

    def __init__(self, why: str) -> None:
        super().__init__("malformed", why)


class BodySink(Protocol):
    """The receiver of the body of one request."""

    def take(self, body: bytes) -> None:
        """A piece of it."""

    def take_end(self) -> None:
        """The request is whole."""


class RequestReader:
    """The requests of one connection. The attributes without an underscore are the last head's.

    The methods named `on_…` are the parser's.
    """

    def __init__(self, begin: Callable[[], BodySink]) -> None:
        #: called when a head is whole
        self._begin: Any = begin
        self._body: BodySink
        self._parser: Any = httptools.HttpRequestParser(self)
        #: the end of what was read, where it may be a part of the end of lines
        self._tail = b""
        self._body_bytes = 0
        #: the last host and target that were right: a connection's requests have the same
        self._host: bytes | None = None
        self._target: bytes | None = None
        #: the first value of each name, once the head is whole
        self.named: dict[bytes, bytes]
        self.next()

    def next(self) -> None:
        """Read another request."""
        self.is_in_head = True
        #: set once the request is all here; no more is read then
        self.is_whole = False
        #: bytes of the head so far, with empty lines before it
        self.head_bytes = 0
        self.headers: list[tuple[bytes, bytes]] = []
        #: until the head is whole, all of the target
        self.path = self.query = b""
        self.expects_continue = self._has_offer = self._in_chunks = False
        #: bytes of the body still to come, where its length is known
        self._left = 0
        #: bytes beside the body, less what it paid for
        self._aside = 0

    def close(self) -> None:
        """Drop the references to its owners, or else a garbage collection has to find the cycle."""
        self._parser = self._begin = None

    def feed(self, data: bytes, start: int) -> int:
        """Read up to the request's end; the number of bytes behind it, which are left.

        Raises `RequestRefused`, and then nothing more may be fed.
        """
        size = len(data)
        while start < size and not self.is_whole:
            if self.is_in_head:
                end = self._end_of_lines(data, start)
                self.head_bytes += end - start
                if self.head_bytes > HEAD_BYTES_MAX:
                    raise RequestRefused("head_size", f"a head of more than {HEAD_BYTES_MAX} bytes")
                self._parse(data if end - start == size else data[start:end])
                if self.is_in_head and len(self.headers) > HEADERS_MAX:
                    raise _too_many_lines()
            elif self._in_chunks:
                end = self._end_of_lines(data, start)
                before = self._body_bytes
                self._parse(data if end - start == size else data[start:end])
                size_aside = end - start
                if end < size and not self.is_whole:  # an empty line that ends nothing
                    size_aside += EMPTY_LINE_BYTES
                self._count_aside(size_aside, self._body_bytes - before)
            else:
                end = min(size, start + self._left)
                self._left -= end - start
                self._parse(data if end - start == size else data[start:end])
            start = end
        return size - start

    def _split_target(self) -> None:
        """Path and query, both as they were sent: what is spelt in another way is another path."""
        target = self.path
        if target[:1] not in (b"/", b"*"):
            origin = _ORIGIN.match(target)
            if origin is None:
                raise MalformedRequest("a target that is neither a path nor a URL")
            target = target[origin.end() :]
            if target[:1] != b"/":
                target = b"/" + target
        self.path, _, self.query = target.partition(b"?")
        if self.query.count(b"&") >= PARAMETERS_MAX:
            raise RequestRefused("head_size", f"a query of more than {PARAMETERS_MAX} parameters")

    def _end_of_lines(self, data: bytes, start: int) -> int:
        """Behind the next empty line; the end of the data where there is none."""
        if self._tail:
            place = (self._tail + data[start : start + 3]).find(_END_OF_LINES)
            if place >= 0:
                end = start + place + 4 - len(self._tail)
                self._tail = b""
                return end
        place = data.find(_END_OF_LINES, start)
        if place >= 0:
            self._tail = b""
            return place + 4
        self._tail = (self._tail + data[max(start, len(data) - 3) :])[-3:]
        return len(data)

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._ignore_offer()
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None
        except httptools.HttpParserError as error:
            raise MalformedRequest(str(error)) from None

    def _ignore_offer(self) -> None:
        """RFC 9110, section 7.8: a server may ignore an offer to speak another protocol.

        The parser took it for granted, so another one reads the same head without it.
        """
        line = b"%b %b HTTP/%b\r\n" % (self.method, self.path, self.version.encode())
        lines = [b"%b: %b\r\n" % line for line in self.headers if line[0] != b"upgrade"]
        self.next()
        self._parser = httptools.HttpRequestParser(self)
        self._parse(b"".join([line, *lines, b"\r\n"]))

    def _count_aside(self, size: int, body: int) -> None:
        """Sizes of chunks, their extensions and trailers: nobody reads them."""
        self._aside = max(0, self._aside + size - (1 + _ASIDE_BYTES_PER_BYTE) * body)
        if self._aside > HEAD_BYTES_MAX:
            raise MalformedRequest("more beside a body than in it")

    def on_url(self, url: bytes) -> None:
        if not self.is_in_head:
            raise MalformedRequest("a request within another")
        self.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_in_head:  # else a trailer
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        self.method: bytes = parser.get_method()
        self.version: str = parser.get_http_version()
        if self.method == b"CONNECT":
            raise MalformedRequest("a tunnel is asked for")
        if parser.should_upgrade():
            self._has_offer = True
            return
        count = len(self.headers)
        if count > HEADERS_MAX:
            raise _too_many_lines()
        self._decide(count)
        if self.version == "1.1":
            if b"host" not in self.named:
                raise MalformedRequest("not one host")
            self.keep_alive: bool = parser.should_keep_alive()
        elif self.version == "1.0":
            if self._in_chunks:
                raise MalformedRequest("chunks in HTTP 1.0")
            self.keep_alive = self.expects_continue = False
        else:
            raise MalformedRequest("another version of HTTP")
        if self.path != self._target:
            if _PLAIN_TARGET.fullmatch(self.path):
                self._target = self.path
            else:
                self._split_target()
        self._body = self._begin()
        self.is_in_head = False

    def _decide(self, count: int) -> None:
        """Read the headers that decide where the request ends, and which host is meant."""
        self.named = named = dict(reversed(self.headers))
        if len(named) < count:
            self._refuse_doubles()
        if b"host" in named:
            host = named[b"host"]
            if host != self._host and not _HOST.fullmatch(host):
                raise MalformedRequest("not one host")
            self._host = host
        if b"content-length" in named:
            self._left = int(named[b"content-length"])
        if b"transfer-encoding" in named:
            if named[b"transfer-encoding"].strip(_SPACE).lower() != b"chunked":
                raise _not_chunked()
            self._in_chunks = True
        if b"expect" in named:
            self.expects_continue = named[b"expect"].strip(_SPACE).lower() == b"100-continue"

    def _refuse_doubles(self) -> None:
        names = [name for name, _ in self.headers]
        if names.count(b"host") > 1:
            raise MalformedRequest("not one host")
        if names.count(b"transfer-encoding") > 1:
            raise _not_chunked()

    def on_body(self, body: bytes) -> None:
        if self._in_chunks:
            self._body_bytes += len(body)
        self._body.take(body)

    def on_message_complete(self) -> None:
        if not self._has_offer:
            self.is_whole = True
            self._body.take_end()


def _not_chunked() -> MalformedRequest:
    return MalformedRequest("another coding than chunked")


def _too_many_lines() -> RequestRefused:
    return RequestRefused("head_size", f"a head of more than {HEADERS_MAX} lines")
