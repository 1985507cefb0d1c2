"""Every metric of a replica: its name without `faregate_` and its unit, its meaning, its labels.

Source: OpenMetrics 1.0, "Metric Names" and "Units": counters end in `_total`, times are seconds.
"""

from gateway.telemetry.instruments import OF_CHANGES, OF_CHARGES, OF_REQUESTS

_OF_REQUEST = ("key", "account", "model")
_AT = ("model", "route")

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "requests": ("Requests answered, by HTTP status.", (*_OF_REQUEST, "route", "code")),
    "tokens": (
        "Tokens the upstream reported: input, cached, cache_write, output or reasoning.",
        (*_OF_REQUEST, "direction"),
    ),
    "credits": (
        "Credits taken (charge), given back for failed requests (refund) and for what a charge was"
        " above its price (refund_unused), and those of a price above its charge (uncollected).",
        (*_OF_REQUEST, "kind"),
    ),
    "degraded_requests": (
        "Requests of which a feature was dropped, as nobody here offers it.",
        ("model", "feature"),
    ),
    "unknown_finish_reasons": (
        "Answers that ended for a reason nobody knows, which counts as a good end.",
        ("model",),
    ),
    "upstream_requests": (
        "Requests sent to an upstream, by HTTP status or by the kind of failure.",
        ("upstream", "code"),
    ),
    "upstream_errors": ("Requests that an upstream failed, by how.", ("upstream", "class")),
    "upstream_fallbacks": (
        "Requests that went on to the next upstream because this one failed.",
        ("upstream",),
    ),
    "cut_connections": (
        "Connections of clients that this replica cut or did not take, by why.",
        ("reason",),
    ),
    "webhook_messages": (
        "Messages to the web hook: delivered, failed (they are sent again) or given_up.",
        ("result",),
    ),
    "database_errors": ("Calls to the database that failed.", ()),
    "folded": ("Series that became `other` for want of room.", ()),
}

GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "in_flight_requests": ("Requests charged and not ended.", _AT),
    "upstream_in_flight_requests": (
        "Requests sent to an upstream and not ended.",
        ("upstream",),
    ),
    "upstream_waiting_requests": (
        "Requests that wait for one of an upstream's places.",
        ("upstream",),
    ),
    "upstream_circuit_open": (
        "1 while an upstream is not asked because it failed in a row, else 0.",
        ("upstream",),
    ),
    "client_connections": ("Connections of clients that are open.", ()),
    "key_poll_age_seconds": ("Time since the last good poll of the keys.", ()),
    "usage_counted_timestamp_seconds": (
        "When this replica last came to the end of counting usage; 0 if the operator counts.",
        (),
    ),
    "event_loop_delay_seconds": ("How late a timer ran last.", ()),
    "series": ("Series of keys, accounts and models in this replica.", ()),
    "build_info": ("The release that runs.", ("version",)),
}

HISTOGRAMS: dict[str, tuple[str, tuple[str, ...], tuple[float, ...]]] = {
    "request_duration": (
        "Time from a request's head to its answer's last byte.",
        _AT,
        OF_REQUESTS,
    ),
    "time_to_first_byte": (
        "Time from a request's head to the upstream's first byte.",
        _AT,
        OF_REQUESTS,
    ),
    "upstream_time_to_first_byte": (
        "Time from sending a request to an upstream to its first byte.",
        ("upstream",),
        OF_REQUESTS,
    ),
    "charge_duration": ("Time of a charge, from asked for to durable.", (), OF_CHARGES),
    "revocation_propagation": (
        "Time from a revocation's commit to this replica knowing it.",
        ("stage",),
        OF_CHANGES,
    ),
}
