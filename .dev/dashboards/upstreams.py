"""Rows of the service dashboard on upstreams: whom the gateways ask, and what becomes of it."""

from dashboards.board import Json
from dashboards.panels import BLUE, GREEN, ORANGE, RED, YELLOW, graph, timeline
from dashboards.queries import REPLICA, quantiles, rate, rates

_UPSTREAM = f'{REPLICA},upstream=~"$upstream"'
_CLASSES = {
    "unreachable": RED, "timeout": ORANGE, "overloaded": YELLOW, "failed": "dark-red",
    "misconfigured": "purple", "refused": BLUE, "broken": "dark-orange",
}  # fmt: skip


def upstreams() -> list[Json]:
    errors = "faregate_upstream_errors_total"
    return [
        graph(
            "Requests, by upstream",
            "Sent.",
            rates("faregate_upstream_requests_total", _UPSTREAM, "upstream"),
            "reqps",
        ),
        graph(
            "Errors, by kind",
            "refused: it says that the client's request is wrong. broken: cut, or an error after "
            "the first byte. misconfigured: our credential, or its own limit for us.",
            {"{{upstream}} {{class}}": rate(errors, _UPSTREAM, "upstream, class")},
            "reqps",
            stacked=True,
            colours={f"/ {name}$/": colour for name, colour in _CLASSES.items()},
            without="None",
        ),
        graph(
            "Share that fails, by upstream",
            "All kinds of errors but `refused`. Made by the recording rules.",
            {
                "{{upstream}}": (
                    "namespace_upstream:faregate_upstream_errors:ratio5m"
                    '{namespace=~"$namespace",upstream=~"$upstream"}'
                )
            },
            "percentunit",
            limit=0.5,
            highest=1,
            without="None, or the recording rules are not loaded",
        ),
        graph(
            "First byte, p95 by upstream",
            "From sending to the upstream's first byte.",
            quantiles(
                "faregate_upstream_time_to_first_byte_seconds", _UPSTREAM, 0.95, by="upstream"
            ),
            "s",
        ),
        *_places(),
    ]


def _places() -> list[Json]:
    return [
        graph(
            "Places, by upstream",
            "Requests sent and not ended, and those that wait for one of its places.",
            {
                f"{{{{upstream}}}} {state.replace('_', ' ')}": (
                    f"sum by (upstream) (faregate_upstream_{state}_requests{{{_UPSTREAM}}})"
                )
                for state in ("in_flight", "waiting")
            },
            "locale",
        ),
        graph(
            "Went on to the next upstream",
            "Requests that this upstream could not serve.",
            rates("faregate_upstream_fallbacks_total", _UPSTREAM, "upstream"),
            "reqps",
            without="None",
        ),
        timeline(
            "Circuits",
            "Open: the replica has stopped asking this upstream for a while.",
            f"max by (upstream, pod) (faregate_upstream_circuit_open{{{_UPSTREAM}}})",
            "{{upstream}} {{pod}}",
            {"0": ("closed", GREEN), "1": ("open", RED)},
            width=24,
            height=6,
        ),
    ]
