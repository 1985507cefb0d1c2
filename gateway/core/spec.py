"""The spec models, as `kubectl apply` or the configuration file gives them.

Shapes and bounds are those of `faregate.dev/v1alpha1` in `crds/`; a test compares them. Unknown
fields are ignored here, as the API server prunes them; those of a file are looked for where files
are read. A value out of bounds raises `SpecError` with the path of the field. Rules about two
states of one object (immutability) are not for here.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.core.console_spec import ConsoleSpec
from gateway.core.spec_fields import (
    LABEL_CHARACTERS_MAX,
    Beta,
    ClientUrl,
    Credits,
    FleetName,
    Label,
    ModelName,
    Moment,
    ObjectName,
    PositiveInteger,
    SecretKeyRef,
    SecretSource,
    SpecError,
    SpecPart,
    Url,
    WebhookUrl,
    check_host,
    in_words,
)

API_VERSION = "faregate.dev/v1alpha1"

#: whether a key may infer, or manage and not infer
Scope = Literal["inference", "manage"]
#: the periods in which an allowance comes again
Every = Literal["day", "week", "month"]
#: the dialect of an upstream
UpstreamDialect = Literal["chat", "messages", "responses", "gemini"]
#: the way in which an upstream counts tokens
TokenCounterKind = Literal["estimate", "messages", "gemini"]


class CreditLimits(SpecPart, frozen=True, kw_only=True):
    """Limits in credits: of a UTC day, a UTC month, and for good. Absent means no limit."""

    credits_per_day: Credits | None = None
    credits_per_month: Credits | None = None
    credits: Credits | None = None


class KeyLimits(CreditLimits, frozen=True, kw_only=True):
    """Limits of one API key. Absent means no limit."""

    requests_per_minute: PositiveInteger | None = None
    concurrent_requests: PositiveInteger | None = None


class Rotation(SpecPart, frozen=True, kw_only=True):
    """Raise `generation` to rotate; the old key lives on for `overlap` (`90s`, `10m`, `24h`)."""

    generation: Annotated[int, Meta(ge=0, le=10**9)] = 0
    overlap: Annotated[str, Meta(pattern=r"^[0-9]{1,5}(s|m|h|d)\Z", min_length=2, max_length=6)] = (
        "24h"
    )


class ApiKeySpec(SpecPart, frozen=True, kw_only=True):
    """An API key: exactly one of `secret_name` (generated) and `value_from` (brought along)."""

    account: Label
    fleet: FleetName | None = None
    secret_name: ObjectName | None = None
    value_from: SecretSource | None = None
    scope: Scope = "inference"
    models: Annotated[list[ModelName], Meta(max_length=256)] = msgspec.field(default_factory=list)
    limits: KeyLimits = KeyLimits()
    expires_at: Moment | None = None
    suspended: bool = False
    rotation: Rotation = Rotation()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.secret_name is None) == (self.value_from is None):
            raise ValueError("exactly one of secretName and valueFrom must be given")

    @property
    def day_limit(self) -> int | None:
        """Credits a day; none at all for a key that manages, which is not to be charged by those
        that know no scope either."""
        return 0 if self.scope == "manage" else self.limits.credits_per_day


class AccountSpec(SpecPart, frozen=True, kw_only=True):
    """An account's place among others, and its limits.

    They count its own charges and those of all accounts below it. `child_limits` hold for each
    account right below it that has no such limit of its own.
    """

    account: Label
    parent: Label | None = None
    limits: CreditLimits = CreditLimits()
    child_limits: CreditLimits = CreditLimits()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parent == self.account:
            raise ValueError("an account is not its own parent")


class CreditGrantSpec(SpecPart, frozen=True, kw_only=True):
    """Credits put into an account, once."""

    account: Label
    credits: Annotated[int, Meta(ge=1, le=10**15)]
    reason: Annotated[str, Meta(max_length=256)] = ""
    reference: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    starts_at: Moment | None = None
    expires_at: Moment | None = None
    void: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.starts_at and self.expires_at and self.starts_at >= self.expires_at:
            raise ValueError("startsAt must be before expiresAt")


class CreditAllowanceSpec(SpecPart, frozen=True, kw_only=True):
    """Credits that come again each period, for one account or for all that a pattern names."""

    account: Label | None = None
    accounts: (
        Annotated[str, Meta(pattern=r"^[-a-z0-9*]+\Z", min_length=1, max_length=63)] | None
    ) = None
    credits: Annotated[int, Meta(ge=1, le=10**15)]
    every: Every
    reason: Annotated[str, Meta(max_length=256)] = ""
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    expires: Literal["period", "never"] = "period"
    suspended: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.account is None) == (self.accounts is None):
            raise ValueError("exactly one of account and accounts must be given")
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            raise ValueError("startsAt must be before endsAt")


class TokenPrices(SpecPart, frozen=True, kw_only=True):
    """Credits for a million tokens of each kind, and for an image that is sent."""

    input_credits_per_million_tokens: Credits | None = None
    cached_input_credits_per_million_tokens: Credits | None = None
    cache_write_credits_per_million_tokens: Credits | None = None
    cache_write_hour_credits_per_million_tokens: Credits | None = None
    output_credits_per_million_tokens: Credits | None = None
    per_image: Credits | None = None


class PriceRow(TokenPrices, frozen=True, kw_only=True):
    """Other token prices from a moment on, or for prompts above a size."""

    since: Moment | None = msgspec.field(default=None, name="from")
    above_prompt_tokens: PositiveInteger | None = None


class Pricing(TokenPrices, frozen=True, kw_only=True):
    """Prices in credits; a model may override each. Of `rows`, the last that holds counts."""

    chat_credits_per_message: Credits | None = None
    chat_credits_reasoning_surcharge: Credits | None = None
    rows: Annotated[list[PriceRow], Meta(max_length=16)] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output_credits_per_million_tokens is None and any(
            row.output_credits_per_million_tokens is not None for row in self.rows
        ):
            raise ValueError(
                "a price for output in a row needs one outside the rows, too:"
                " outputCreditsPerMillionTokens"
            )


class CredentialRef(SpecPart, frozen=True, kw_only=True):
    """The credential of an upstream."""

    secret_ref: SecretKeyRef


class UpstreamSpec(SpecPart, frozen=True, kw_only=True):
    """The provider behind a model. `simulated:` as the URL is the simulated upstream."""

    name: Label
    url: Url
    dialect: UpstreamDialect = "chat"
    credential: CredentialRef | None = None
    concurrent_requests: PositiveInteger | None = None
    queue_seconds: Annotated[float, Meta(ge=0, le=600)] = 10.0
    silence_seconds: Annotated[float, Meta(gt=0, le=7200)] | None = None
    circuit_failures: Annotated[int, Meta(ge=0, le=1000)] = 5
    token_counter: TokenCounterKind | None = None
    betas: Annotated[list[Beta], Meta(max_length=64)] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_host("url", self.url)


class ModelReasoning(SpecPart, frozen=True, kw_only=True):
    """`default` is used where the client is silent; `force` beats the client."""

    default: Literal["on", "off"] = "off"
    force: Literal["on", "off"] | None = None


class FallbackSpec(SpecPart, frozen=True, kw_only=True):
    """A fallback, asked where those before it failed; what is unset is as for those before it.

    A profile that is unset follows from its own `upstream_model`, if it has one.
    """

    upstream: Label
    upstream_model: ModelName | None = None
    profile: str | None = None


class ModelSpec(SpecPart, frozen=True, kw_only=True):
    """A public model. `aliases` may hold `*`; `profile` defaults to that of `upstream_model`.

    With `embeddings` it makes vectors of texts, and does nothing else.
    """

    id: ModelName
    aliases: Annotated[list[ModelName], Meta(max_length=64)] = msgspec.field(default_factory=list)
    upstream: Label
    upstream_model: ModelName | None = None
    profile: str | None = None
    fallbacks: Annotated[list[FallbackSpec], Meta(max_length=8)] = msgspec.field(
        default_factory=list
    )
    display_name: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    context_window: PositiveInteger | None = None
    max_output_tokens: PositiveInteger | None = None
    embeddings: bool = False
    reasoning: ModelReasoning = ModelReasoning()
    pricing: Pricing = Pricing()


class FleetLimits(SpecPart, frozen=True, kw_only=True):
    """Limits of one replica. Sizes in bytes, times in seconds."""

    body_bytes: PositiveInteger = 32 * 1024 * 1024
    buffered_bytes: PositiveInteger = 256 * 1024 * 1024
    body_silence_seconds: Annotated[float, Meta(gt=0, le=600)] = 30.0
    body_seconds: Annotated[float, Meta(gt=0, le=7200)] = 300.0
    first_byte_seconds: Annotated[float, Meta(gt=0, le=600)] = 10.0
    keep_alive_seconds: Annotated[float, Meta(gt=0, le=600)] = 15.0
    upstream_connect_seconds: Annotated[float, Meta(gt=0, le=600)] = 10.0
    upstream_silence_seconds: Annotated[float, Meta(gt=0, le=7200)] = 600.0
    upstream_connections: PositiveInteger = 10000
    response_retention_days: Annotated[int, Meta(ge=0, le=3650)] = 30
    response_bytes: PositiveInteger = 1024 * 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.body_bytes > self.buffered_bytes:
            raise ValueError("bufferedBytes must hold at least one body of bodyBytes")


class Drain(SpecPart, frozen=True, kw_only=True):
    """The time that open streams may run on after the replica was asked to stop."""

    seconds: Annotated[float, Meta(ge=0, le=7200)] = 300.0


class WebhookSpec(SpecPart, frozen=True, kw_only=True):
    """The receiver of messages about limits, and the secret that signs them."""

    url: WebhookUrl
    secret_ref: SecretKeyRef

    def __post_init__(self) -> None:
        super().__post_init__()
        check_host("url", self.url)


class GatewayFleetSpec(SpecPart, frozen=True, kw_only=True):
    """One set of gateway replicas. Fields that only a cluster needs are kept and not read here."""

    pricing: Pricing = Pricing()
    models: Annotated[list[ModelSpec], Meta(min_length=1, max_length=256)]
    upstreams: Annotated[list[UpstreamSpec], Meta(min_length=1, max_length=64)]
    limits: FleetLimits = FleetLimits()
    drain: Drain = Drain()
    client_url: ClientUrl | None = msgspec.field(default=None, name="clientURL")
    console: ConsoleSpec | None = None
    webhook: WebhookSpec | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [upstream.name for upstream in self.upstreams]
        if len(set(names)) < len(names):
            raise ValueError("two upstreams have the same name")
        if self.client_url is not None:
            check_host("clientURL", self.client_url)


class Metadata(SpecPart, frozen=True, kw_only=True):
    """The part of an object's metadata that the ledger reads."""

    name: ObjectName
    namespace: Label = "default"
    uid: Annotated[str, Meta(max_length=128)] = ""
    generation: int = 1

    @property
    def shown(self) -> str:
        return f"{self.namespace}/{self.name}"


class ApiKey(SpecPart, frozen=True, kw_only=True, tag_field="kind"):
    """An ApiKey object. Its name becomes the value of a label."""

    metadata: Metadata
    spec: ApiKeySpec

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.metadata.name) > LABEL_CHARACTERS_MAX:
            raise ValueError(
                f"the name of an ApiKey may have {LABEL_CHARACTERS_MAX} characters at most"
            )


class AccountObject(SpecPart, frozen=True, kw_only=True, tag_field="kind", tag="Account"):
    """An Account object. Its account and the parent are those of its own namespace."""

    metadata: Metadata
    spec: AccountSpec


class CreditGrant(SpecPart, frozen=True, kw_only=True, tag_field="kind"):
    """A CreditGrant object."""

    metadata: Metadata
    spec: CreditGrantSpec


class CreditAllowance(SpecPart, frozen=True, kw_only=True, tag_field="kind"):
    """A CreditAllowance object. Its name is a part of the names of its grants."""

    metadata: Metadata
    spec: CreditAllowanceSpec


class GatewayFleet(SpecPart, frozen=True, kw_only=True, tag_field="kind"):
    """A GatewayFleet object."""

    metadata: Metadata
    spec: GatewayFleetSpec


Document = AccountObject | ApiKey | CreditAllowance | CreditGrant | GatewayFleet


def parse_document(raw: Any) -> Document:
    """Turn one decoded YAML or JSON object into its model.

    Raises `SpecError` naming the object and the field.
    """
    if not isinstance(raw, dict) or raw.get("apiVersion") != API_VERSION:
        given = (raw.get("kind"), raw.get("apiVersion")) if isinstance(raw, dict) else ()
        found = " of apiVersion ".join(f"{each or 'none'}"[:100] for each in given) or "no object"
        raise SpecError(f"expected an object of apiVersion {API_VERSION}, found {found}")
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    try:
        document: Document = msgspec.convert(raw, Document)
    except msgspec.ValidationError as error:
        raise SpecError(f"{raw.get('kind')} {name}: {in_words(str(error))}") from None
    return document


def overlap_seconds(overlap: str) -> int:
    """Seconds of a rotation's overlap such as `0s`, `10m`, `24h` or `7d`."""
    return int(overlap[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[overlap[-1]]
