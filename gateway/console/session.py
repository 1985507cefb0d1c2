"""The session of a request: who is signed in, what they may see, and the token of their forms."""

from msgspec import Struct

from gateway.core.principal import Principal, Right, Role, RoleBinding
from gateway.store.people import Identity, OwnAccount
from gateway.store.session_log import session_actor
from gateway.store.sign_ins import FoundSession


class Session(Struct, frozen=True):
    """Somebody who is signed in."""

    found: FoundSession
    #: of all forms of this session
    form_token: str
    #: rights that nobody has here
    withheld: frozenset[Right] = frozenset()

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

    @property
    def principal(self) -> Principal:
        """The one who asks, with all rights of the session; a key that signed in reads only."""
        found, identity = self.found, self.identity
        role: Role = "auditor" if self.is_key else "member"
        own = (RoleBinding(role, each.namespace, each.name) for each in self.own_accounts)
        given = (
            RoleBinding(each.role, each.namespace, each.account or None) for each in found.roles
        )
        return Principal(
            identity=f"{identity.issuer} {identity.subject}",
            actor=session_actor(identity, found.id),
            holder=(f"console {found.person_id}", f"console {found.key_id}"),
            bindings=(*own, *given),
            key_id=found.key_id,
            person_id=found.person_id,
            withheld=self.withheld,
        )
