"""The table of forged tokens: each is signed here, and each is refused for one reason."""

import hmac
import json
import time
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from gateway.console.identity.tokens import (
    Expected,
    TokenRefused,
    UnknownSigner,
    read_groups,
    read_id_token,
    read_logout_token,
)

NOW = time.time()
EXPECTED = Expected("https://login.example.com", "console")
NONCE = "a nonce"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
STRANGE = RSAKey.generate_key(2048, {"kid": "rsa"})
KEYS = KeySet.import_key_set({"keys": [key.as_dict(private=False) for key in (RSA, EC, ED)]})
EVENT = "http://schemas.openid.net/event/backchannel-logout"
ID_CLAIMS: dict[str, Any] = {
    "iss": EXPECTED.issuer,
    "aud": EXPECTED.audience,
    "sub": "tina",
    "nonce": NONCE,
    "iat": NOW,
    "exp": NOW + 300,
}
LOGOUT_CLAIMS: dict[str, Any] = {
    "iss": EXPECTED.issuer,
    "aud": [EXPECTED.audience],
    "sub": "tina",
    "sid": "a session",
    "jti": "one",
    "iat": NOW,
    "events": {EVENT: {}},
}


def signed(claims: dict[str, Any], key: Key = RSA, algorithm: str = "RS256", **header: Any) -> str:
    made = {"alg": algorithm, "kid": key.kid, **header}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jwt.encode(made, claims, key, algorithms=[algorithm])


def signed_by(sign: Callable[[bytes], bytes], claims: dict[str, Any], **header: Any) -> str:
    """A token that the library would not make."""
    parts = [urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in (header, claims)]
    signature = urlsafe_b64encode(sign(b".".join(parts))).rstrip(b"=")
    return b".".join([*parts, signature]).decode()


def by_rsa(data: bytes) -> bytes:
    private = RSA.private_key
    assert private is not None
    return private.sign(data, PKCS1v15(), SHA256())


def read(token: str, **more: Any) -> dict[str, Any]:
    return read_id_token(token, KEYS, EXPECTED, NOW, **{"nonce": NONCE, **more})


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")],
)
def test_a_right_token_is_believed(key: Key, algorithm: str) -> None:
    assert read(signed(ID_CLAIMS, key, algorithm))["sub"] == "tina"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://other.example.com"},
        {"iss": EXPECTED.issuer + "/"},
        {"iss": None},
        {"aud": "another"},
        {"aud": []},
        {"aud": ["console", "another"]},
        {"aud": ["console", "another"], "azp": "another"},
        {"azp": "another"},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": "x" * 256},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": NOW - 61},
        {"exp": None},
        {"exp": str(NOW + 300)},
        {"exp": True},
        {"iat": NOW + 61},
        {"iat": None},
        {"nbf": NOW + 61},
    ],
    ids=str,
)
def test_other_claims_are_refused(changed: dict[str, Any]) -> None:
    claims = {name: value for name, value in {**ID_CLAIMS, **changed}.items() if value is not None}
    with pytest.raises(TokenRefused):
        read(signed(claims))


def test_several_audiences_name_us_as_the_party() -> None:
    assert read(signed({**ID_CLAIMS, "aud": ["console", "another"], "azp": "console"}))


def test_a_token_signed_by_another_key_of_the_same_name_is_refused() -> None:
    with pytest.raises(TokenRefused, match="signature"):
        read(signed(ID_CLAIMS, STRANGE))


def test_an_unknown_key_may_be_a_new_one() -> None:
    with pytest.raises(UnknownSigner):
        read(signed(ID_CLAIMS, RSA, kid="new"))


def test_nothing_unsigned_and_no_shared_secret_is_believed() -> None:
    public = RSA.as_pem(private=False)
    by_public_key = partial(hmac.digest, public, digest="sha256")
    by_client_id = partial(hmac.digest, b"console", digest="sha256")
    forged = [
        signed_by(by_public_key, ID_CLAIMS, alg="HS256", kid="rsa"),
        signed_by(by_client_id, ID_CLAIMS, alg="HS256", kid="rsa"),
        signed_by(lambda _: b"", ID_CLAIMS, alg="none", kid="rsa"),
        signed_by(lambda _: b"", ID_CLAIMS, alg="None", kid="rsa"),
        signed_by(by_rsa, ID_CLAIMS, kid="rsa"),
        signed_by(by_rsa, ID_CLAIMS, alg=["RS256"], kid="rsa"),
        signed(ID_CLAIMS, RSA, "RS512"),
    ]
    for token in forged:
        with pytest.raises(TokenRefused):
            read(token)


def test_a_key_in_the_token_s_own_header_counts_for_nothing() -> None:
    own = STRANGE.as_dict(private=False)
    with pytest.raises(TokenRefused):
        read(signed(ID_CLAIMS, STRANGE, jwk=own))
    with pytest.raises(TokenRefused):
        read(signed(ID_CLAIMS, STRANGE, jku="https://evil.example/keys"))


def test_changed_parts_are_refused() -> None:
    head, body, signature = signed(ID_CLAIMS).split(".")
    other = signed({**ID_CLAIMS, "sub": "tom"}).split(".")[1]
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature}.x",
        f"{head}.{body}.{signature[:-4]}AAAA",
        "",
        "é",
        "x" * 20_000,
    ):
        with pytest.raises(TokenRefused):
            read(token)


def test_a_critical_extension_that_is_not_known_is_refused() -> None:
    assert read(signed_by(by_rsa, ID_CLAIMS, alg="RS256", kid="rsa"))
    token = signed_by(by_rsa, ID_CLAIMS, alg="RS256", kid="rsa", crit=["exp"], exp=1)
    with pytest.raises(TokenRefused):
        read(token)


@pytest.mark.parametrize("since", [None, NOW - 1000, "now"])
def test_a_step_up_needs_a_recent_authentication(since: Any) -> None:
    claims = ID_CLAIMS if since is None else {**ID_CLAIMS, "auth_time": since}
    assert read(signed(claims))
    with pytest.raises(TokenRefused, match="again"):
        read(signed(claims), max_age=900)
    assert read(signed({**claims, "auth_time": NOW - 900}), max_age=900)


def read_logout(claims: dict[str, Any], **header: Any) -> dict[str, Any]:
    return read_logout_token(signed(claims, **header), KEYS, EXPECTED, NOW)


@pytest.mark.parametrize("kind", ["logout+jwt", "JWT", "application/logout+jwt"])
def test_a_right_logout_token_is_believed(kind: str) -> None:
    assert read_logout(LOGOUT_CLAIMS, typ=kind)["sid"] == "a session"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://other.example.com"},
        {"aud": "another"},
        {"nonce": "one"},
        {"events": None},
        {"events": {}},
        {"events": [EVENT]},
        {"events": {EVENT: True}},
        {"iat": NOW - 301},
        {"iat": NOW + 61},
        {"iat": None},
        {"exp": NOW - 61},
        {"jti": None},
        {"jti": 1},
        {"sub": None, "sid": None},
        {"sub": 1},
        {"sid": ["a session"]},
    ],
    ids=str,
)
def test_other_logout_tokens_are_refused(changed: dict[str, Any]) -> None:
    merged = {**LOGOUT_CLAIMS, **changed}
    with pytest.raises(TokenRefused):
        read_logout({name: value for name, value in merged.items() if value is not None})


def test_neither_kind_of_token_is_taken_for_the_other() -> None:
    with pytest.raises(TokenRefused):
        read_logout(ID_CLAIMS)
    with pytest.raises(TokenRefused):
        read_logout(LOGOUT_CLAIMS, typ="at+jwt")
    with pytest.raises(TokenRefused):
        read(signed({**ID_CLAIMS, **LOGOUT_CLAIMS, "exp": NOW + 300}, typ="logout+jwt"))


def test_groups_are_names() -> None:
    assert read_groups({"groups": ["a", 1, "b"]}, "groups") == ["a", "b"]
    assert read_groups({"groups": "a"}, "groups") == ["a"]
    assert read_groups({"other": ["a"]}, "groups") is None
    assert read_groups({"groups": {"a": 1}}, "groups") is None
