"""The values of the specs' fields with their bounds, and the rules for every part of a spec.

Everything that is valid here can be written to each database and read back. So a text holds no NUL
and nothing that is no character, and a moment lies within the years that all of them can hold.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv6Address
from typing import Annotated, get_args

from msgspec import Meta, Struct

from gateway.core.errors import Repairable

# The patterns are those of the schemas, except for their end: there `$` is the end of the text,
# here a line break may follow.
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"

LABEL_CHARACTERS_MAX = 63
Label = Annotated[str, Meta(pattern=rf"^{_LABEL}\Z", min_length=1, max_length=LABEL_CHARACTERS_MAX)]
#: the name of an object: a DNS subdomain
ObjectName = Annotated[
    str, Meta(pattern=rf"^{_LABEL}(\.{_LABEL})*\Z", min_length=1, max_length=253)
]
SecretKey = Annotated[str, Meta(pattern=r"^[-._a-zA-Z0-9]+\Z", min_length=1, max_length=253)]
#: the name of a Service, with room for what is hung on to it
FleetName = Annotated[
    str, Meta(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?\Z", min_length=1, max_length=56)
]
MODEL_CHARACTERS_MAX = 256
#: the name of a model, or of several by `*`
ModelName = Annotated[str, Meta(min_length=1, max_length=MODEL_CHARACTERS_MAX)]
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = r"([^\s/?#@:\[\]]+|\[[0-9a-fA-F:.]+\])"
#: the gateway's own, as clients read it: in any letters
ClientUrl = Annotated[
    str,
    Meta(pattern=rf"^https?://{_HOST}(:{_PORT})?(/[^\s?#/]+)*\Z", min_length=1, max_length=2048),
]
_ORIGIN = rf"https?://([-._a-zA-Z0-9]+|\[[0-9a-fA-F:.]+\])(:{_PORT})?"
#: a URL that is posted to: of ASCII, as HTTP wants it
_TARGET = rf'{_ORIGIN}(/[!-"$->@-~]*)?'
#: an upstream's
Url = Annotated[str, Meta(pattern=rf"^({_TARGET}|simulated:)\Z", min_length=1, max_length=2048)]
#: a URL without a path, as browsers write it: a host of ASCII, and a port that there is
Origin = Annotated[str, Meta(pattern=rf"^{_ORIGIN}\Z", min_length=1, max_length=2048)]
#: the receiver of messages; a token in a path is a secret, so it goes into no log
WebhookUrl = Annotated[str, Meta(pattern=rf"^{_TARGET}\Z", min_length=1, max_length=2048)]
#: a URL of an identity provider; its issuer is compared letter by letter
IssuerUrl = Annotated[
    str, Meta(pattern=rf"^{_ORIGIN}(/[^\s?#]*)?\Z", min_length=1, max_length=2048)
]
_HOW = "in ASCII, with a port up to 65535, without a credential or a query"
#: the words for a pattern, as few people read patterns
_URLS = {
    get_args(kind)[1].pattern: words
    for kind, words in (
        (Url, f"a URL such as https://api.example.com/v1, {_HOW}; or simulated:"),
        (WebhookUrl, f"a URL such as https://hooks.example.com/faregate, {_HOW}"),
        (Origin, f"a URL such as https://models.example.com, {_HOW} or a path"),
        (IssuerUrl, f"a URL such as https://login.example.com, {_HOW}"),
        (
            ClientUrl,
            "a URL such as https://models.example.com, with a port up to 65535, without a"
            " credential, a query or a slash at its end",
        ),
    )
}
_TIME = "a time with its zone, such as 2026-12-01T00:00:00Z"
#: how to write a moment, in place of Python's names for it
_TIMES = (
    ("`datetime | null`", _TIME),
    ("`datetime` with a timezone component", _TIME),
    ("`datetime`", _TIME),
    ("Invalid RFC3339 encoded datetime", f"Expected {_TIME}"),
)
ScopeToken = Annotated[str, Meta(pattern=r"^[!-~]+\Z", min_length=1, max_length=128)]
#: an ApiKey with its namespace
ShownKeyName = Annotated[
    str, Meta(pattern=rf"^{_LABEL}/{_LABEL}(\.{_LABEL})*\Z", min_length=3, max_length=127)
]
#: an address, or a network of addresses such as 10.0.0.0/8
Network = Annotated[
    str, Meta(pattern=r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?\Z", min_length=2, max_length=64)
]
ClaimName = Annotated[str, Meta(min_length=1, max_length=128)]
NamespaceOrAll = Annotated[
    str, Meta(pattern=rf"^(\*|{_LABEL})\Z", min_length=1, max_length=LABEL_CHARACTERS_MAX)
]
Credits = Annotated[int, Meta(ge=0, le=10**15)]
#: a beta of Messages, or several by `*`
Beta = Annotated[str, Meta(pattern=r"^[-._a-z0-9*]+$", min_length=1, max_length=128)]
#: RFC 3339 with a zone, as the API server insists
Moment = Annotated[datetime, Meta(tz=True)]
PositiveInteger = Annotated[int, Meta(ge=1, le=10**9)]
#: the range that the databases and Python can hold, in every time zone
FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class SpecError(Repairable, ValueError):
    """A document is not a valid object; the message names the field."""


class SpecPart(Struct, frozen=True, rename="camel"):
    """The rules for every field of every part, beside its own bounds."""

    def __post_init__(self) -> None:
        for name, shown in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            value = getattr(self, name)
            for one in value if isinstance(value, list) else (value,):
                if isinstance(one, str) and not _is_text(one):
                    raise ValueError(f"{shown} may hold neither a NUL nor half a character")
                if isinstance(one, datetime) and not FIRST_MOMENT <= one <= LAST_MOMENT:
                    raise ValueError(f"{shown} must lie between 1970 and 9999, in UTC")


def in_words(problem: str) -> str:
    """A problem as msgspec states it, with words in place of the patterns of URLs and of types."""
    for pattern, words in _URLS.items():
        problem = problem.replace(f"`str` matching regex {pattern!r}", words)
    for name, words in _TIMES:
        problem = problem.replace(name, words)
    return problem


def check_value(name: str, read: Callable[[str], object], value: str, wanted: str) -> None:
    """Raise `ValueError` for a value that cannot be read, with its name and how to write it."""
    try:
        read(value)
    except ValueError:
        raise ValueError(f"{name} has {value}; write {wanted}") from None


def check_host(name: str, url: str) -> None:
    """Raise `ValueError` for a URL whose host is in brackets and is no IPv6 address."""
    host = url.partition("://")[2]
    if host.startswith("["):
        address = host[1:].partition("]")[0]
        wanted = "an IPv6 address in its brackets, such as [2001:db8::1]"
        check_value(name, IPv6Address, address, wanted)


def _is_text(value: str) -> bool:
    """True if every database can hold it: PostgreSQL has no place for a NUL."""
    return "\0" not in value and not any("\ud800" <= one <= "\udfff" for one in value)


class SecretKeyRef(SpecPart, frozen=True, kw_only=True):
    """One key of a Secret."""

    name: ObjectName
    key: SecretKey


class SecretSource(SpecPart, frozen=True, kw_only=True):
    """The source of a secret value."""

    secret_key_ref: SecretKeyRef
