"""Documents as text: puts the text of each where a request holds the document itself.

Owns how much work a document may be, and what becomes of one that has no text: an error where the
user has just sent it, and a note in its place anywhere else, where the client could not take it
back. Each is read in a process of its own, and remembered, for a conversation sends it every turn.
"""

import asyncio
import binascii
import signal
import sys
from base64 import b64decode
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.core.request import (
    AssistantMessage,
    Document,
    Message,
    Part,
    Request,
    Text,
    ToolMessage,
    UserMessage,
)
from gateway.documents import extract
from gateway.documents.extract import Fault
from gateway.errors import InvalidRequest, Overloaded, TollgateError, UnsupportedParameter

PAGES_MAX = 600
CHARACTERS_MAX = 4_000_000
PROCESSOR_SECONDS = 20
#: with the time for others' work in between
SECONDS_MAX = 60.0
MEMORY_BYTES = 128 * 1024 * 1024
#: documents read at the same time, and those that may wait for it
_AT_ONCE = 2
_WAITING_MAX = 32
#: characters of texts that are remembered, and what each takes beside its own
_REMEMBERED_MAX = 16_000_000
_REMEMBERED_EACH = 1000

# Agent clients know the first words of some of these, and explain them to their user.
_SENTENCES: dict[int, str] = {
    Fault.INVALID: "The PDF specified was not valid.",
    Fault.ENCRYPTED: "The PDF specified is password protected.",
    Fault.TEXTLESS: "The PDF specified has no text; send scanned pages as images.",
    Fault.TOO_MANY_PAGES: f"A maximum of {PAGES_MAX} PDF pages may be provided.",
    Fault.TOO_LARGE: "The PDF specified is too large to be read here.",
}


class Unreadable(Struct, frozen=True):
    """Why a document has no text, as a sentence; another try may help where it is not lasting."""

    sentence: str
    is_lasting: bool = True


_NOT_NOW = Unreadable("The document could not be read now.", is_lasting=False)


class DocumentReader:
    """Reads documents for one replica. Made once; several requests may use it at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._known: OrderedDict[bytes, str | Unreadable] = OrderedDict()
        self._known_size = 0
        self._reading: dict[bytes, asyncio.Task[str | Unreadable]] = {}

    async def fill(self, request: Request) -> None:
        """Replace every `Document` of a request by its text, or by a note, named as degraded.

        Raises `InvalidRequest` and `UnsupportedParameter` for one that the user has just sent and
        that cannot be read, and `Overloaded` where it cannot be read now.
        """
        if not _hold_document(request.messages):
            return
        answered = _last_answer(request.messages)
        messages: list[Message] = []
        for index, message in enumerate(request.messages):
            if isinstance(message, UserMessage | ToolMessage):
                is_new = isinstance(message, UserMessage) and index > answered
                parts: list[Part] = []
                for part in message.parts:
                    if isinstance(part, Document):
                        parts.append(await self._fill(part, is_new, request))
                    else:
                        parts.append(part)
                messages.append(msgspec.structs.replace(message, parts=tuple(parts)))
            else:
                messages.append(message)
        request.messages = tuple(messages)

    async def read(self, data: str) -> str | Unreadable:
        """The text of a PDF in base64."""
        digest = await asyncio.to_thread(_digest, data)
        if digest in self._known:
            self._known.move_to_end(digest)
            return self._known[digest]
        reading = self._reading.get(digest)
        if reading is None and len(self._reading) >= _AT_ONCE + _WAITING_MAX:
            return _NOT_NOW
        if reading is None:
            reading = asyncio.create_task(self._read(digest, data))
            self._reading[digest] = reading
        # Whoever waits may be cancelled; others may wait too, and all is remembered.
        return await asyncio.shield(reading)

    async def _fill(self, document: Document, is_new: bool, request: Request) -> Text:
        if document.problem is not None:
            found: str | Unreadable = Unreadable(document.problem)
        else:
            found = await self.read(document.data)
        if isinstance(found, str):
            return Text(found)
        if is_new:
            raise _error(document, found)
        request.native = None  # what is not read here, nobody else is to fetch
        if "document" not in request.degraded:
            request.degraded.append("document")
        return Text(f"[document omitted: {found.sentence}]")

    async def _read(self, digest: bytes, data: str) -> str | Unreadable:
        try:
            async with self._places:
                found = await _extract(data)
        finally:
            del self._reading[digest]
        if isinstance(found, str) or found.is_lasting:
            self._remember(digest, found)
        return found

    def _remember(self, digest: bytes, found: str | Unreadable) -> None:
        self._known[digest] = found
        self._known_size += _size(found)
        while self._known_size > _REMEMBERED_MAX:
            _, oldest = self._known.popitem(last=False)
            self._known_size -= _size(oldest)


def _hold_document(messages: tuple[Message, ...]) -> bool:
    """Every request pays for this look at all it says: a tenth of a microsecond a message."""
    for message in messages:
        if type(message) is UserMessage or type(message) is ToolMessage:
            for part in message.parts:
                if type(part) is Document:
                    return True
    return False


def _last_answer(messages: tuple[Message, ...]) -> int:
    """The index of the model's last message, -1 where it has not spoken yet."""
    indexes = range(len(messages) - 1, -1, -1)
    return next((i for i in indexes if isinstance(messages[i], AssistantMessage)), -1)


def _error(document: Document, found: Unreadable) -> TollgateError:
    sentence = f"{document.path}: {found.sentence}"
    if not found.is_lasting:
        return Overloaded(sentence, retry_after_seconds=1.0)
    kind = InvalidRequest if document.problem is None else UnsupportedParameter
    return kind(sentence, param=document.path)


def _digest(data: str) -> bytes:
    return sha256(data.encode(errors="replace")).digest()


def _size(found: str | Unreadable) -> int:
    return _REMEMBERED_EACH + (len(found) if isinstance(found, str) else 0)


async def _extract(data: str) -> str | Unreadable:
    try:
        pdf = await asyncio.to_thread(b64decode, data)
    except (binascii.Error, ValueError):
        return Unreadable("The document is not valid base64.")
    try:
        async with asyncio.timeout(SECONDS_MAX):
            status, text = await _run(pdf)
    except (TimeoutError, OSError):
        return _NOT_NOW
    if status == 0:
        return text
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return Unreadable(_SENTENCES[Fault.TOO_LARGE])
    return Unreadable(_SENTENCES.get(status, _SENTENCES[Fault.INVALID]))


async def _run(pdf: bytes) -> tuple[int, str]:
    """Exit status and output of the extraction; it is ended when nobody waits any more."""
    bounds = (MEMORY_BYTES, PROCESSOR_SECONDS, PAGES_MAX, CHARACTERS_MAX)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(Path(extract.__file__)),
        *map(str, bounds),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        output, _ = await process.communicate(pdf)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    status = process.returncode
    assert status is not None, "it has ended"
    return status, output.decode(errors="replace")
