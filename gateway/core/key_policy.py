"""The policy for keys that people and management keys make."""

from datetime import datetime, timedelta

from msgspec import Struct

from gateway.core.console_spec import ConsoleSpec
from gateway.core.errors import PermissionDenied
from gateway.core.principal import Principal
from gateway.core.sentences import Sentence

LABEL_CHARACTERS_MAX = 64
#: seconds for which an old secret may hold after a rotation
OVERLAPS = (0, 3600, 86400)
#: days without a use after which a key is pointed out
UNUSED_DAYS = 90


class KeyPolicy(Struct, frozen=True, kw_only=True):
    """Bounds of an account's keys; None is no bound."""

    #: keys of an account that are neither revoked nor expired
    live_max: int = 25
    #: secrets issued for an account within an hour
    hourly_max: int = 10
    #: accounts of a namespace before a key makes no more
    accounts_max: int = 10_000
    #: days from the day when a secret is issued until its key must expire
    longest_days: int | None = None
    #: days that are suggested for a new key
    suggested_days: int = 90

    def latest_expiry(self, issued_at: datetime) -> datetime | None:
        """The latest moment at which a key may expire; None where it need not."""
        if self.longest_days is None:
            return None
        return issued_at + timedelta(days=self.longest_days)

    def check_expiry(self, expires_at: datetime | None, issued_at: datetime) -> None:
        """Raise `PermissionDenied` for an expiry beyond the longest lifetime."""
        latest = self.latest_expiry(issued_at)
        if latest is not None and (expires_at is None or expires_at > latest):
            raise PermissionDenied(
                Sentence(
                    "a key may live for {days} days from the day its secret is issued",
                    {"days": self.longest_days},
                ),
                param="expires_at",
                details={"limit": "longest_days", "level": "fleet"},
            )


def key_policy_of(console: ConsoleSpec, principal: Principal, account: str) -> KeyPolicy:
    """The policy for a principal's keys of an account, by its shown name.

    Of the longest lifetimes of its roles there, the longest counts.
    """
    longest, keys = None, console.keys
    for role in principal.roles_in(account):
        days = keys.longest_days.of(role)
        if days is not None and (longest is None or days > longest):
            longest = days
    return KeyPolicy(
        accounts_max=keys.accounts_per_namespace,
        longest_days=longest,
        suggested_days=keys.suggested_days,
    )
