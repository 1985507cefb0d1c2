"""From claims to a sign-in: the person, the roles of its groups, and its account. Pure.

The roles of a group hold in its namespaces. A member works in an account: its own, or the account
`team` of each namespace, as `console.accounts` has it.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from gateway.core.console_spec import ConsoleSpec
from gateway.core.principal import ALL
from gateway.store.people import Identity, NamespaceRole
from gateway.store.sign_ins import OwnAccountRule, SignIn

TEAM_ACCOUNT = "team"
_LABEL_CHARACTERS_MAX = 40
_NO_NAME = "person"


def sign_in_of(
    issuer: str, claims: Mapping[str, Any], groups: Collection[str], spec: ConsoleSpec
) -> SignIn:
    """The sign-in of somebody whom an issuer vouches for, without what the session needs of it."""
    subject = claims["sub"]
    assert isinstance(subject, str), "that was checked with the token"
    identity = Identity(issuer, subject, _text(claims, "name"), _text(claims, "email"))
    rules = [rule for rule in spec.roles if rule.group in groups]
    is_personal = spec.accounts == "personal"
    roles = {
        NamespaceRole(namespace, rule.role, TEAM_ACCOUNT if rule.role == "member" else "")
        for rule in rules
        for namespace in rule.namespaces
        if rule.role != "member" or not (is_personal or namespace == ALL)
    }
    is_member = any(rule.role == "member" for rule in rules)
    own = OwnAccountRule(spec.namespace, account_label(claims)) if is_personal else None
    return SignIn(
        identity=identity,
        roles=tuple(sorted(roles)),
        is_admitted=bool(rules) or (spec.signup and is_personal),
        own_account=own if is_member or spec.signup else None,
    )


def account_label(claims: Mapping[str, Any]) -> str:
    """The label of an account that looks like its person; it identifies nobody."""
    names = [
        _text(claims, "preferred_username").split("@")[0],
        _text(claims, "email").split("@")[0],
        _text(claims, "name"),
    ]
    labels = (re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") for name in names)
    label = next(filter(None, labels), _NO_NAME)
    return label[:_LABEL_CHARACTERS_MAX].rstrip("-")


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""
