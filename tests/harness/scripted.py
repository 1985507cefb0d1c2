"""A provider of Chat Completions that answers as a test writes it, however odd that is, and keeps
what it was asked. What the simulated upstream can do, it does."""

import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Object = dict[str, Any]
_IDENTITY = {"id": "chatcmpl-1", "created": 1_767_225_600, "model": "scripted"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


class ScriptedUpstream:
    """Answers every request with the newest script."""

    def __init__(self) -> None:
        #: what was asked, oldest first
        self.bodies: list[Object] = []
        #: so many requests to come get no answer until the gateway hangs up
        self.silences = 0
        self._whole = b""
        self._stream = b""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(
        self, message: Any, deltas: Iterable[Any], finish: Any = "stop", usage: Any = USAGE
    ) -> None:
        """Answer with one choice: a message, in a stream what it is made of."""
        choice = {"index": 0, "message": message, "finish_reason": finish}
        self.send({**_IDENTITY, "object": "chat.completion", "choices": [choice], "usage": usage})
        pieces = [*({"delta": delta, "finish_reason": None} for delta in deltas)]
        pieces.append({"delta": {}, "finish_reason": finish})
        chunks = [{"choices": [{"index": 0, **piece}]} for piece in pieces]
        chunk = {**_IDENTITY, "object": "chat.completion.chunk"}
        self.stream(
            [*({**chunk, **one} for one in chunks), {**chunk, "choices": [], "usage": usage}]
        )

    def send(self, document: Any) -> None:
        """Answer a request without `stream` so."""
        self._whole = json.dumps(document).encode()

    def stream(self, events: Iterable[Any]) -> None:
        """Answer a request with `stream` by these events, and `[DONE]`."""
        datas = [*map(json.dumps, events), "[DONE]"]
        self._stream = "".join(f"data: {data}\n\n" for data in datas).encode()

    def _handler(scripted) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # the class has its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                scripted.bodies.append(body)
                if scripted.silences:
                    scripted.silences -= 1
                    self.close_connection = not self.rfile.read(1)
                    return
                streams = body.get("stream") or ":stream" in self.path  # as Gemini asks for it
                data = scripted._stream if streams else scripted._whole
                kind = "text/event-stream" if streams else "application/json"
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Nothing: the standard error is the tests'."""

        return Handler
