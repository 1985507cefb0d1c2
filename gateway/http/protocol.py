"""One client's connection: what it may take, in bytes and in time, and one request after the other.

    bytes ─▶ RequestReader ─▶ Cycle ─▶ the ASGI application
      └─ what comes before its turn waits unread, and the socket with it

Owns the limits of what costs no key: a head's time, silence, the time for reading an answer. And it
has what ASGI leaves out: a request is notified when its connection is lost, where ASGI's own way, a
task that waits for `http.disconnect`, costs a task a request.

Source: RFC 9112, section 9.
"""

import asyncio
import fcntl
import struct
import termios
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from gateway.http.connection_admission import ConnectionAdmission, Reason, peer_of
from gateway.http.cycle import Cycle
from gateway.http.reader import RequestReader, RequestRefused
from gateway.pipeline.connection import CYCLE, NAMED, Scope

#: of answers that wait for the system to take them, after which there are no more until it has
UNREAD_BYTES_MAX = 16 * 1024
#: of what comes before its turn, after which the socket is left alone; before, an end is noticed
_AHEAD_BYTES_MAX = 16 * 1024
#: for what is left of the body of a request that is answered
REST_SECONDS = 10.0
#: for a client to see its last answer while it still sends, and how much of that is thrown away
_PART_SECONDS = 2.0
_PART_BYTES_MAX = 256 * 1024


def _last_answer(status: int, body: bytes = b"") -> bytes:
    head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body)
    return STATUS_LINE[status] + head + b"connection: close\r\n\r\n" + body


_LAST_ANSWERS: dict[Reason, bytes] = {
    "malformed": _last_answer(400, b"Invalid HTTP request received."),
    "head_size": _last_answer(431),
    "head_time": _last_answer(408),
    "full": _last_answer(503),
    "peer": _last_answer(503),
}


class ClientProtocol(asyncio.Protocol):
    """One connection, with one request under way at a time."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        admission: ConnectionAdmission | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.loop = _loop or asyncio.get_event_loop()
        self.server_state = server_state
        self.tasks = server_state.tasks
        self.transport: asyncio.Transport
        self.flow: FlowControl
        self.cycle: Cycle | None = None
        self.is_slow = False
        #: the server's own headers, and the same as lines; it makes new ones each second
        self.own_headers: list[tuple[bytes, bytes]] = []
        self.own_lines = b""
        self._app = config.loaded_app
        self._asgi = {"version": config.asgi_version, "spec_version": "2.3"}
        self._admission = admission or ConnectionAdmission()
        self._limits = self._admission.limits
        self._idle_seconds = config.timeout_keep_alive
        self._reader = RequestReader(self._begin)
        #: the last path, as text: a connection's requests have the same
        self._raw_path, self._path = b"", ""
        #: set once it was let in, and once nothing more of it is read
        self._is_in = self._is_over = False
        #: the bytes that came before their turn, and their beginning
        self._ahead = b""
        self._ahead_start = 0
        #: bytes that the port counts as kept for this connection
        self._kept = 0
        self._thrown_away = 0
        #: when the connection ends unless it has got on; 0 while that is its request's affair
        self._deadline = 0.0
        self._unread = 0
        self._unread_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    # the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one only in shape
        self.flow = FlowControl(self.transport)
        self._server = get_local_addr(self.transport)
        self._client = get_remote_addr(self.transport)
        self._peer = peer_of(self._client[0]) if self._client else "this machine"
        refused = self._admission.enter(self._peer)
        if refused is not None:
            self._refuse(refused, "there are as many connections as may be")
            return
        self._is_in = True
        self.transport.set_write_buffer_limits(UNREAD_BYTES_MAX)
        if self._admission.open > self._limits.connections:
            self._make_room()
        cast("set[ClientProtocol]", self.server_state.connections).add(self)
        self._deadline = self.loop.time() + self._limits.head_seconds
        self._look_later()

    def _make_room(self) -> None:
        """Let the connection go that has waited for longest."""
        others = cast("set[ClientProtocol]", self.server_state.connections)
        waiting = [each for each in others if each._is_answered and not each._is_over]
        if waiting:
            oldest = min(waiting, key=lambda each: each._deadline)
            oldest._cut("full", "another one needs its place")

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        self._reader.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._is_in:
            cast("set[ClientProtocol]", self.server_state.connections).discard(self)
            self._admission.leave(self._peer)
        self._release()
        if self.cycle is not None:
            self.cycle.disconnect()
            self.cycle = None
        self.flow.resume_writing()

    def pause_writing(self) -> None:
        self.is_slow = True
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.is_slow = False
        self.flow.resume_writing()
        if self._reader.is_whole and self._is_answered and not self._is_over:
            self.go_on()

    def data_received(self, data: bytes) -> None:
        if not self._is_over:
            self._feed(data, 0)
            return
        self._thrown_away += len(data)
        if self._thrown_away > _PART_BYTES_MAX:
            self.transport.abort()

    def _feed(self, data: bytes, start: int) -> None:
        reader = self._reader
        try:
            left = reader.feed(data, start)
        except RequestRefused as refused:
            self._refuse(refused.reason, str(refused))
            return
        if left:
            self._wait_with(data, len(data) - left)
        elif reader.is_in_head and reader.head_bytes:
            self._await_head()

    def _await_head(self) -> None:
        """A part of a head is here."""
        new = self._reader.head_bytes - self._kept
        if not self._admission.keep(new):
            self._refuse("full", "too many heads that do not end")
            return
        if not self._kept and self.cycle is not None:
            self._deadline = self.loop.time() + self._limits.head_seconds
        self._kept += new

    def _wait_with(self, data: bytes, start: int) -> None:
        """Keep what came before its turn; not much more is read until then."""
        if self._ahead:
            data, start = self._ahead[self._ahead_start :] + data[start:], 0
            self._release()
        if len(data) - start > _AHEAD_BYTES_MAX:
            self.flow.pause_reading()
        if self._admission.keep(len(data)):
            self._kept = len(data)
            self._ahead, self._ahead_start = data, start
        else:
            self._cut("full", "too much was sent before its turn")

    def _release(self) -> None:
        if self._kept:
            self._admission.release(self._kept)
            self._kept = 0

    def _begin(self) -> Cycle:
        """A head is whole."""
        reader = self._reader
        cycle = Cycle(
            self, reader.method, reader.version, reader.keep_alive, reader.expects_continue
        )
        if reader.path != self._raw_path:
            self._raw_path, self._path = reader.path, reader.path.decode("ascii")
        scope: Scope = {
            "type": "http",
            "asgi": self._asgi,
            "http_version": reader.version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "method": "POST" if reader.method == b"POST" else reader.method.decode("ascii"),
            "root_path": "",
            "path": self._path,
            "raw_path": reader.path,
            "query_string": reader.query,
            "headers": reader.headers,
            NAMED: reader.named,
            CYCLE: cycle,
        }
        self._deadline = 0.0
        if self._kept:
            self._release()
        self.cycle = cycle
        # The cycle itself takes it out again: a callback would be one more turn.
        cycle.task = self.loop.create_task(cycle.run_asgi(self._app, scope))
        self.tasks.add(cycle.task)
        return cycle

    # from one request to the next

    def on_response_complete(self, keep_alive: bool) -> None:
        """The answer is written; whether it was read is another question."""
        if self.transport.is_closing():
            return
        if not keep_alive:
            self._part()
        elif self._reader.is_whole:
            self.go_on()
        else:  # the rest of the body is for nobody
            self._deadline = self.loop.time() + REST_SECONDS
            self.flow.resume_reading()

    def go_on(self) -> None:
        """Read the next request, unless the client has yet to read the last answer."""
        if self.is_slow:
            return  # `resume_writing` comes back
        self._reader.next()
        self._deadline = self.loop.time() + self._idle_seconds
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self._ahead:
            data, start = self._ahead, self._ahead_start
            self._ahead = b""
            self._release()
            self._feed(data, start)

    def shutdown(self) -> None:
        """The server is going down: what is under way runs on, nothing follows it."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    # ends

    def _refuse(self, reason: Reason, why: str) -> None:
        """Answer what is no request, unless an answer is under way, and end the connection: what
        follows must not be taken for a request."""
        self._admission.cut(reason, self._peer, why)
        cycle = self.cycle
        is_free = self._reader.is_in_head
        if not is_free and cycle is not None:
            is_free = not cycle.started
            cycle.disconnect()
        if is_free:
            self.transport.write(_LAST_ANSWERS[reason])
        self._part()

    def _part(self) -> None:
        """Close; but a client that still sends would lose its answer by that, and is heard out."""
        is_sending = self._is_in and not self._reader.is_whole
        self._is_over = True
        self._release()
        if not is_sending:
            self.transport.close()
            return
        self._deadline = self.loop.time() + _PART_SECONDS
        self.transport.write_eof()
        self.flow.resume_reading()

    def _cut(self, reason: Reason, why: str) -> None:
        self._admission.cut(reason, self._peer, why)
        self._is_over = True
        self.transport.abort()

    # time

    def _look_later(self) -> None:
        """One timer serves a whole connection; to set one for each request is dearer."""
        limits = self._limits
        seconds = min(limits.head_seconds, self._idle_seconds, limits.unread_seconds) / 2
        if self._deadline:
            seconds = max(0.001, min(seconds, self._deadline - self.loop.time()))
        self._timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        now = self.loop.time()
        if self._is_unread_for_long(now):
            self._cut("unread", "nothing of what waits for it was read")
            return
        if self._deadline and now >= self._deadline:
            if self._reader.is_in_head and self._reader.head_bytes and not self._is_over:
                self._refuse("head_time", f"a head of more than {self._limits.head_seconds:g} s")
            else:
                self._is_over = True
                self._deadline = 0.0
                self.transport.close()  # unread bytes may still be read
        self._look_later()

    def _is_unread_for_long(self, now: float) -> bool:
        left = self.transport.get_write_buffer_size()
        if left:
            left += _unacknowledged(self.transport)
        if left != self._unread:
            self._unread, self._unread_since = left, now
        return left > 0 and now - self._unread_since >= self._limits.unread_seconds


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the system holds for a client that has not taken them."""
    number = transport.get_extra_info("socket").fileno()
    (size,) = struct.unpack("i", fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4)))
    return int(size)
