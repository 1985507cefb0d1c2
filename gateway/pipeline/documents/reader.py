"""Documents as text: puts the text of each where a request holds the document itself.

Owns the bounds of the work for a document. A document without text is an error in the user's newest
message; in older messages, which the client can no longer change, a note takes its place. Each is
read in a process of its own, and remembered, for a conversation sends it every turn.
"""

import asyncio
import binascii
import signal
import sys
import time
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.core.concurrency.places import FairSemaphore
from gateway.core.concurrency.single_flight import SingleFlight
from gateway.core.errors import (
    FaregateError,
    InvalidRequest,
    Overloaded,
    RateLimited,
    UnsupportedParameter,
)
from gateway.core.request import (
    AssistantMessage,
    DocumentPart,
    Message,
    Part,
    Request,
    TextPart,
    ToolMessage,
    UserMessage,
)
from gateway.core.shares import Holder
from gateway.pipeline.documents import extract
from gateway.pipeline.documents.extract import Fault
from gateway.pipeline.documents.memory import TextCache

PAGES_MAX = 600
CHARACTERS_MAX = 4_000_000
#: of one request
DOCUMENTS_MAX = 100
TOTAL_CHARACTERS_MAX = 8_000_000
PROCESSOR_SECONDS = 20
#: with the time for others' work in between
SECONDS_MAX = 60.0
MEMORY_BYTES = 128 * 1024 * 1024
#: documents read at the same time, those that may wait for it, and for how long
AT_ONCE = 2
WAITING_MAX = 32
_WAITING_SECONDS_MAX = 120.0
#: characters of texts that are remembered, and what each takes beside its own
REMEMBERED_MAX = 16_000_000
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
    """Why a document has no text, as a sentence; another try may help where it is not lasting.

    `is_share` means that the account's other documents are the reason.
    """

    sentence: str
    is_lasting: bool = True
    is_share: bool = False


class DocumentAllowance:
    """A bound on the documents of one request: the same one many times counts each time."""

    def __init__(self) -> None:
        self._documents = DOCUMENTS_MAX
        self._characters = TOTAL_CHARACTERS_MAX

    def enter(self, path: str) -> None:
        """Before a document is read. Raises `InvalidRequest` where there are too many."""
        self._documents -= 1
        if self._documents < 0:
            sentence = f"{path}: A maximum of {DOCUMENTS_MAX} documents may be in one request."
            raise InvalidRequest(sentence, param=path)

    def take(self, found: "str | Unreadable", path: str) -> None:
        """Its text, once it is read. Raises `InvalidRequest` where all have too much."""
        self._characters -= len(found) if isinstance(found, str) else 0
        if self._characters < 0:
            sentence = (
                f"{path}: The documents of a request may have {TOTAL_CHARACTERS_MAX:,} characters"
                " of text together."
            )
            raise InvalidRequest(sentence, param=path)


_NOT_NOW = Unreadable("The document could not be read now.", is_lasting=False)
_TOO_MANY = Unreadable("Too many documents at once.", is_lasting=False, is_share=True)


class DocumentReader:
    """Reads documents for one replica. Made once; several requests may use it at a time."""

    def __init__(self) -> None:
        self._places = FairSemaphore("documents", AT_ONCE, WAITING_MAX, _WAITING_SECONDS_MAX)
        self._memory: TextCache[str | Unreadable] = TextCache(REMEMBERED_MAX)
        #: by account and digest: whose place a reading takes must not depend on others
        self._reading: SingleFlight[tuple[str, bytes], str | Unreadable] = SingleFlight()

    async def fill(self, request: Request, holder: Holder) -> None:
        """Replace every `DocumentPart` of a request by its text, or by a note, named as degraded.

        Raises `InvalidRequest` and `UnsupportedParameter` for one that the user has just sent and
        that cannot be read, `Overloaded` where it cannot be read now, and `RateLimited` where the
        account has as many read as may be.
        """
        if not _hold_document(request.messages):
            return
        answered = _last_answer(request.messages)
        room = DocumentAllowance()
        messages: list[Message] = []
        for index, message in enumerate(request.messages):
            if isinstance(message, UserMessage | ToolMessage):
                is_new = isinstance(message, UserMessage) and index > answered
                parts: list[Part] = []
                for part in message.parts:
                    if isinstance(part, DocumentPart):
                        parts.append(await self._fill(part, is_new, request, holder, room))
                    else:
                        parts.append(part)
                messages.append(msgspec.structs.replace(message, parts=tuple(parts)))
            else:
                messages.append(message)
        request.messages = tuple(messages)

    async def read(self, data: str, holder: Holder) -> str | Unreadable:
        """The text of a PDF in base64."""
        digest = await asyncio.to_thread(_digest, data)
        known = self._memory.get(holder, digest, time.monotonic())
        if known is not None:
            return known
        # A caller that waits may be cancelled; others may wait too, and all is remembered.
        return await self._reading.run(
            (holder[1], digest), lambda: self._read(digest, data, holder)
        )

    async def _fill(
        self,
        document: DocumentPart,
        is_new: bool,
        request: Request,
        holder: Holder,
        room: DocumentAllowance,
    ) -> TextPart:
        if document.problem is not None:
            found: str | Unreadable = Unreadable(document.problem)
        else:
            room.enter(document.path)
            found = await self.read(document.data, holder)
            room.take(found, document.path)
        if isinstance(found, str):
            return TextPart(found)
        if is_new:
            raise _error(document, found)
        request.raw = None  # nobody else is to fetch a document that is not read here
        if "document" not in request.degraded:
            request.degraded.append("document")
        return TextPart(f"[document omitted: {found.sentence}]")

    async def _read(self, digest: bytes, data: str, holder: Holder) -> str | Unreadable:
        try:
            async with self._places.acquire(holder):
                found = await _extract(data)
        except RateLimited:
            return _TOO_MANY
        except Overloaded:
            return _NOT_NOW
        if isinstance(found, str) or found.is_lasting:
            self._memory.put(holder, digest, found, _size(found), time.monotonic())
        return found


def _hold_document(messages: tuple[Message, ...]) -> bool:
    """Every request pays for this look at all its messages: a tenth of a microsecond a message."""
    for message in messages:
        if type(message) is UserMessage or type(message) is ToolMessage:
            for part in message.parts:
                if type(part) is DocumentPart:
                    return True
    return False


def _last_answer(messages: tuple[Message, ...]) -> int:
    """The index of the model's last message, -1 where it has not spoken yet."""
    indexes = range(len(messages) - 1, -1, -1)
    return next((i for i in indexes if isinstance(messages[i], AssistantMessage)), -1)


def _error(document: DocumentPart, found: Unreadable) -> FaregateError:
    sentence = f"{document.path}: {found.sentence}"
    if not found.is_lasting:
        return (RateLimited if found.is_share else Overloaded)(sentence, retry_after_seconds=1.0)
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
