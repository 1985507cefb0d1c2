"""How well the gateways serve: the objective, latency, errors, upstreams, saturation, roll-outs."""

from dashboards.board import Json, board, namespace, variable
from dashboards.panels import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    STATUSES,
    YELLOW,
    Query,
    figure,
    graph,
    heatmap,
    timeline,
)

_REPLICA = 'namespace=~"$namespace",tollgate_dev_fleet=~"$fleet",pod=~"$pod"'
_MODEL = f'{_REPLICA},model=~"$model"'
_UPSTREAM = f'{_REPLICA},upstream=~"$upstream"'
_REQUESTS = f"tollgate_requests_total{{{_MODEL}}}"
_FAILED = f'tollgate_requests_total{{{_MODEL},code=~"5.."}}'
#: of requests, what may fail; alerts.yaml says the same
_MAY_FAIL = "0.005"
_CLASSES = {
    "unreachable": RED, "timeout": ORANGE, "overloaded": YELLOW, "failed": "dark-red",
    "misconfigured": "purple", "refused": BLUE, "broken": "dark-orange",
}  # fmt: skip


def _quantiles(metric: str, labels: str, *quantiles: float, by: str = "") -> list[Query]:
    names = f"{by}, le" if by else "le"
    buckets = f"sum by ({names}) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (f"histogram_quantile({quantile}, {buckets})", f"p{quantile * 100:g}{legend}")
        for quantile in quantiles
    ]


def _rate(metric: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def service() -> Json:
    return board(
        "service",
        "Tollgate: service",
        "How well the gateways serve, what their upstreams do, and how much room is left. A failed "
        "request is one that ended with a 5xx.",
        [
            namespace("tollgate_requests_total"),
            variable(
                "fleet",
                "Fleet",
                'label_values(tollgate_build_info{namespace=~"$namespace"}, tollgate_dev_fleet)',
                "A GatewayFleet.",
            ),
            variable(
                "pod",
                "Replica",
                'label_values(tollgate_build_info{namespace=~"$namespace",'
                'tollgate_dev_fleet=~"$fleet",tollgate_dev_fleet!=""}, pod)',
                "The pod of a gateway.",
            ),
            variable(
                "model",
                "Model",
                'label_values(tollgate_requests_total{namespace=~"$namespace"}, model)',
                "The name that clients send.",
            ),
            variable(
                "upstream",
                "Upstream",
                'label_values(tollgate_upstream_requests_total{namespace=~"$namespace"}, upstream)',
                "Its name in the fleet.",
            ),
        ],
        {
            "At a glance": _figures(),
            "Requests": _requests(),
            "Upstreams": _upstreams(),
            "Charges and the database": _database(),
            "Replicas": _replicas(),
            "Roll-outs": _rollouts(),
        },
    )


def _figures() -> list[Json]:
    failed = f"(sum(increase({_FAILED}[$__range])) or vector(0))"
    return [
        figure(
            "Not failed",
            "Of the requests in the time shown. The objective is 99.5 % in 30 days.",
            f"1 - {failed} / sum(increase({_REQUESTS}[$__range]))",
            "percentunit",
            steps=[(None, RED), (0.99, ORANGE), (0.995, GREEN)],
            without="No requests",
        ),
        figure(
            "Alerts",
            "That fire now, of this installation.",
            'count(ALERTS{alertname=~"Tollgate.+",alertstate="firing",'
            'namespace=~"$namespace"}) or vector(0)',
            "none",
            steps=[(None, GREEN), (1, RED)],
        ),
        figure(
            "Requests",
            "Answered, in all.",
            f"sum(rate({_REQUESTS}[$__rate_interval]))",
            "reqps",
            trend=True,
        ),
        figure(
            "In flight",
            "Charged and not ended.",
            f"sum(tollgate_in_flight_requests{{{_MODEL}}})",
            "locale",
            trend=True,
        ),
        figure(
            "First byte, p95",
            "From a request's head to the upstream's first byte.",
            _quantiles("tollgate_time_to_first_byte_seconds", _MODEL, 0.95)[0][0],
            "s",
            trend=True,
            without="No requests",
        ),
        figure(
            "Replicas",
            "Gateways that are scraped.",
            f"count(tollgate_event_loop_delay_seconds{{{_REPLICA}}})",
            "locale",
            steps=[(None, RED), (1, ORANGE), (2, GREEN)],
        ),
    ]


def _requests() -> list[Json]:
    burn = [
        (
            f"namespace:tollgate_requests_failed:ratio{window}"
            f'{{namespace=~"$namespace"}} / {_MAY_FAIL}',
            f"{window} {{{{namespace}}}}",
        )
        for window in ("5m", "1h", "6h", "3d")
    ]
    return [
        graph(
            "Answers, by status",
            "402: no credits. 429: over a limit. 499: the client left. 5xx: the gateway or its "
            "upstream failed.",
            [(_rate("tollgate_requests_total", _MODEL, "code"), "{{code}}")],
            "reqps",
            stacked=True,
            colours=STATUSES,
        ),
        graph(
            "Failures against what may fail",
            "How many times as often as 99.5 % allow, by window; 1 uses up the month's failures "
            "exactly. Made by the recording rules.",
            burn,
            "short",
            limit=14.4,
            without="No requests, or the recording rules are not loaded",
        ),
        graph(
            "In flight, by model",
            "Requests charged and not ended.",
            [(f"sum by (model) (tollgate_in_flight_requests{{{_MODEL}}})", "{{model}}")],
            "locale",
            stacked=True,
        ),
        graph(
            "Time to the first byte",
            "From a request's head to the upstream's first byte.",
            _quantiles("tollgate_time_to_first_byte_seconds", _MODEL, 0.5, 0.95, 0.99),
            "s",
        ),
        graph(
            "Time to the first byte, p95 by model",
            "From a request's head to the upstream's first byte.",
            _quantiles("tollgate_time_to_first_byte_seconds", _MODEL, 0.95, by="model"),
            "s",
        ),
        heatmap(
            "First bytes",
            "How many requests had their first byte after how long.",
            "sum by (le) (increase("
            f"tollgate_time_to_first_byte_seconds_bucket{{{_MODEL}}}[$__rate_interval]))",
        ),
        graph(
            "Whole requests",
            "From a request's head to its answer's last byte: as long as the model talks.",
            _quantiles("tollgate_request_duration_seconds", _MODEL, 0.5, 0.95, 0.99),
            "s",
        ),
        graph(
            "Requests, by route",
            "A route is the protocol that clients speak, or `free`.",
            [(_rate("tollgate_requests_total", _MODEL, "route"), "{{route}}")],
            "reqps",
            stacked=True,
        ),
        graph(
            "Features dropped",
            "Requests of which the model or its upstream cannot do a part.",
            [(_rate("tollgate_degraded_requests_total", _MODEL, "feature"), "{{feature}}")],
            "reqps",
            without="None",
        ),
    ]


def _upstreams() -> list[Json]:
    errors = "tollgate_upstream_errors_total"
    return [
        graph(
            "Requests, by upstream",
            "Sent.",
            [(_rate("tollgate_upstream_requests_total", _UPSTREAM, "upstream"), "{{upstream}}")],
            "reqps",
        ),
        graph(
            "Errors, by kind",
            "refused: it says that the client's request is wrong. broken: cut, or an error after "
            "the first byte. misconfigured: our credential, or its own limit for us.",
            [(_rate(errors, _UPSTREAM, "upstream, class"), "{{upstream}} {{class}}")],
            "reqps",
            stacked=True,
            colours={f"/ {name}$/": colour for name, colour in _CLASSES.items()},
            without="None",
        ),
        graph(
            "Share that fails, by upstream",
            "All kinds of errors but `refused`. Made by the recording rules.",
            [
                (
                    "namespace_upstream:tollgate_upstream_errors:ratio5m"
                    '{namespace=~"$namespace",upstream=~"$upstream"}',
                    "{{upstream}}",
                )
            ],
            "percentunit",
            limit=0.5,
            highest=1,
            without="None, or the recording rules are not loaded",
        ),
        graph(
            "First byte, p95 by upstream",
            "From sending to the upstream's first byte.",
            _quantiles(
                "tollgate_upstream_time_to_first_byte_seconds", _UPSTREAM, 0.95, by="upstream"
            ),
            "s",
        ),
        graph(
            "Places, by upstream",
            "Requests sent and not ended, and those that wait for one of its places.",
            [
                (
                    f"sum by (upstream) (tollgate_upstream_in_flight_requests{{{_UPSTREAM}}})",
                    "{{upstream}} in flight",
                ),
                (
                    f"sum by (upstream) (tollgate_upstream_waiting_requests{{{_UPSTREAM}}})",
                    "{{upstream}} waiting",
                ),
            ],
            "locale",
        ),
        graph(
            "Went on to the next upstream",
            "Requests that this upstream could not serve.",
            [(_rate("tollgate_upstream_fallbacks_total", _UPSTREAM, "upstream"), "{{upstream}}")],
            "reqps",
            without="None",
        ),
        timeline(
            "Circuits",
            "Open: the replica has stopped asking this upstream for a while.",
            f"max by (upstream, pod) (tollgate_upstream_circuit_open{{{_UPSTREAM}}})",
            "{{upstream}} {{pod}}",
            {"0": ("closed", GREEN), "1": ("open", RED)},
            width=24,
            height=6,
        ),
    ]


def _database() -> list[Json]:
    return [
        graph(
            "A charge",
            "From asked to durable. Every charged request waits for one.",
            _quantiles("tollgate_charge_duration_seconds", _REPLICA, 0.5, 0.95, 0.99),
            "s",
        ),
        graph(
            "Calls to the database that failed",
            "Each may be a request that was answered with 503.",
            [(_rate("tollgate_database_errors_total", _REPLICA, "pod"), "{{pod}}")],
            "cps",
            without="None",
        ),
        graph(
            "Age of the keys",
            "Since a replica's last good poll. Above 2 s it answers free routes with 503.",
            [(f"max by (pod) (tollgate_key_poll_age_seconds{{{_REPLICA}}})", "{{pod}}")],
            "s",
            limit=2,
        ),
    ]


def _replicas() -> list[Json]:
    return [
        graph(
            "CPU",
            "Of the one core that a replica can use.",
            [
                (
                    f"rate(process_cpu_seconds_total{{{_REPLICA}}}[$__rate_interval])"
                    ' and on (namespace, pod) tollgate_build_info{tollgate_dev_fleet!=""}',
                    "{{pod}}",
                )
            ],
            "percentunit",
            limit=0.9,
        ),
        graph(
            "Event loop delay",
            "How late a timer ran. It grows when a replica has more to do than its core can.",
            [(f"max by (pod) (tollgate_event_loop_delay_seconds{{{_REPLICA}}})", "{{pod}}")],
            "s",
            limit=0.1,
        ),
        graph(
            "Memory",
            "Resident.",
            [
                (
                    f"process_resident_memory_bytes{{{_REPLICA}}}"
                    ' and on (namespace, pod) tollgate_build_info{tollgate_dev_fleet!=""}',
                    "{{pod}}",
                )
            ],
            "bytes",
        ),
        graph(
            "In flight, by replica",
            "Requests charged and not ended. Replicas should be alike.",
            [(f"sum by (pod) (tollgate_in_flight_requests{{{_REPLICA}}})", "{{pod}}")],
            "locale",
        ),
        graph(
            "Open files",
            "Of those that the process may have: mostly connections.",
            [
                (
                    f"process_open_fds{{{_REPLICA}}} / process_max_fds{{{_REPLICA}}}"
                    ' and on (namespace, pod) tollgate_build_info{tollgate_dev_fleet!=""}',
                    "{{pod}}",
                )
            ],
            "percentunit",
            limit=0.8,
        ),
        graph(
            "Series",
            "Of this replica's metrics, and samples that went to `other` as it may have no more.",
            [
                (f"max by (pod) (tollgate_series{{{_REPLICA}}})", "{{pod}}"),
                (
                    "sum by (pod) "
                    f"(increase(tollgate_folded_total{{{_REPLICA}}}[$__rate_interval]))",
                    "{{pod}} folded",
                ),
            ],
            "locale",
            limit=20000,
        ),
    ]


def _rollouts() -> list[Json]:
    fleet = 'namespace=~"$namespace",fleet=~"$fleet"'
    return [
        graph(
            "Replicas of the fleet",
            "As the operator sees them.",
            [
                (
                    f"max by (fleet, state) (tollgate_fleet_replicas{{{fleet}}})",
                    "{{fleet}} {{state}}",
                )
            ],
            "locale",
            colours={"/ wanted$/": BLUE, "/ ready$/": GREEN, "/ updated$/": YELLOW},
            without="The operator is not scraped",
        ),
        graph(
            "Replicas, by version",
            "Two versions at a time are a roll-out.",
            [
                (
                    "count by (version) "
                    f'(tollgate_build_info{{{_REPLICA},tollgate_dev_fleet!=""}})',
                    "{{version}}",
                )
            ],
            "locale",
            stacked=True,
        ),
        graph(
            "Age of replicas",
            "Since the process began. A line that falls to nothing is a restart.",
            [
                (
                    f"time() - process_start_time_seconds{{{_REPLICA}}}"
                    ' and on (namespace, pod) tollgate_build_info{tollgate_dev_fleet!=""}',
                    "{{pod}}",
                )
            ],
            "s",
        ),
    ]
