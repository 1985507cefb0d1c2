"""HTTP by hand, for what clients do that no client library lets one do: half requests, lying
headers, and a look at the very writes of an answer."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from types import TracebackType

from msgspec import Struct

SECONDS_MAX = 30.0


class Answer(Struct):
    """A whole answer. Header names are in lower case; of repeated ones the last counts."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawConnection:
    """One connection to a gateway; use it in a `with`."""

    def __init__(self, port: int, *, receive_bytes: int | None = None) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(SECONDS_MAX)
        if receive_bytes is not None:  # must be set before connecting
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.connect(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Send; False where the other side has already hung up."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def send_end(self) -> None:
        """Announce that nothing more will be sent."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the other side was quicker

    def has_answer(self, seconds: float) -> bool:
        """True if something comes, or the end, within so many seconds; nothing of it is read."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def receive(self, method: str = "POST") -> Answer | None:
        """The answer; None where the connection ended without a whole one."""
        response = HTTPResponse(self._socket, method=method)
        try:
            response.begin()
            body = response.read()
        except (ConnectionError, ValueError, OSError):
            return None
        finally:
            response.close()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body)

    def receive_line(self) -> str:
        """The next line, such as the status line of an answer."""
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection ended within an answer")
        return line[:-2].decode("latin-1")

    def receive_head(self) -> tuple[int, dict[str, str]]:
        """Status and headers; the body is still to be read, by `receive_chunks`."""
        status = int(self.receive_line().split(" ")[1])
        headers = {}
        while line := self.receive_line():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers

    def receive_bytes(self, size: int) -> bytes:
        """A part of a body whose length is known."""
        return self._file.read(size)

    def receive_write(self) -> bytes:
        """The bytes that came; empty at the end. Do not mix it with the others: they read ahead."""
        return self._socket.recv(64 * 1024)

    def receive_rest(self) -> bytes:
        """Everything up to the connection's end, which must come."""
        return self._file.read()

    def receive_chunks(self) -> Iterator[bytes]:
        """The chunks of a chunked body, one by one as they were written."""
        while size := int(self.receive_line(), 16):
            chunk = self._file.read(size + 2)
            assert chunk.endswith(b"\r\n")
            yield chunk[:-2]
        assert not self.receive_line(), "no trailers follow"


def request_head(method: str, path: str, **headers: str | int) -> bytes:
    """The head of a request; header names are written with `_` for `-`."""
    lines = [f"{method} {path} HTTP/1.1", "host: gateway.test"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def resident_bytes(pid: int) -> int:
    """The memory that a process holds (`VmRSS`)."""
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123  # no file of ours
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no VmRSS")


def wait_steady(read: Callable[[], int], still_seconds: float = 0.5) -> int:
    """The value of a figure once it has stayed the same for so long."""
    deadline = time.monotonic() + SECONDS_MAX
    value, since = read(), time.monotonic()
    while time.monotonic() - since < still_seconds:
        assert time.monotonic() < deadline, "the figure does not settle"
        time.sleep(0.05)
        if (now := read()) != value:
            value, since = now, time.monotonic()
    return value
