"""A request whose model has token prices: its terms, and what it has used so far.

    most ── charged ──▶ frames noted ──▶ usage reported, or counted from the text ──▶ bill

Owns the text that reaches the client until the upstream reports usage, for which a vocabulary
counts where none comes, or none of the prompt or of the text. Must never count on the event loop.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.core.catalog import Resolution
from gateway.core.concurrency.worker_thread import LARGE_BYTES, WorkerThread
from gateway.core.events import CallArguments, Reasoning, Refusal, Text, Usage
from gateway.core.prices import Bill, Terms
from gateway.core.request import ImagePart, Request, ToolMessage, UserMessage
from gateway.core.shares import Holder
from gateway.core.token_bound import bound_prompt
from gateway.core.tokens import TokenCounter
from gateway.dialects.base import Chunk, Completion
from gateway.dialects.chat.answer_stream import ChatAnswer
from gateway.dialects.messages.token_count import counted_of, counting

#: members that hold the text of an answer's pieces, by the client's dialect
_TEXTS = {
    dialect: re.compile(rb'"(?:%b)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"' % names)
    for dialect, names in (
        ("chat", b"content|reasoning_content|refusal|arguments"),
        ("messages", b"text|thinking|partial_json"),
        ("responses", b"(?:delta)"),
        ("embeddings", b""),  # its answers have none
    )
}
#: frames that are kept as they are until their text is taken out of them
_FRAMES_MAX = 64
#: begin and end of a text, which some models of embeddings add to each
_ENDS_TOKENS = 2
#: more text than any answer within a cap has; what follows is not kept
_TEXT_BYTES_MAX = 8 * 1024 * 1024
Feed = Callable[[Chunk], list[bytes]]
_decode_text = msgspec.json.Decoder(str).decode


class Metering:
    """Meters requests for one replica; made once."""

    def __init__(self, counter: TokenCounter, worker_thread: WorkerThread) -> None:
        self._counter = counter
        self._worker_thread = worker_thread

    async def open(
        self, dialect: str, request: Request, resolution: Resolution, body: bytes, holder: Holder
    ) -> "Meter":
        """A meter for a request that is sent as `body`."""
        model = resolution.model
        images = list(_images(request))
        sees_images = any(each.profile.sees_images for each in (model, *model.fallbacks))
        tokens = 0
        if (embedding := request.embedding) is not None:
            # An upstream's body repeats more than the input. Token ids need no bound.
            body = embedding.written if embedding.texts else b""
            tokens = embedding.tokens + _ENDS_TOKENS * embedding.number
        bound = partial(bound_prompt, body, images if sees_images else [])
        tokens += await self._worker_thread.run(holder, len(body), bound)
        # A model that sees images gets all of them; in place of each, another one reads a note.
        shown = {
            each.upstream: len(images) if each.profile.sees_images else 0
            for each in (model, *model.fallbacks)
        }
        terms = Terms(rates=model.price.rates, now=datetime.now(UTC), messages=resolution.price)
        bounds = (tokens, _output_most(request, resolution))
        return Meter(self, terms, bounds, shown, dialect, request, holder)

    async def count(self, portions: Iterator[int], holder: Holder) -> int:
        """The sum of portions, each drawn in the thread."""
        tokens = 0
        while True:
            portion = await self._worker_thread.run(
                holder, LARGE_BYTES, partial(next, portions, None)
            )
            if portion is None:
                return tokens
            tokens += portion

    def counting(self, request: Request) -> Iterator[int]:
        """Tokens of a prompt, in portions; all of the work is done when they are drawn."""
        if request.embedding is not None:
            yield request.embedding.tokens
            yield from self._counter.counting(request.embedding.texts)
            return
        request.read()
        yield from counting(counted_of(request), self._counter)

    def counting_texts(self, texts: Iterable[str]) -> Iterator[int]:
        """Tokens of texts, likewise."""
        yield from self._counter.counting(texts)


class Meter:
    """The most that one request may cost, and its usage so far.

    `bill` is its price once it has one.
    """

    def __init__(
        self,
        metering: Metering,
        terms: Terms,
        bounds: tuple[int, int],
        shown: Mapping[str, int],
        dialect: str,
        request: Request,
        holder: Holder,
    ) -> None:
        """`shown`: the images that each upstream is shown."""
        #: what an earlier charge has paid of it, where this is a retry
        self.covered = 0
        self.bill: Bill | None = None
        self._metering = metering
        self._terms = terms
        self._bounds = bounds
        self._shown = shown
        self._request = request
        self._holder = holder
        self._pattern = _TEXTS[dialect]
        self._frames: list[bytes] = []
        self._texts: list[bytes] = []
        self._text_bytes = 0

    def fix_prices(self) -> int:
        """Have the prices of now count, when it is charged; the most that it can cost."""
        self._terms = terms = replace(self._terms, now=datetime.now(UTC))
        return replace(terms, images=max(self._shown.values())).most(*self._bounds)

    @property
    def has_output_price(self) -> bool:
        """True if a lower cap on its output makes a request cheaper."""
        return bool(self._bounds[1]) and any(rates.output for rates in self._terms.rates)

    def asks(self, upstream: str) -> None:
        """The images that this upstream is shown have their price."""
        self._terms = replace(self._terms, images=self._shown[upstream])

    def noting(self, feed: Feed) -> Feed:
        """The same, where what goes to the client is noted."""

        def feed_and_note(chunk: Chunk) -> list[bytes]:
            frames = feed(chunk)
            self._frames += frames
            if len(self._frames) >= _FRAMES_MAX:
                self._take_texts()
            return frames

        return feed_and_note

    async def measure(self, usage: Usage | None, charged: int) -> Usage:
        """The usage with its credits; counted from the prompt and what was noted where the upstream
        reported none."""
        if usage is None or not usage.output:
            self._take_texts()
        counted = await self._counted(usage, _texts(self._texts))
        return self._priced(counted, charged, counted is not usage)

    async def measure_whole(self, answer: Completion, charged: int) -> Completion:
        """An answer that was not streamed, with the same usage."""
        assert isinstance(answer, Struct), "all are"
        counted = await self._counted(answer.usage, _texts_of(answer))
        priced = self._priced(counted, charged, counted is not answer.usage)
        return replace(answer, usage=priced)

    def _priced(self, usage: Usage, charged: int, is_counted: bool) -> Usage:
        self.bill = bill = self._terms.bill(usage, charged + self.covered, counted=is_counted)
        return replace(usage, credits=max(0, bill.credits - self.covered))

    async def _counted(self, usage: Usage | None, texts: Iterator[str]) -> Usage:
        """The same usage where it has tokens of both; no prompt has none, nor has a text."""
        given = usage or Usage()
        is_whole = given.output or self._request.embedding is not None
        if usage is not None and given.input and is_whole:
            return usage
        metering, holder = self._metering, self._holder
        prompt = given.input or await metering.count(metering.counting(self._request), holder)
        answer = given.output
        if not is_whole:
            answer = await metering.count(metering.counting_texts(texts), holder)
        if usage is not None and (prompt, answer) == (given.input, given.output):
            return usage
        return replace(given, input=prompt, output=answer)

    def _take_texts(self) -> None:
        frames, self._frames = self._frames, []
        if self._text_bytes < _TEXT_BYTES_MAX:
            found = b"".join(self._pattern.findall(b"".join(frames)))
            self._texts.append(found)
            self._text_bytes += len(found)


def _images(request: Request) -> Iterator[str]:
    for message in request.messages:
        if isinstance(message, UserMessage | ToolMessage):
            for part in message.parts:
                if isinstance(part, ImagePart):
                    yield part.url


def _output_most(request: Request, resolution: Resolution) -> int:
    """The tokens that the answer may have: the cap that the upstream is sent, for each choice."""
    if request.embedding is not None:
        return 0
    model = resolution.model
    cap = model.max_output_tokens or 0
    if request.max_tokens is not None:
        least = max(each.profile.output_tokens_min for each in (model, *model.fallbacks))
        cap = max(min(request.max_tokens, cap), least)
    return cap * (request.sampling.n or 1)


def _texts(pieces: Iterable[bytes]) -> Iterator[str]:
    """The text of pieces in JSON's spelling; they are found when it is drawn."""
    joined = b"".join(pieces)
    try:
        yield _decode_text(b'"%b"' % joined)
    except ValueError:  # half a character, where the answer was cut
        yield joined.decode("utf-8", "replace")


def _texts_of(answer: Completion) -> Iterator[str]:
    for choice in answer.choices() if isinstance(answer, ChatAnswer) else (answer,):
        for event in choice.events():
            if isinstance(event, Text | Reasoning | Refusal):
                yield event.text
            elif isinstance(event, CallArguments):
                yield event.fragment
