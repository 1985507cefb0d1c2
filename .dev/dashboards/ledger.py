"""The books and who keeps them: drift, balances, grants, keys, reconciling, revocations."""

from dashboards.board import Json, board, namespace, variable
from dashboards.panels import BLUE, GREEN, ORANGE, RED, YELLOW, figure, graph, table, timeline
from dashboards.queries import quantiles, rate

_HERE = 'namespace=~"$namespace"'
_ACCOUNTS = f'{_HERE},account=~"$account"'
_KINDS = f'{_HERE},kind=~"$kind"'
#: the operator's own process, apart from all else that is scraped in its namespace
_OPERATOR = f"and on (namespace, pod) faregate_sweep_timestamp_seconds{{{_HERE}}}"
_UNSEEN = "The operator is not scraped"


def _most(metric: str, labels: str = _HERE, by: str = "namespace") -> str:
    """One series, from any pod of the operator."""
    return f"max by ({by}) ({metric}{{{labels}}})"


def ledger_and_operator() -> Json:
    return board(
        "ledger-and-operator",
        "Faregate: ledger and operator",
        "Whether the books are right, what accounts have left, and whether the operator keeps up.",
        [
            namespace("faregate_sweep_timestamp_seconds"),
            variable(
                "account",
                "Account",
                f"label_values(faregate_account_balance_credits{{{_HERE}}}, account)",
                "Who pays, with its namespace.",
            ),
            variable(
                "kind",
                "Kind",
                f"label_values(faregate_objects{{{_HERE}}}, kind)",
                "Account, ApiKey, CreditAllowance, CreditGrant or GatewayFleet.",
            ),
        ],
        {
            "At a glance": _figures(),
            "Accounts": _accounts(),
            "The ledger": _ledger(),
            "Revocations": _revocations(),
            "The operator": _operator(),
        },
        since="now-24h",
    )


def _figures() -> list[Json]:
    yes_or_no = {"0": ("away", RED), "1": ("up", GREEN)}
    return [
        figure(
            "Drift",
            "Differences between balances and entries, in credits. It must be 0.",
            f"max(faregate_ledger_drift_credits{{{_HERE}}})",
            "locale",
            steps=[(None, GREEN), (1, RED)],
            words={"0": ("none", GREEN)},
            without="No audit yet",
        ),
        figure(
            "Last audit",
            "Since the end of the latest comparison of balances with entries.",
            f"time() - max(faregate_ledger_audit_timestamp_seconds{{{_HERE}}})",
            "s",
            steps=[(None, GREEN), (300, ORANGE), (900, RED)],
            without="No audit yet",
        ),
        figure(
            "Open holds",
            "Requests that were charged and have not ended.",
            f"max(faregate_open_holds{{{_HERE}}})",
            "locale",
            trend=True,
            without=_UNSEEN,
        ),
        figure(
            "Database",
            "Whether the operator reaches PostgreSQL.",
            f"max(faregate_database_up{{{_HERE}}})",
            "none",
            words=yes_or_no,
            without=_UNSEEN,
        ),
        figure(
            "Last sweep",
            "Since the operator compared everything with everything.",
            f"time() - max(faregate_sweep_timestamp_seconds{{{_HERE}}})",
            "s",
            steps=[(None, GREEN), (600, ORANGE), (900, RED)],
            without=_UNSEEN,
        ),
        figure(
            "Fleets",
            "How many are Ready, of all.",
            f"sum({_most('faregate_fleet_ready', by='namespace, fleet')})"
            f" / count({_most('faregate_fleet_ready', by='namespace, fleet')})",
            "percentunit",
            steps=[(None, RED), (1, GREEN)],
            without="No fleet",
        ),
    ]


def _accounts() -> list[Json]:
    by = "account"
    hourly = f"namespace_account:faregate_credits_spent:rate1h{{{_ACCOUNTS}}}"
    balance = _most("faregate_account_balance_credits", _ACCOUNTS, by)
    granted = _most("faregate_account_granted_credits", _ACCOUNTS, by)
    return [
        table(
            "Accounts",
            "What is left of the balance right after the latest grant, and for how long it lasts "
            "at the rate of the last hour (by the recording rules).",
            {
                "Balance": (balance, "locale"),
                "After the latest grant": (granted, "locale"),
                "Left": (f"{balance} / ({granted} > 0)", "percentunit"),
                "Credits an hour": (f"3600 * sum by ({by}) ({hourly})", "locale"),
                "Lasts": (f"{balance} / (sum by ({by}) ({hourly}) > 0)", "s"),
            },
            names={"account": "Account"},
            sort="Credits an hour",
            shares=("Left",),
            width=16,
            without=_UNSEEN,
        ),
        graph(
            "Balance, by account",
            "The ten that have least.",
            {"{{account}}": f"bottomk(10, {balance})"},
            "locale",
            height=9,
            without=_UNSEEN,
        ),
    ]


def _ledger() -> list[Json]:
    return [
        graph(
            "Grants, by state",
            "Posted grants.",
            {"{{state}}": _most("faregate_grants", by="state")},
            "locale",
            stacked=True,
            colours={"live": GREEN, "spent": BLUE, "expired": YELLOW, "voided": RED},
            without=_UNSEEN,
        ),
        graph(
            "Keys, by state",
            "Of all namespaces.",
            {"{{state}}": _most("faregate_keys", by="state")},
            "locale",
            stacked=True,
            colours={"live": GREEN, "suspended": YELLOW, "expired": BLUE, "revoked": RED},
            without=_UNSEEN,
        ),
        graph(
            "Audits and holds",
            "How long an audit takes, and how many requests are charged and not ended.",
            {
                "audit, seconds": _most("faregate_ledger_audit_duration_seconds"),
                "open holds": _most("faregate_open_holds"),
            },
            "short",
            without=_UNSEEN,
        ),
    ]


def _revocations() -> list[Json]:
    metric = "faregate_revocation_propagation_seconds"

    def until(stage: str) -> str:
        buckets = f'{metric}_bucket{{{_HERE},stage="{stage}"}}'
        return f"histogram_quantile(0.99, sum by (le) (increase({buckets}[$__range])))"

    return [
        figure(
            "Revoked",
            "Marks that the operator committed in the time shown.",
            f'sum(increase({metric}_count{{{_HERE},stage="marked"}}[$__range]))',
            "locale",
            width=6,
        ),
        figure(
            "Until marked, p99",
            "From an object's deletion or change to the mark in the database.",
            until("marked"),
            "s",
            steps=[(None, GREEN), (2, RED)],
            width=6,
            without="None revoked",
        ),
        figure(
            "Until known, p99",
            "From the mark to every replica knowing it.",
            until("known"),
            "s",
            steps=[(None, GREEN), (2, RED)],
            width=6,
            without="None revoked",
        ),
        figure(
            "Oldest view of the keys",
            "Of all replicas: since the last good poll.",
            f"max(faregate_key_poll_age_seconds{{{_HERE}}})",
            "s",
            steps=[(None, GREEN), (2, RED)],
            width=6,
            without="No gateway is scraped",
        ),
    ]


def _operator() -> list[Json]:
    duration = "faregate_reconcile_duration_seconds"
    errors = "faregate_reconcile_errors_total"
    return [
        table(
            "Objects",
            "By the reason of their condition Ready.",
            {"Objects": (_most("faregate_objects", _KINDS, "kind, reason"), "locale")},
            names={"kind": "Kind", "reason": "Reason"},
            sort="Objects",
            width=8,
            without=_UNSEEN,
        ),
        graph(
            "Work on one object, p95",
            "From looking at it to its status.",
            {"{{kind}}": quantiles(duration, _KINDS, 0.95, by="kind")["p95 {{kind}}"]},
            "s",
            height=9,
            without="No work",
        ),
        graph(
            "Waiting or under way",
            "Objects, by kind.",
            {"{{kind}}": _most("faregate_reconcile_queue", _KINDS, "kind")},
            "locale",
            height=9,
            without=_UNSEEN,
        ),
        graph(
            "Errors, by reason",
            "Attempts that failed; each is tried again.",
            {"{{kind}} {{reason}}": rate(errors, _KINDS, "kind, reason")},
            "cps",
            without="None",
        ),
        *_fleets_and_process(),
    ]


def _fleets_and_process() -> list[Json]:
    cpu = "process_cpu_seconds_total"
    return [
        timeline(
            "Fleets",
            "Whether each GatewayFleet is Ready.",
            _most("faregate_fleet_ready", by="fleet"),
            "{{fleet}}",
            {"0": ("not ready", RED), "1": ("ready", GREEN)},
            without="No fleet",
        ),
        graph(
            "Its process",
            "Of the operator: CPU in cores.",
            {"{{pod}}": f"rate({cpu}{{{_HERE}}}[$__rate_interval]) {_OPERATOR}"},
            "short",
            width=4,
            without=_UNSEEN,
        ),
        graph(
            "Its memory",
            "Of the operator, resident.",
            {"{{pod}}": f"process_resident_memory_bytes{{{_HERE}}} {_OPERATOR}"},
            "bytes",
            width=4,
            without=_UNSEEN,
        ),
        graph(
            "Namespaces that are not served",
            "They are watched, but are gone or refuse the operator.",
            {"{{namespace}}": _most("faregate_refused_namespaces")},
            "locale",
            width=24,
            height=5,
            without=_UNSEEN,
        ),
    ]
