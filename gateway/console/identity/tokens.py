"""Signed tokens: the checks between the bytes that came and the claims that are believed. Pure.

Sources: OpenID Connect Core 1.0, 3.1.3.7; OpenID Connect Back-Channel Logout 1.0, 2.6; RFC 8725.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import KeySet
from msgspec import Struct

#: never by the token's own choice: no shared secrets, and nothing unsigned
ALGORITHMS = ("RS256", "PS256", "ES256", "Ed25519", "EdDSA")
#: two clocks may differ by so much
_SKEW_SECONDS = 60
_LOGOUT_SECONDS_MAX = 300
_CHARACTERS_MAX = 16_384
_SUBJECT_CHARACTERS_MAX = 255
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

Claims = dict[str, Any]


class TokenRefused(Exception):
    """A token is not believed. The message is for the log, and holds nothing of the token."""


class UnknownSigner(TokenRefused):
    """No key that is known has the name that the token gives; there may be a new one."""


class Expected(Struct, frozen=True):
    """The parties of a token: its issuer, and the client it is for."""

    issuer: str
    audience: str


def read_id_token(
    token: str,
    keys: KeySet,
    expected: Expected,
    now: float,
    *,
    nonce: str | None,
    max_age: int | None = None,
) -> Claims:
    """The claims of an ID token; `nonce` is that of the attempt, None where there was none.

    Raises `TokenRefused`.
    """
    claims = _verified(token, keys)
    _check_parties(claims, expected)
    _check_times(claims, now)
    if nonce is not None and claims.get("nonce") != nonce:
        raise TokenRefused("the nonce is another one")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_CHARACTERS_MAX:
        raise TokenRefused("there is no subject")
    if max_age is not None:
        authenticated_at = _number(claims, "auth_time")
        if authenticated_at is None or authenticated_at < now - max_age - _SKEW_SECONDS:
            raise TokenRefused("the person did not authenticate again")
    return claims


def read_logout_token(token: str, keys: KeySet, expected: Expected, now: float) -> Claims:
    """The claims of a logout token, which name a subject, a session, or both, and a `jti`.

    Raises `TokenRefused`.
    """
    claims = _verified(token, keys, types=("logout+jwt", "jwt"))
    _check_parties(claims, expected)
    issued_at = _number(claims, "iat")
    if issued_at is None or not -_SKEW_SECONDS <= now - issued_at <= _LOGOUT_SECONDS_MAX:
        raise TokenRefused("it was not issued just now")
    if "exp" in claims:
        _check_times(claims, now)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
        raise TokenRefused("it is no logout token")
    if "nonce" in claims:
        raise TokenRefused("a logout token has no nonce")
    if not isinstance(claims.get("jti"), str) or not claims["jti"]:
        raise TokenRefused("it has no id")
    names = [claims.get("sub"), claims.get("sid")]
    if not any(names) or not all(each is None or isinstance(each, str) for each in names):
        raise TokenRefused("it names neither a subject nor a session")
    return claims


def read_groups(claims: Mapping[str, Any], name: str) -> list[str] | None:
    """The groups that claims list, or None where they list none."""
    groups = claims.get(name)
    if isinstance(groups, str):
        return [groups]
    if isinstance(groups, list):
        return [each for each in groups if isinstance(each, str)]
    return None


def _verified(token: str, keys: KeySet, types: tuple[str, ...] = ("jwt", "at+jwt")) -> Claims:
    if len(token) > _CHARACTERS_MAX or not token.isascii():
        raise TokenRefused("it is too long, or no token")
    try:
        with warnings.catch_warnings():
            # EdDSA has a new name (RFC 9864), which issuers do not use yet.
            warnings.simplefilter("ignore", SecurityWarning)
            read = jwt.decode(token, keys, algorithms=ALGORITHMS)
    except InvalidKeyIdError:
        raise UnknownSigner("its key is not known") from None
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TokenRefused(f"its signature does not hold: {type(error).__name__}") from None
    kind = read.header.get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in types:
        raise TokenRefused("it is a token of another kind")
    return read.claims


def _check_parties(claims: Claims, expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise TokenRefused("its issuer is another one")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.audience not in audiences:
        raise TokenRefused("it is for another client")
    party = claims.get("azp")
    if (len(audiences) > 1 or party is not None) and party != expected.audience:
        raise TokenRefused("it was given to another client")


def _check_times(claims: Claims, now: float) -> None:
    expires_at, issued_at = _number(claims, "exp"), _number(claims, "iat")
    if expires_at is None or expires_at <= now - _SKEW_SECONDS:
        raise TokenRefused("it has expired")
    if issued_at is None or issued_at > now + _SKEW_SECONDS:
        raise TokenRefused("it was issued in the future")
    begins_at = _number(claims, "nbf")
    if begins_at is not None and begins_at > now + _SKEW_SECONDS:
        raise TokenRefused("it does not hold yet")


def _number(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
