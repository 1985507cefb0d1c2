"""A TCP proxy that can lose answers, and lead to another server."""

import socket
import threading
from contextlib import suppress
from types import TracebackType


class Proxy:
    """Between a gateway and its PostgreSQL. `lose_answers` drops what the server sends next."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._losing = threading.Event()
        #: what is sent whose answer is to be lost, once
        self._awaited: bytes | None = None
        #: how many connections were cut with an answer on its way
        self.lost = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def lose_answers(self, losing: bool) -> None:
        """While on, the server gets every request and the client gets a closed connection."""
        (self._losing.set if losing else self._losing.clear)()

    def lose_the_answer_to(self, sent: bytes) -> None:
        """Of the next connection that sends this, once."""
        with self._lock:
            self._awaited = sent

    def lead_to(self, target_port: int) -> None:
        """Everybody finds another server at this address; connections that there are end."""
        self._target_port = target_port
        with self._lock:
            ending = list(self._open)
        for end in ending:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                client.close()
                continue
            loses = threading.Event()
            for source, sink, guarded in ((client, server, False), (server, client, True)):
                pump = threading.Thread(
                    target=self._pump, args=(source, sink, guarded, loses), daemon=True
                )
                pump.start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, guarded: bool, loses: threading.Event
    ) -> None:
        with self._lock:
            self._open.add(source)
        with suppress(OSError):
            while data := source.recv(65536):
                if guarded and self._loses(loses):
                    break
                if not guarded:
                    self._look(data, loses)
                sink.sendall(data)
        with self._lock:
            self._open.discard(source)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _look(self, data: bytes, loses: threading.Event) -> None:
        with self._lock:
            if self._awaited is not None and self._awaited in data:
                self._awaited = None
                loses.set()

    def _loses(self, loses: threading.Event) -> bool:
        with self._lock:
            if not loses.is_set() and not self._losing.is_set():
                return False
            self.lost += 1
            return True
