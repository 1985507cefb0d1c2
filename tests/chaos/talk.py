"""HTTP as a client that goes when it likes: one request, one connection, and what came back."""

import asyncio
import json
import re
import time
from typing import Any

import httptools

from tests.chaos.records import Asked, Got, mark
from tests.harness.dialects import PATHS, body, ended_cleanly, error_of_stream, reasoning

PATIENCE_SECONDS = 60.0
_READ_BYTES = 16 * 1024
_SHOWN_CHARACTERS = 300
#: what stands in a stream when all that a reader would miss has come
_LAST_WORDS = {
    "chat": re.compile(rb'"finish_reason": ?"'),
    "messages": re.compile(rb'"stop_reason": ?"'),
    "responses": re.compile(rb"event: response\.(?:completed|incomplete)\n"),
}
#: and what stands in one when some of its content has come
_CONTENT = {
    "chat": re.compile(rb'"(?:content|reasoning_content|refusal)": ?"[^"]'),
    "messages": re.compile(rb"event: content_block_delta\n"),
    "responses": re.compile(rb"event: response\.[a-z_.]+\.delta\n"),
}


class _Left(Exception):
    """The client goes."""


class Talk:
    """One request on its way. The answer is parsed as it comes."""

    def __init__(self, asked: Asked, port: int, secret: str) -> None:
        self._asked = asked
        self._port = port
        self._secret = secret
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._is_whole = False
        self.got = Got(asked=asked, began=time.time())

    async def run(self) -> Got:
        got = self.got
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                await self._send(writer)
                await self._receive(reader)
        except (_Left, TimeoutError):
            got.left = True
        except (OSError, httptools.HttpParserError) as error:
            got.broken = f"{type(error).__name__}: {error}"
        finally:
            got.ended = time.time()
            if writer is not None:
                writer.transport.abort()
        self._read_answer()
        return got

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        asked = self._asked
        found = body(asked.dialect, f"{mark(asked.number)}\n{asked.script.text}", model=asked.model)
        found |= {"stream": asked.stream, **(reasoning(asked.dialect) if asked.reasons else {})}
        content = json.dumps(found).encode()
        head = (
            f"POST {PATHS[asked.dialect]} HTTP/1.1\r\nhost: gateway.test\r\n"
            f"x-api-key: {self._secret}\r\nidempotency-key: {asked.name}\r\n"
            f"x-stainless-retry-count: {asked.attempt}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
            "connection: close\r\n\r\n"
        ).encode()
        whole = head + content
        upto = {"before": 0, "in the head": len(head) // 2, "in the body": len(head) + 20}
        writer.write(whole[: upto.get(asked.leaves, len(whole))])
        await writer.drain()
        if asked.leaves in upto:
            await asyncio.sleep(asked.leaves_after)
            raise _Left
        self.got.sent = True
        if asked.leaves == "when sent":
            raise _Left

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        asked = self._asked
        loop = asyncio.get_running_loop()
        goes_at = loop.time() + asked.leaves_after if asked.leaves == "after a while" else None
        while not self._is_whole:
            try:
                async with asyncio.timeout_at(goes_at):
                    data = await reader.read(256 if asked.reads_slowly else _READ_BYTES)
            except TimeoutError:
                raise _Left from None
            if not data:
                raise ConnectionError("the connection ended within the answer")
            self._parser.feed_data(data)
            if self.got.status is not None and asked.leaves == "at the headers":
                raise _Left
            if asked.leaves == "in the answer" and len(self._body) > 200 * asked.leaves_after:
                raise _Left
            if asked.leaves == "at the last word" and self._has_finished() and not self._is_whole:
                raise _Left
            if asked.reads_slowly:
                await asyncio.sleep(0.01)

    # what httptools calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.got.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self._is_whole = True

    def _has_finished(self) -> bool:
        words = _LAST_WORDS[self._asked.dialect]
        return self._asked.stream and words.search(self._body) is not None

    def _read_answer(self) -> None:
        got, asked = self.got, self._asked
        got.size = len(self._body)
        got.request_id = self._headers.get("x-request-id")
        charged = self._headers.get("x-credits-charged")
        got.charged = None if charged is None else int(charged)
        if got.status is None:
            return
        text = bytes(self._body).decode(errors="replace")
        seen = _CONTENT[asked.dialect].search(self._body) if asked.stream else self._body.strip()
        got.content = got.status == 200 and bool(seen)
        if got.status != 200:
            got.failed = True
            got.shown = text[:_SHOWN_CHARACTERS]
        elif asked.stream:
            self._read_stream(text)
        elif self._is_whole:
            got.complete = got.finished = _is_json(text)

    def _read_stream(self, text: str) -> None:
        got, dialect = self.got, self._asked.dialect
        whole = text[: text.rfind("\n\n") + 2]  # the last event may be cut
        error: dict[str, Any] | None = error_of_stream(dialect, whole)
        got.failed = error is not None
        got.shown = "" if error is None else json.dumps(error)[:_SHOWN_CHARACTERS]
        got.finished = self._has_finished() and not got.failed
        got.complete = self._is_whole and not got.failed and ended_cleanly(dialect, whole)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
