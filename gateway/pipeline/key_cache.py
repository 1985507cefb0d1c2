"""The keys in memory: who is asking, decided without asking the database.

A filter only: the charge statement joins the key's row and decides. Refreshed by polling one
version row. An unknown credential of our own shape is looked up once, and few are in a second: one
that is unknown then can only become known by a poll.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gateway.core.concurrency.single_flight import SingleFlight
from gateway.core.errors import (
    InvalidCredential,
    PermissionDenied,
    RateLimited,
)
from gateway.core.keys import INFERENCE, KeyHasher, has_checksum
from gateway.core.limits import RateLimit, Window
from gateway.core.patterns import matches
from gateway.dialects.base import Caller
from gateway.store.cached_keys import KeyChanges, LiveKey
from gateway.telemetry.metrics import Metrics, RequestLabels

_CREDENTIAL_HEADERS = frozenset({b"authorization", b"x-api-key", b"anthropic-auth-token"})
#: look-ups of unknown credentials, for all who send any
LOOKUPS_PER_SECOND_MAX = 50
#: unknown credentials that are remembered; those of a client that goes on asking are among them
UNKNOWN_MAX = 10_000
#: credentials of one request that are looked at
CREDENTIALS_MAX = 8
_NO_KEY = "no API key: send it as `Authorization: Bearer sk-…` or as `x-api-key`"
_MANAGES = (
    "this is a management key: it may use /api/v1, but no model; that takes a key whose scope is"
    " inference"
)
_NOT_VALID = "the API key is not valid"

#: until when a suspended key holds
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

Headers = list[tuple[bytes, bytes]]


class CachedKey:
    """A key as requests use it: its row, and the limits this replica keeps for it."""

    __slots__ = ("_may_use", "_rate", "caller", "labels", "live", "running")

    def __init__(self, live: LiveKey) -> None:
        #: requests under way
        self.running = 0
        #: by the id of a model, of which a fleet has so many: a list of patterns is long
        self._may_use: dict[str, bool] = {}
        self._rate: RateLimit | None = None
        self.update(live)

    def update(self, live: LiveKey) -> None:
        self.live = live
        self._may_use.clear()
        self.caller = Caller(live.account_id, live.account)
        self.labels = RequestLabels(live.name, live.account)
        per_minute = live.requests_per_minute
        if per_minute is None:
            self._rate = None
        elif self._rate is None or self._rate.per_minute != per_minute:
            self._rate = RateLimit(per_minute, time.monotonic())

    def allow_model(self, model: str) -> None:
        """Raise `PermissionDenied` unless the key may use the model."""
        if self.live.models and not self.may_see(model):
            raise PermissionDenied(
                f"this API key may not use the model {model}",
                param="model",
                details={"limit": "models", "level": "key"},
            )

    def may_see(self, model: str) -> bool:
        """True if the key may use a model of the fleet."""
        models = self.live.models
        if not models:
            return True
        may_use = self._may_use.get(model)
        if may_use is None:
            may_use = any(matches(pattern, model) for pattern in models)
            self._may_use[model] = may_use
        return may_use

    def acquire(self, scope: str | None = INFERENCE) -> None:
        """Count a request in, to be followed by `leave()`.

        Raises `PermissionDenied` for a key of another scope than the request needs, if it needs
        one, and `RateLimited`.
        """
        if scope is not None and self.live.scope != scope:
            raise PermissionDenied(_MANAGES, details={"limit": "scope", "level": "key"})
        if self._rate is not None:
            wait = self._rate.admit(time.monotonic())
            if wait:
                raise RateLimited(
                    f"this API key may send {self._rate.per_minute} requests a minute;"
                    f" try again in {wait:.1f}s",
                    retry_after_seconds=wait,
                    details={"limit": "requests_per_minute", "level": "key"},
                )
        at_most = self.live.concurrent_requests
        if at_most is not None and self.running >= at_most:
            raise RateLimited(
                f"this API key may have {at_most} requests under way at once",
                retry_after_seconds=1.0,
                details={"limit": "concurrent_requests", "level": "key"},
            )
        self.running += 1

    def leave(self) -> None:
        """Count a request out."""
        self.running -= 1
        assert self.running >= 0, "a request leaves once"


class KeyCache:
    """All keys of the database, by hash."""

    POLL_SECONDS = 0.5
    STALE_SECONDS = 2.0

    def __init__(
        self,
        peppers: dict[int, bytes],
        read_changes: Callable[[int], Awaitable[KeyChanges]],
        read_by_hash: Callable[[list[bytes]], Awaitable[LiveKey | None]],
        metrics: Metrics,
    ) -> None:
        #: of the two newest peppers, newest first
        self._hashers = [KeyHasher(peppers[number]) for number in sorted(peppers, reverse=True)[:2]]
        self._read_changes = read_changes
        self._read_by_hash = read_by_hash
        self._metrics = metrics
        self._keys: dict[int, CachedKey] = {}
        #: keys, and until when each hash of theirs holds; None: for ever
        self._by_hash: dict[bytes, tuple[CachedKey, datetime | None]] = {}
        self._version = -1
        self._clock_offset = timedelta()
        self._polled_at = float("-inf")
        self._lookups: SingleFlight[bytes, None] = SingleFlight()
        self._lookup_rate = Window(LOOKUPS_PER_SECOND_MAX, 1.0)
        #: hashes that no key had, the longest known first
        self._unknown: OrderedDict[bytes, None] = OrderedDict()
        #: ids of keys that were used
        self.used: dict[int, None] = {}

    @property
    def is_loaded(self) -> bool:
        return self._version >= 0

    @property
    def age_seconds(self) -> float:
        """Since the last good poll; infinite before the first one."""
        return time.monotonic() - self._polled_at

    @property
    def is_fresh(self) -> bool:
        """True if a poll was good within the last seconds."""
        return self.age_seconds < self.STALE_SECONDS

    def keys(self) -> list[LiveKey]:
        """All keys that are not revoked."""
        return [key.live for key in self._keys.values()]

    async def poll(self) -> None:
        """Take over what changed since the last poll. Raises `DatabaseUnavailable`."""
        began = time.monotonic()
        changes = await self._read_changes(self._version)
        if changes.version < self._version:
            # An older database than a moment ago: a backup, or a failover that lost its last
            # moments. The changes read since are not true, and their numbers are given again.
            changes = await self._read_changes(-1)
            there = {live.name for live in changes.keys}
            self._metrics.forget({key.live.name for key in self._keys.values()} - there)
            self._keys.clear()
            self._by_hash.clear()
            self._unknown.clear()
        self._clock_offset = changes.now - datetime.now(UTC)
        self._report_changes(changes)
        for live in changes.keys:
            self._put(live)
        self._version = changes.version
        self._polled_at = began

    async def authenticate(self, headers: Headers) -> tuple[CachedKey, bytes]:
        """The key that a request's credentials name, and the hash it was known by.

        Every credential is tried and unknown ones are ignored. Raises `InvalidCredential` when
        none is valid, or when two valid ones name different keys.
        """
        found: tuple[CachedKey, bytes] | None = None
        sent = 0
        for name, value in headers:
            if name not in _CREDENTIAL_HEADERS:
                continue
            plaintext = _plaintext(name, value)
            if not plaintext:
                continue
            sent += 1
            if sent > CREDENTIALS_MAX:
                raise InvalidCredential(f"more than {CREDENTIALS_MAX} API keys were sent; send one")
            match = self._find(plaintext) or await self._look_up(plaintext)
            if match is None:
                continue
            if found is not None and found[0] is not match[0]:
                raise InvalidCredential("two different API keys were sent; send one")
            found = match
        if found is None:
            raise InvalidCredential(_NOT_VALID if sent else _NO_KEY)
        self.used[found[0].live.id] = None
        return found

    def _find(self, plaintext: bytes) -> tuple[CachedKey, bytes] | None:
        for hasher in self._hashers:
            hashed = hasher.hash(plaintext)
            match = self._by_hash.get(hashed)
            if match is not None:
                key, until = match
                is_live = until is None or datetime.now(UTC) + self._clock_offset < until
                return (key, hashed) if is_live else None
        return None

    async def _look_up(self, plaintext: bytes) -> tuple[CachedKey, bytes] | None:
        """Ask the database for a key that may be newer than the last poll."""
        if not has_checksum(plaintext.decode("latin-1")):
            return None
        hashes = [hasher.hash(plaintext) for hasher in self._hashers]
        newest = hashes[0]
        if newest in self._unknown or any(hashed in self._by_hash for hashed in hashes):
            return None
        if newest not in self._lookups and not self._may_look_up():
            return None
        await self._lookups.run(newest, lambda: self._fetch(hashes))
        return self._find(plaintext)

    def _may_look_up(self) -> bool:
        is_free = len(self._lookups) < LOOKUPS_PER_SECOND_MAX  # a database may be slow
        return is_free and self._lookup_rate.admit(time.monotonic())

    async def _fetch(self, hashes: list[bytes]) -> None:
        version = self._version
        live = await self._read_by_hash(hashes)
        if live is not None and version != self._version:
            # A poll came in between, and may have known better: of a revocation, for one.
            live = await self._read_by_hash(hashes)
        if live is not None:
            self._metrics.know([live.name])
            self._put(live)
        if not any(hashed in self._by_hash for hashed in hashes):
            self._unknown[hashes[0]] = None
            if len(self._unknown) > UNKNOWN_MAX:
                self._unknown.popitem(last=False)

    def _report_changes(self, changes: KeyChanges) -> None:
        """Report to the metrics which keys are new and which are gone, and how long ago
        they went."""
        for live in changes.keys:
            known = self._keys.get(live.id)
            if live.revoked_at is None or known is None:
                continue
            self._metrics.revoked(max(0.0, (changes.now - live.revoked_at).total_seconds()))
        gone = {live.name for live in changes.keys if live.revoked}
        if gone:
            self._metrics.forget(gone)
        self._metrics.know(live.name for live in changes.keys if not live.revoked)

    def _put(self, live: LiveKey) -> None:
        """Hold a key as it is now; of one that is revoked, nothing."""
        key = self._keys.get(live.id)
        if key is not None:
            for old in key.live.hashes:
                self._by_hash.pop(old.hash, None)
            key.update(live)
        if live.revoked:
            self._keys.pop(live.id, None)
            return
        if key is None:
            key = self._keys[live.id] = CachedKey(live)
        for issued in live.hashes:
            ends = [end for end in (live.expires_at, issued.expires_at) if end is not None]
            until = _LONG_AGO if live.suspended else min(ends, default=None)
            self._by_hash[issued.hash] = (key, until)


def _plaintext(name: bytes, value: bytes) -> bytes:
    if value[:7] == b"Bearer ":  # as nearly all are
        return value[7:].strip() if name == b"authorization" else value.strip()
    value = value.strip()
    if name == b"authorization":
        scheme, _, rest = value.partition(b" ")
        return rest.strip() if scheme.lower() == b"bearer" else b""
    return value
