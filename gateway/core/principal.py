"""The one who asks for accounts, keys and grants, and the rights it has: a key, or a person.

    principal ──< binding (role, namespace or one account of it)      role ──< right

A right reaches the accounts of all bindings whose role has it. Pure.
"""

import re
from typing import Literal

from msgspec import Struct

from gateway.core.actor import Actor
from gateway.core.shares import Holder

Role = Literal["member", "manager", "treasurer", "auditor"]
#: to read; to make and change keys; to suspend and revoke them; to post and void grants; to give
#: accounts to people
Right = Literal["read", "keys", "stop", "grant", "bind"]
#: every namespace
ALL = "*"

RIGHTS: dict[Role, frozenset[Right]] = {
    "member": frozenset({"read", "keys", "stop"}),
    "manager": frozenset({"read", "stop", "bind"}),
    "treasurer": frozenset({"read", "stop", "grant", "bind"}),
    "auditor": frozenset({"read"}),
}


_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SHOWN_ACCOUNT = re.compile(f"{_LABEL}/{_LABEL}")


def is_account(shown: str) -> bool:
    """True of the shown name that an account may have: its namespace and a label."""
    return _SHOWN_ACCOUNT.fullmatch(shown) is not None


class AccountSet(Struct, frozen=True):
    """Some accounts: all of some namespaces, and some by their shown names."""

    namespaces: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, account: str) -> "AccountSet":
        """One account alone, by its shown name."""
        return cls(accounts=frozenset({account}))

    def holds(self, account: str) -> bool:
        """True if an account is among them, by its shown name."""
        namespace, _, _ = account.partition("/")
        return account in self.accounts or not self.namespaces.isdisjoint((namespace, ALL))


class RoleBinding(Struct, frozen=True):
    """A role in an account, or in all accounts of a namespace, also in those to come."""

    role: Role
    namespace: str
    account: str | None = None


class Principal(Struct, frozen=True, kw_only=True):
    """The one who asks. `identity` is its own for ever: a key id, or a person's.

    `key_id` is the key that asks, where it is one, and `person_id` the row of a person.
    """

    identity: str
    actor: Actor
    #: whose turn it is, where others wait too
    holder: Holder
    bindings: tuple[RoleBinding, ...] = ()
    key_id: str | None = None
    person_id: int | None = None
    #: rights that the settings give to nobody, in any role
    withheld: frozenset[Right] = frozenset()

    def reach(self, right: Right) -> AccountSet:
        """The accounts for which it has a right."""
        is_given = right not in self.withheld
        having = [each for each in self.bindings if is_given and right in RIGHTS[each.role]]
        return AccountSet(
            frozenset(each.namespace for each in having if each.account is None),
            frozenset(f"{each.namespace}/{each.account}" for each in having if each.account),
        )

    def may(self, right: Right, account: str) -> bool:
        """True if it has a right for an account, by its shown name."""
        return self.reach(right).holds(account)

    def roles_in(self, account: str) -> frozenset[Role]:
        """The roles that it has in an account, by its shown name."""
        namespace, _, name = account.partition("/")
        return frozenset(
            each.role
            for each in self.bindings
            if each.namespace in (ALL, namespace) and each.account in (None, name)
        )
