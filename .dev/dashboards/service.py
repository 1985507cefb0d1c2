"""The gateways' service: the objective, latency, errors, upstreams, saturation, roll-outs."""

from dashboards.board import Json, board, namespace, variable
from dashboards.panels import (
    GREEN,
    ORANGE,
    RED,
    STATUSES,
    YELLOW,
    figure,
    graph,
    heatmap,
)
from dashboards.queries import REPLICA, quantiles, rates
from dashboards.replicas import replicas, rollouts
from dashboards.upstreams import upstreams

_MODEL = f'{REPLICA},model=~"$model"'
_REQUESTS = f"faregate_requests_total{{{_MODEL}}}"
_FAILED = f'faregate_requests_total{{{_MODEL},code=~"5.."}}'
#: of requests, what may fail; alerts.yaml has the same
_MAY_FAIL = "0.005"


def service() -> Json:
    return board(
        "service",
        "Faregate: service",
        "How well the gateways serve, what their upstreams do, and how much room is left. A failed "
        "request is one that ended with a 5xx.",
        [
            namespace("faregate_requests_total"),
            variable(
                "fleet",
                "Fleet",
                'label_values(faregate_build_info{namespace=~"$namespace"}, faregate_dev_fleet)',
                "A GatewayFleet.",
            ),
            variable(
                "pod",
                "Replica",
                'label_values(faregate_build_info{namespace=~"$namespace",'
                'faregate_dev_fleet=~"$fleet",faregate_dev_fleet!=""}, pod)',
                "The pod of a gateway.",
            ),
            variable(
                "model",
                "Model",
                'label_values(faregate_requests_total{namespace=~"$namespace"}, model)',
                "The name that clients send.",
            ),
            variable(
                "upstream",
                "Upstream",
                'label_values(faregate_upstream_requests_total{namespace=~"$namespace"}, upstream)',
                "Its name in the fleet.",
            ),
        ],
        {
            "At a glance": _figures(),
            "Requests": _requests(),
            "Upstreams": upstreams(),
            "Charges and the database": _database(),
            "Replicas": replicas(),
            "Roll-outs": rollouts(),
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
            'count(ALERTS{alertname=~"Faregate.+",alertstate="firing",'
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
            f"sum(faregate_in_flight_requests{{{_MODEL}}})",
            "locale",
            trend=True,
        ),
        figure(
            "First byte, p95",
            "From a request's head to the upstream's first byte.",
            quantiles("faregate_time_to_first_byte_seconds", _MODEL, 0.95)["p95"],
            "s",
            trend=True,
            without="No requests",
        ),
        figure(
            "Replicas",
            "Gateways that are scraped.",
            f"count(faregate_event_loop_delay_seconds{{{REPLICA}}})",
            "locale",
            steps=[(None, RED), (1, ORANGE), (2, GREEN)],
        ),
    ]


def _requests() -> list[Json]:
    burn = {
        f"{window} {{{{namespace}}}}": (
            f"namespace:faregate_requests_failed:ratio{window}"
            f'{{namespace=~"$namespace"}} / {_MAY_FAIL}'
        )
        for window in ("5m", "1h", "6h", "3d")
    }
    return [
        graph(
            "Answers, by status",
            "402: no credits. 429: over a limit. 499: the client left. 5xx: the gateway or its "
            "upstream failed.",
            rates("faregate_requests_total", _MODEL, "code"),
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
            {"{{model}}": f"sum by (model) (faregate_in_flight_requests{{{_MODEL}}})"},
            "locale",
            stacked=True,
        ),
        *_latencies(),
        graph(
            "Requests, by route",
            "A route is the protocol that clients speak, or `free`.",
            rates("faregate_requests_total", _MODEL, "route"),
            "reqps",
            stacked=True,
        ),
        graph(
            "Features dropped",
            "Requests of which the model or its upstream cannot do a part.",
            rates("faregate_degraded_requests_total", _MODEL, "feature"),
            "reqps",
            without="None",
        ),
        graph(
            "Ends that are not known",
            "Answers whose upstream stated an end that this release does not know, by model.",
            rates("faregate_unknown_finish_reasons_total", _MODEL, "model"),
            "reqps",
            without="None",
        ),
        graph(
            "Messages about limits",
            "What became of the messages to the fleet's web hook.",
            rates("faregate_webhook_messages_total", REPLICA, "result"),
            "cps",
            stacked=True,
            colours={"delivered": GREEN, "failed": YELLOW, "given_up": RED},
            without="None",
        ),
    ]


def _latencies() -> list[Json]:
    return [
        graph(
            "Time to the first byte",
            "From a request's head to the upstream's first byte.",
            quantiles("faregate_time_to_first_byte_seconds", _MODEL, 0.5, 0.95, 0.99),
            "s",
        ),
        graph(
            "Time to the first byte, p95 by model",
            "From a request's head to the upstream's first byte.",
            quantiles("faregate_time_to_first_byte_seconds", _MODEL, 0.95, by="model"),
            "s",
        ),
        heatmap(
            "First bytes",
            "How many requests had their first byte after how long.",
            "sum by (le) (increase("
            f"faregate_time_to_first_byte_seconds_bucket{{{_MODEL}}}[$__rate_interval]))",
        ),
        graph(
            "Whole requests",
            "From a request's head to its answer's last byte: as long as the model talks.",
            quantiles("faregate_request_duration_seconds", _MODEL, 0.5, 0.95, 0.99),
            "s",
        ),
    ]


def _database() -> list[Json]:
    return [
        graph(
            "A charge",
            "From asked to durable. Every charged request waits for one.",
            quantiles("faregate_charge_duration_seconds", REPLICA, 0.5, 0.95, 0.99),
            "s",
        ),
        graph(
            "Calls to the database that failed",
            "Each may be a request that was answered with 503.",
            rates("faregate_database_errors_total", REPLICA, "pod"),
            "cps",
            without="None",
        ),
        graph(
            "Age of the keys",
            "Since a replica's last good poll. Above 2 s it answers free routes with 503.",
            {"{{pod}}": f"max by (pod) (faregate_key_poll_age_seconds{{{REPLICA}}})"},
            "s",
            limit=2,
        ),
        graph(
            "Age of the usage",
            "Since this replica counted all usage; nothing is shown where the operator counts it.",
            {
                "{{pod}}": (
                    "time() - max by (pod)"
                    f" (faregate_usage_counted_timestamp_seconds{{{REPLICA}}} > 0)"
                )
            },
            "s",
            without="The operator counts",
        ),
    ]
