"""A TCP proxy that can lose the answer of whatever is under way."""

import socket
import threading
from contextlib import suppress
from types import TracebackType


class Proxy:
    """Between a gateway and its PostgreSQL. `lose_answers` drops what the server says next."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._losing = threading.Event()
        #: how many connections were cut with an answer on its way
        self.lost = 0
        self._lock = threading.Lock()

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

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target_port))
            for source, sink, guarded in ((client, server, False), (server, client, True)):
                pump = threading.Thread(
                    target=self._pump, args=(source, sink, guarded), daemon=True
                )
                pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, guarded: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if guarded and self._losing.is_set():
                    with self._lock:
                        self.lost += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
