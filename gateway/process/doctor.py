"""A check of the configured upstreams: does each take what the profiles of its models claim?

One small request a feature, sent with the upstream's credential, as a client's would be, and
charged to nobody here: the provider bills a handful of tokens. It runs beside a gateway at work and
touches no database.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.catalog import Catalog, Model, Resolution
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import (
    FaregateError,
    InvalidRequest,
    RequestError,
    UpstreamError,
    UpstreamMisconfigured,
)
from gateway.core.profile import Profile
from gateway.core.request import (
    EmbeddingInput,
    ImagePart,
    OutputFormat,
    ReasoningChoice,
    Request,
    TextPart,
    Tool,
    ToolChoice,
    UserMessage,
)
from gateway.process.settings import Settings, UpstreamOverride, read_proxy
from gateway.process.standalone.applier import Applier
from gateway.process.upstreams import open_upstreams
from gateway.telemetry.metrics import Metrics
from gateway.upstream.registry import Upstreams

_REFUSALS = (RequestError, UpstreamMisconfigured)
#: for everything except reasoning, which needs room to begin
_TOKENS, _REASONING_TOKENS = 1, 2048
_HOLDER = ("doctor", "doctor")
_ONE_WORD = UserMessage((TextPart("Answer with one word."),))
#: one grey pixel
_PIXEL = ImagePart(
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCB"
    "d81ytgAAAABJRU5ErkJggg=="
)
_SCHEMA = {
    "type": "object", "properties": {"word": {"type": "string"}},
    "required": ["word"], "additionalProperties": False,
}  # fmt: skip
_TOOL = Tool("note", "Writes one word down.", _SCHEMA)

Outcome = Literal["works", "refused", "failed"]


class ProbeResult(Struct, frozen=True):
    """The outcome of one feature of a model at one upstream.

    `refused`: the upstream does not take it, so the profile is wrong, or its credential is;
    `failed`: it did not answer, or not to the end. `words` are the provider's, or ours.
    """

    model: str
    upstream: str
    feature: str
    outcome: Outcome
    words: str = ""


async def examine(
    config: Path,
    data: Path,
    settings: Settings,
    override: UpstreamOverride,
    environment: Mapping[str, str],
    report: Callable[[ProbeResult], None],
) -> bool:
    """Probe each model at each of its upstreams; `report` gets each result at once.

    Returns whether all works. Raises `SpecError` for a file with which no gateway could start.
    """
    applier = Applier(data, settings, override, environment, None)
    documents = applier.read(config, strict=False)
    fleet = applier.fleet_of(documents).spec
    credentials = applier.credentials_of(documents)
    catalog = Catalog(fleet)
    all_work = True
    async with AsyncExitStack() as stack:
        upstreams = await open_upstreams(
            stack, fleet, credentials.of, Metrics(), read_proxy(environment)
        )
        for model in catalog.models:
            for candidate in (model, *model.fallbacks):
                patient = _Patient(catalog, model, candidate, upstreams)
                async for result in patient.probe():
                    report(result)
                    all_work = all_work and result.outcome == "works"
    return all_work


def table_line(result: ProbeResult) -> str:
    """One line of the table, in columns."""
    words = f"  {result.words}" if result.words else ""
    return f"{result.model:<24} {result.upstream:<16} {result.feature:<18} {result.outcome}{words}"


class _Patient(Struct, frozen=True):
    """One model at one of its upstreams."""

    catalog: Catalog
    model: Model
    #: the model itself, or a fallback of it
    candidate: Model
    upstreams: Upstreams

    async def probe(self) -> AsyncIterator[ProbeResult]:
        """The result of each feature that the profile claims."""
        if self.model.embeddings:
            written = EmbeddingInput(written=b'"Hello"', number=1, texts=("Hello",))
            request = Request(self.model.id, (), embedding=written)
            yield await self._find("embeddings", self._ask(request))
            return
        for feature, request in _requests(self.model.id, self.candidate.profile):
            yield await self._find(feature, self._ask(request))
        if self.candidate.upstream in self.upstreams.counters:
            yield await self._find("token count", self._count())

    async def _find(self, feature: str, trial: Awaitable[None]) -> ProbeResult:
        outcome: Outcome = "works"
        words = ""
        try:
            await trial
        except FaregateError as error:
            outcome = "refused" if isinstance(error, _REFUSALS) else "failed"
            words = error.message
            if isinstance(error, UpstreamError) and error.upstream_message:
                words = f"{words} It says: {error.upstream_message}"
        return ProbeResult(self.model.id, self.candidate.upstream, feature, outcome, words)

    async def _ask(self, request: Request) -> None:
        """Send a request and read its answer to the end."""
        upstream = self.upstreams.all[self.candidate.upstream]
        outgoing = upstream.prepare(request, self._resolve(request))
        reply = await upstream.send(outgoing, {}, lambda: None)
        try:
            if not request.stream:
                await reply.answer(WorkerThread(), _HOLDER)
                return
            while await reply.read():
                pass
        finally:
            reply.close()

    async def _count(self) -> None:
        upstream = self.upstreams.all[self.candidate.upstream]
        request = Request(self.model.id, (_ONE_WORD,), max_tokens=_TOKENS)
        outgoing = upstream.prepare(request, self._resolve(request))
        if await self.upstreams.counters[self.candidate.upstream].count(outgoing) is None:
            raise InvalidRequest("The upstream counts no tokens at the configured route.")

    def _resolve(self, request: Request) -> Resolution:
        resolution = self.catalog.resolve(request)
        if self.candidate is self.model:
            return resolution
        return replace(resolution, model=self.candidate)


def _requests(model: str, profile: Profile) -> Iterator[tuple[str, Request]]:
    """One request for each feature that the profile claims."""
    plain = Request(model, (_ONE_WORD,), max_tokens=_TOKENS, reasoning=ReasoningChoice(on=False))
    yield "answer", plain
    yield "stream", replace(plain, stream=True)
    yield "tools", replace(plain, tools=(_TOOL,))
    if not profile.forced_tool_refused:
        yield "forced tool", replace(plain, tools=(_TOOL,), tool_choice=ToolChoice("required"))
    if profile.sees_images:
        yield "images", replace(plain, messages=(UserMessage((*_ONE_WORD.parts, _PIXEL)),))
    if profile.reasoning_forced is not False:
        thinking = ReasoningChoice(on=True, effort="low")
        yield "reasoning", replace(plain, reasoning=thinking, max_tokens=_REASONING_TOKENS)
    output = OutputFormat("json_schema", "word", _SCHEMA, strict=True)
    yield "structured output", replace(plain, output=output)
