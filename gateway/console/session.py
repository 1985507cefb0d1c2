"""The session of a request: who is signed in, what they may see, and the token of their forms."""

from msgspec import Struct

from gateway.store.people import ALL_NAMESPACES, ROLES_WITH, Identity, OwnAccount, Right
from gateway.store.sign_ins import FoundSession


class Session(Struct, frozen=True):
    """Somebody who is signed in."""

    found: FoundSession
    #: of all forms of this session
    form_token: str

    @property
    def identity(self) -> Identity:
        return self.found.identity

    @property
    def shown_name(self) -> str:
        """The name that the page shows: a person's own, else an e-mail, else a subject."""
        identity = self.identity
        return identity.name or identity.email or identity.subject

    @property
    def is_key(self) -> bool:
        """True if an API key has signed in: it reads its account, and can make nothing."""
        return self.found.key_row is not None

    @property
    def own_accounts(self) -> tuple[OwnAccount, ...]:
        """The accounts that are the person's own, or the one of the key."""
        return self.found.accounts

    def namespaces(self, right: Right) -> frozenset[str] | None:
        """The namespaces in which there is a right; None: in all of them."""
        having = (each for each in self.found.roles if each.role in ROLES_WITH[right])
        found = frozenset(each.namespace for each in having)
        return None if ALL_NAMESPACES in found else found

    def may(self, right: Right, namespace: str) -> bool:
        """True if there is this right in a namespace."""
        namespaces = self.namespaces(right)
        return namespaces is None or namespace in namespaces

    def may_see_account(self, account: OwnAccount) -> bool:
        """True for one's own accounts, and those of the namespaces that one may see."""
        own = {each.id for each in self.own_accounts}
        return account.id in own or self.may("see", account.namespace)
