"""The console's part of a fleet's spec: where browsers find it, who signs in, what they get."""

from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.core.principal import Right, Role
from gateway.core.spec_fields import (
    ClaimName,
    Credits,
    IssuerUrl,
    Label,
    NamespaceOrAll,
    Network,
    Origin,
    ScopeToken,
    SecretKeyRef,
    ShownKeyName,
    SpecPart,
    check_host,
    check_value,
)

Days = Annotated[int, Meta(ge=1, le=3650)]
_NETWORK = "an address, or a network such as 10.0.0.0/8 or 2001:db8::/32"


class ConsoleRole(SpecPart, frozen=True, kw_only=True):
    """A role in some namespaces, `*` for all, for people of a group of the identity provider."""

    group: Annotated[str, Meta(min_length=1, max_length=256)]
    namespaces: Annotated[list[NamespaceOrAll], Meta(min_length=1, max_length=64)]
    role: Role


class OpenIdConnect(SpecPart, frozen=True, kw_only=True):
    """The identity provider of the console. Without a secret the console is a public client."""

    issuer: IssuerUrl
    client_id: Annotated[str, Meta(min_length=1, max_length=256)] = msgspec.field(name="clientID")
    secret_ref: SecretKeyRef | None = None
    scopes: Annotated[list[ScopeToken], Meta(min_length=1, max_length=16)] = msgspec.field(
        default_factory=lambda: ["openid", "profile", "email"]
    )
    groups_claim: ClaimName = "groups"


class SigningProxy(SpecPart, frozen=True, kw_only=True):
    """A proxy in front of the console that signs who has come, as a JSON Web Token."""

    header: Annotated[str, Meta(pattern=r"^[-A-Za-z0-9]+\Z", min_length=1, max_length=64)] = (
        "Authorization"
    )
    jwks_url: IssuerUrl = msgspec.field(name="jwksURL")
    issuer: IssuerUrl
    audience: Annotated[str, Meta(min_length=1, max_length=256)]
    groups_claim: ClaimName = "groups"
    sign_out_url: IssuerUrl | None = msgspec.field(default=None, name="signOutURL")


class LongestDays(SpecPart, frozen=True, kw_only=True):
    """The longest lifetimes of keys, in days, by the role of their maker."""

    member: Days | None = None
    manager: Days | None = None
    treasurer: Days | None = None

    def of(self, role: Role) -> int | None:
        """That of a role, if it has one; an auditor makes no keys."""
        return None if role == "auditor" else getattr(self, role)


class ConsoleSessions(SpecPart, frozen=True, kw_only=True):
    """The end of a session: so long after the last request, and after the sign-in in any case."""

    idle_minutes: Annotated[int, Meta(ge=5, le=1440)] = 60
    longest_hours: Annotated[int, Meta(ge=1, le=168)] = 12

    @property
    def idle(self) -> timedelta:
        return timedelta(minutes=self.idle_minutes)

    @property
    def longest(self) -> timedelta:
        return timedelta(hours=self.longest_hours)


class ConsoleKeys(SpecPart, frozen=True, kw_only=True):
    """The policy of the keys that people and management keys make."""

    suggested_days: Days = 90
    accounts_per_namespace: Annotated[int, Meta(ge=1, le=10**6)] = 10_000
    longest_days: LongestDays = LongestDays()


class ConsoleSpec(SpecPart, frozen=True, kw_only=True):
    """The console: where browsers find it, who signs in, and what they get."""

    url: Origin | None = None
    oidc: OpenIdConnect | None = None
    proxy: SigningProxy | None = None
    roles: Annotated[list[ConsoleRole], Meta(max_length=64)] = msgspec.field(default_factory=list)
    accounts: Literal["personal", "shared"] = "personal"
    namespace: Label = "people"
    signup: bool = True
    welcome_credits: Credits = 0
    key_sign_in: bool = True
    grants: bool = False
    granting_keys: Annotated[list[ShownKeyName], Meta(max_length=64)] = msgspec.field(
        default_factory=list
    )
    keys: ConsoleKeys = ConsoleKeys()
    sessions: ConsoleSessions = ConsoleSessions()
    trusted_proxies: Annotated[list[Network], Meta(max_length=32)] = msgspec.field(
        default_factory=list
    )
    contact: Annotated[str, Meta(max_length=256)] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.oidc is not None and self.url is None:
            raise ValueError("oidc needs url: the identity provider sends browsers back there")
        if self.url is not None:
            check_host("url", self.url)
        for network in self.trusted_proxies:
            check_value("trustedProxies", partial(ip_network, strict=False), network, _NETWORK)

    @property
    def withheld(self) -> frozenset[Right]:
        """The rights that nobody has in the console and its JSON, in any role."""
        return frozenset() if self.grants else frozenset({"grant"})
