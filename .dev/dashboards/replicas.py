"""Rows of the service dashboard on replicas: how much room they have, and how they change."""

from dashboards.board import Json
from dashboards.panels import BLUE, GREEN, YELLOW, graph
from dashboards.queries import REPLICA, of_gateways


def replicas() -> list[Json]:
    return [
        graph(
            "CPU",
            "Of the one core that a replica can use.",
            of_gateways(f"rate(process_cpu_seconds_total{{{REPLICA}}}[$__rate_interval])"),
            "percentunit",
            limit=0.9,
        ),
        graph(
            "Event loop delay",
            "How late a timer ran. It grows when a replica has more to do than its core can.",
            {"{{pod}}": f"max by (pod) (faregate_event_loop_delay_seconds{{{REPLICA}}})"},
            "s",
            limit=0.1,
        ),
        graph(
            "Memory",
            "Resident.",
            of_gateways(f"process_resident_memory_bytes{{{REPLICA}}}"),
            "bytes",
        ),
        graph(
            "In flight, by replica",
            "Requests charged and not ended. Replicas should be alike.",
            {"{{pod}}": f"sum by (pod) (faregate_in_flight_requests{{{REPLICA}}})"},
            "locale",
        ),
        *_connections(),
    ]


def _connections() -> list[Json]:
    return [
        graph(
            "Open files",
            "Of those that the process may have: mostly connections.",
            of_gateways(f"process_open_fds{{{REPLICA}}} / process_max_fds{{{REPLICA}}}"),
            "percentunit",
            limit=0.8,
        ),
        graph(
            "Connections of clients",
            "Open ones, and those that were cut or not taken, by why.",
            {
                "{{pod}}": f"max by (pod) (faregate_client_connections{{{REPLICA}}})",
                "cut: {{reason}}": (
                    "sum by (reason) "
                    f"(increase(faregate_cut_connections_total{{{REPLICA}}}[$__rate_interval]))"
                ),
            },
            "locale",
        ),
        graph(
            "Series",
            "Of this replica's metrics, and samples that went to `other` as it may have no more.",
            {
                "{{pod}}": f"max by (pod) (faregate_series{{{REPLICA}}})",
                "{{pod}} folded": (
                    f"sum by (pod) (increase(faregate_folded_total{{{REPLICA}}}[$__rate_interval]))"
                ),
            },
            "locale",
            limit=20000,
        ),
    ]


def rollouts() -> list[Json]:
    fleet = 'namespace=~"$namespace",fleet=~"$fleet"'
    builds = f'faregate_build_info{{{REPLICA},faregate_dev_fleet!=""}}'
    return [
        graph(
            "Replicas of the fleet",
            "As the operator sees them.",
            {"{{fleet}} {{state}}": f"max by (fleet, state) (faregate_fleet_replicas{{{fleet}}})"},
            "locale",
            colours={"/ wanted$/": BLUE, "/ ready$/": GREEN, "/ updated$/": YELLOW},
            without="The operator is not scraped",
        ),
        graph(
            "Replicas, by version",
            "Two versions at a time are a roll-out.",
            {"{{version}}": f"count by (version) ({builds})"},
            "locale",
            stacked=True,
        ),
        graph(
            "Age of replicas",
            "Since the process began. A line that falls to nothing is a restart.",
            of_gateways(f"time() - process_start_time_seconds{{{REPLICA}}}"),
            "s",
        ),
    ]
