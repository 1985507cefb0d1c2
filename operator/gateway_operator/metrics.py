"""The metrics of the operator. Labels only ever hold names from known sets.

A pass over the books or the cluster replaces the figures of the pass before, so the series of an
object go with the object.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import time
from typing import Any

from msgspec import Struct
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.store.audit_rounds import AuditRound
from gateway.store.balances import AccountBalance
from gateway.store.counts import GRANT_STATES, KEY_STATES

#: the reason of an error that is none of ours
BUG = "Failed"
KINDS = ("Account", "ApiKey", "CreditAllowance", "CreditGrant", "GatewayFleet")
#: accounts that have series of their own
ACCOUNTS_MAX = 10_000
_RECONCILE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REVOCATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60)


class OperatorMetrics(Collector):
    """All metrics of one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no type there
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._duration = Histogram(
            "faregate_reconcile_duration_seconds",
            "Time that the work on one object took.",
            ("kind",),
            buckets=_RECONCILE_BUCKETS,
            registry=self._registry,
        )
        self._errors = Counter(
            "faregate_reconcile_errors",
            "Work on objects that failed and is tried again, by what was wrong.",
            ("kind", "reason"),
            registry=self._registry,
        )
        self._queue = self._gauge(
            "faregate_reconcile_queue", "Objects that wait for work or are worked on.", "kind"
        )
        self._revocation = Histogram(
            "faregate_revocation_propagation_seconds",
            "From the deletion or change of an ApiKey to its key being marked dead.",
            ("stage",),
            buckets=_REVOCATION_BUCKETS,
            registry=self._registry,
        ).labels("marked")
        self._sweep = self._gauge(
            "faregate_sweep_timestamp_seconds", "When everything was last compared with everything."
        )
        self._usage_counted = self._gauge(
            "faregate_usage_counted_timestamp_seconds",
            "When the operator last came to the end of counting usage.",
        )
        self._database_up = self._gauge(
            "faregate_database_up", "Whether the database answered when it was last asked."
        )
        self._refused = self._gauge(
            "faregate_refused_namespaces",
            "Named namespaces that are not served, as they are gone or refuse the operator.",
        )
        self._gauge("faregate_build_info", "The release.", "version").labels(__version__).set(1)
        for kind in KINDS:
            self._duration.labels(kind)
            self._errors.labels(kind, BUG)
            self._queue.labels(kind)
        self._states: dict[str, Mapping[str, int]] = {
            "faregate_keys": dict.fromkeys(KEY_STATES, 0),
            "faregate_grants": dict.fromkeys(GRANT_STATES, 0),
        }
        self._accounts: Sequence[AccountBalance] = ()
        self._objects: Mapping[tuple[str, str], int] = {}
        self._fleets: dict[str, _Fleet] = {}
        self._audit: tuple[AuditRound, float, float] | None = None
        self._registry.register(self)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self._registry)

    @contextmanager
    def waiting(self, kind: str) -> Iterator[None]:
        """An object waits, or is worked on, for as long as this is open."""
        self.queued(kind, 1)
        try:
            yield
        finally:
            self.queued(kind, -1)

    def queued(self, kind: str, more: int) -> None:
        """So many more objects wait for their turn, or fewer."""
        self._queue.labels(kind).inc(more)

    @contextmanager
    def reconciling(self, kind: str) -> Iterator[None]:
        """The work on one object, from its beginning to its end."""
        with self._duration.labels(kind).time():
            yield

    def failed(self, kind: str, reason: str) -> None:
        """Work on an object failed; `reason` is the name of one of our errors, or `BUG`."""
        self._errors.labels(kind, reason).inc()

    def revoked(self, seconds: float) -> None:
        """A key was marked dead so long after somebody wanted it so."""
        self._revocation.observe(max(0.0, seconds))

    def swept(self) -> None:
        """A whole sweep came to its end."""
        self._sweep.set(time())

    def usage_counted(self) -> None:
        """All usage that there was is counted."""
        self._usage_counted.set(time())

    def database_answered(self, is_up: bool) -> None:
        self._database_up.set(is_up)

    def read_accounts(self, accounts: Sequence[AccountBalance]) -> None:
        self._accounts = accounts

    def counted(self, keys: Mapping[str, int], grants: Mapping[str, int]) -> None:
        self._states = {"faregate_keys": keys, "faregate_grants": grants}

    def audited(self, found: AuditRound, seconds: float) -> None:
        self._audit = (found, time(), seconds)

    def saw_objects(self, objects: Mapping[tuple[str, str], int]) -> None:
        """Keep the number of objects by kind and reason."""
        self._objects = objects

    def saw_namespaces(self, refused: int) -> None:
        """Record the number of named namespaces that are not served."""
        self._refused.set(refused)

    def saw_fleet(self, name: str, is_ready: bool, workload: dict[str, Any] | None) -> None:
        """Keep the state of a fleet, with its Deployment if there is one."""
        status = (workload or {}).get("status") or {}
        self._fleets[name] = _Fleet(
            is_ready=is_ready,
            wanted=((workload or {}).get("spec") or {}).get("replicas", 0),
            ready=status.get("readyReplicas", 0),
            updated=status.get("updatedReplicas", 0),
        )

    def saw_fleets(self, names: Iterable[str]) -> None:
        """These are all that there are."""
        self._fleets = {name: self._fleets[name] for name in names if name in self._fleets}

    def collect(self) -> Iterable[Metric]:
        """The metrics that are kept as they were found last."""
        yield _family(
            "faregate_account_balance_credits",
            "What the account can spend.",
            ("account",),
            (((one.account,), one.balance) for one in self._accounts),
        )
        yield _family(
            "faregate_account_granted_credits",
            "What the account could spend right after its latest grant.",
            ("account",),
            (((one.account,), one.granted) for one in self._accounts),
        )
        for name, meaning in (
            ("faregate_keys", "Keys by their state."),
            ("faregate_grants", "Posted grants by their state."),
        ):
            counted = self._states[name].items()
            yield _family(name, meaning, ("state",), (((state,), n) for state, n in counted))
        yield _family(
            "faregate_objects",
            "Objects by the reason of their condition Ready.",
            ("kind", "reason"),
            self._objects.items(),
        )
        yield from self._of_fleets()
        yield from self._of_the_audit()

    def _of_fleets(self) -> Iterator[Metric]:
        fleets = tuple(self._fleets.items())
        yield _family(
            "faregate_fleet_ready",
            "Whether all replicas of the fleet are ready with its configuration.",
            ("fleet",),
            (((name,), state.is_ready) for name, state in fleets),
        )
        yield _family(
            "faregate_fleet_replicas",
            "Replicas of the fleet: wanted, ready, and of its newest configuration.",
            ("fleet", "state"),
            (
                ((name, which), number)
                for name, state in fleets
                for which, number in (
                    ("wanted", state.wanted),
                    ("ready", state.ready),
                    ("updated", state.updated),
                )
            ),
        )

    def _of_the_audit(self) -> Iterator[Metric]:
        if self._audit is None:
            return
        found, ended_at, seconds = self._audit
        for name, meaning, value in (
            ("faregate_ledger_drift_credits", "By how much the books are wrong.", found.drift),
            ("faregate_ledger_audit_timestamp_seconds", "When the last audit ended.", ended_at),
            ("faregate_ledger_audit_duration_seconds", "How long it took.", seconds),
            ("faregate_open_holds", "Charged requests that have not ended.", found.open_holds),
        ):
            yield GaugeMetricFamily(name, meaning, value)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes; with many accounts the work of a thread."""
        return generate_latest(self._registry)


class _Fleet(Struct, frozen=True):
    """The state of a fleet: its Deployment's replicas."""

    is_ready: bool
    wanted: int
    ready: int
    updated: int


def _family(
    name: str,
    meaning: str,
    labels: Sequence[str],
    samples: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family
