"""The models a fleet serves: from the public name a client sends to upstream, profile and price."""

from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.errors import InvalidRequest, ModelNotFound
from gateway.core.patterns import first_match
from gateway.core.prices import Price, read_price
from gateway.core.profile import GENERIC, Profile, profile_of_model
from gateway.core.request import Request, can_think_on
from gateway.core.spec import (
    FallbackSpec,
    GatewayFleetSpec,
    ModelSpec,
    UpstreamDialect,
    UpstreamSpec,
)
from gateway.core.spec_fields import MODEL_CHARACTERS_MAX, SpecError
from gateway.core.upstream_profiles import ALL_PROFILES, profile_of_upstream

#: the dialects of upstreams that have embeddings
EMBEDDING_DIALECTS = frozenset[UpstreamDialect]({"chat", "gemini"})


class Model(Struct, frozen=True):
    """One public model with everything needed to send it on."""

    id: str
    display_name: str
    upstream: str
    upstream_model: str
    profile: Profile
    price: Price
    reasoning_default: bool
    reasoning_forced: bool | None
    context_window: int | None
    max_output_tokens: int | None
    #: the same model elsewhere, in the order in which they are asked
    fallbacks: "tuple[Model, ...]" = ()
    #: the dialect of its upstream
    dialect: UpstreamDialect = "chat"
    #: it makes vectors of texts, and does nothing else
    embeddings: bool = False


class Resolution(Struct, frozen=True):
    """The decision for one request: its model, whether it reasons, how hard, and the price.

    `price` is what it is charged; where its model has token prices, only what is known before.
    """

    model: Model
    reasoning: bool
    effort: str | None
    price: int


class Catalog:
    """Looks models up by public id, then alias, then alias with wildcards."""

    def __init__(self, fleet: GatewayFleetSpec) -> None:
        upstreams = {upstream.name: upstream for upstream in fleet.upstreams}
        self.models = tuple(_model(spec, fleet, upstreams) for spec in fleet.models)
        #: those that are not for embeddings; all where there are only such
        self.chat_models = tuple(each for each in self.models if not each.embeddings) or self.models
        self._names: dict[str, Model] = {}
        self._patterns: list[tuple[str, Model]] = []
        for model in self.models:
            self._add(model.id, model)
        for spec, model in zip(fleet.models, self.models, strict=True):
            for alias in spec.aliases:
                self._add(alias, model)
        self._found = lru_cache(maxsize=1024)(self._find)

    def _add(self, name: str, model: Model) -> None:
        if "*" in name:
            self._patterns.append((name, model))
        elif name in self._names:
            raise SpecError(f"the model name {name!r} is given twice")
        else:
            self._names[name] = model

    def find(self, name: str) -> Model | None:
        """The model that a client means by a name."""
        # A longer one would be compared with every pattern, and its answer be kept with it.
        return self._found(name) if len(name) <= MODEL_CHARACTERS_MAX else None

    def _find(self, name: str) -> Model | None:
        return self._names.get(name) or first_match(self._patterns, name)

    def resolve(self, request: Request) -> Resolution:
        """Decide model, reasoning and price of a request.

        Reasoning is what the profile or the model forces, then the client's choice, then the
        model's default. A forced tool on a family that cannot force while reasoning switches it
        off, and so does thinking that a tool loop has lost. Raises `ModelNotFound`, and
        `InvalidRequest` for embeddings of a model that makes none, or anything else of one that
        makes nothing else.
        """
        model = self.find(request.model)
        if model is None:
            raise ModelNotFound(f"model: {request.model[:256]}", param="model")
        if (request.embedding is not None) != model.embeddings:
            serves = "embeddings only" if model.embeddings else "no embeddings"
            raise InvalidRequest(f"the model {model.id} is for {serves}", param="model")
        reasoning = _reasoning(request, model)
        effort = request.reasoning.effort if reasoning else None
        price = model.price.of(reasoning, request.sampling.n or 1)
        return Resolution(model, reasoning, effort, price)


def fall_back(request: Request, resolution: Resolution, model: Model) -> Resolution | None:
    """The decision for a fallback of the model.

    None where the fallback would reason although the request is not billed so, or the other way
    round.
    """
    if _reasoning(request, model) != resolution.reasoning:
        return None
    return Resolution(model, resolution.reasoning, resolution.effort, resolution.price)


def _reasoning(request: Request, model: Model) -> bool:
    profile = model.profile
    if model.embeddings:
        return False
    if profile.reasoning_forced is not None:
        return profile.reasoning_forced
    if model.reasoning_forced is not None:
        wanted = model.reasoning_forced
    elif request.reasoning.on is not None:
        wanted = request.reasoning.on
    else:
        wanted = model.reasoning_default
    forced_tool = request.tool_choice is not None and request.tool_choice.is_forced
    if forced_tool and profile.forced_tool_stops_reasoning:
        return False
    return wanted and not has_lost_thinking(request, model)


def has_lost_thinking(request: Request, model: Model) -> bool:
    """True if a tool loop cannot think on, because it lacks the thinking that it began with.

    Only manual mode refuses that; in adaptive mode a turn need not begin with thinking. Source:
    Anthropic, "Adaptive thinking", "Validation changes".
    """
    return (
        request.reasoning.is_manual
        and model.dialect == "messages"
        and model.profile.reasoning_signed
        and not can_think_on(request.messages, model.upstream)
    )


def _model(spec: ModelSpec, fleet: GatewayFleetSpec, upstreams: dict[str, UpstreamSpec]) -> Model:
    upstream_model = spec.upstream_model or spec.id
    names = [spec.upstream, *(fallback.upstream for fallback in spec.fallbacks)]
    for name in names:
        if name not in upstreams:
            raise SpecError(f"model {spec.id!r}: there is no upstream {name!r}")
    if len(set(names)) < len(names):
        raise SpecError(f"model {spec.id!r}: one upstream is given twice")
    if spec.embeddings and not {upstreams[name].dialect for name in names} <= EMBEDDING_DIALECTS:
        raise SpecError(f"model {spec.id!r}: embeddings need an upstream of chat or gemini")
    model = Model(
        id=spec.id,
        display_name=spec.display_name or spec.id,
        upstream=spec.upstream,
        upstream_model=upstream_model,
        profile=_profile(spec.id, spec.profile)
        or profile_for(upstream_model, upstreams[spec.upstream].url),
        price=read_price(spec.id, spec.pricing, fleet.pricing, spec.max_output_tokens),
        reasoning_default=spec.reasoning.default == "on",
        reasoning_forced=None if spec.reasoning.force is None else spec.reasoning.force == "on",
        context_window=spec.context_window,
        max_output_tokens=spec.max_output_tokens,
        dialect=upstreams[spec.upstream].dialect,
        embeddings=spec.embeddings,
    )
    fallbacks = tuple(
        _fallback(model, each, upstreams[each.upstream], spec.profile) for each in spec.fallbacks
    )
    return replace(model, fallbacks=fallbacks)


def _fallback(model: Model, spec: FallbackSpec, upstream: UpstreamSpec, named: str | None) -> Model:
    """The model at another upstream; a profile that its spec names goes with it."""
    profile = _profile(model.id, spec.profile)
    if profile is None and spec.upstream_model is None:
        profile = _profile(model.id, named)
    upstream_model = spec.upstream_model or model.upstream_model
    return replace(
        model,
        upstream=spec.upstream,
        dialect=upstream.dialect,
        upstream_model=upstream_model,
        profile=profile or profile_for(upstream_model, upstream.url),
    )


def profile_for(upstream_model: str, url: str) -> Profile:
    """The profile of a model's family, else of its provider, else `generic`."""
    return profile_of_model(upstream_model) or profile_of_upstream(url, upstream_model) or GENERIC


def _profile(model: str, name: str | None) -> Profile | None:
    if name is not None and name not in ALL_PROFILES:
        known = ", ".join(ALL_PROFILES)
        raise SpecError(f"model {model!r}: no profile {name!r}; there are {known}")
    return None if name is None else ALL_PROFILES[name]
