"""The commands that print what the API sends: `statement`, `usage`, `entries` and `events`.

Every command's parser is made at a start, so only a report that is asked for loads what it needs.
"""

import argparse
import sys
from typing import Any

from gateway.process.settings import Settings


def add_reports(commands: Any, data: argparse.ArgumentParser) -> None:
    """The commands that print what the API sends."""
    period = argparse.ArgumentParser(add_help=False)
    period.add_argument(
        "--from", dest="begin", metavar="MOMENT", help="the first moment that counts"
    )
    period.add_argument(
        "--to", dest="end", metavar="MOMENT", help="the first moment after the period"
    )
    account = argparse.ArgumentParser(add_help=False)
    account.add_argument("--account", required=True, metavar="NAMESPACE/NAME")
    requests = argparse.ArgumentParser(add_help=False)
    requests.add_argument("--key", help="only of this API key, by its name or its id")
    requests.add_argument("--model", help="only of this model")
    requests.add_argument(
        "--route", help="only of this dialect: chat, responses, messages or embeddings"
    )
    requests.add_argument(
        "--tag", action="append", metavar="NAME=VALUE", help="only of requests with this tag"
    )

    statement = commands.add_parser(
        "statement",
        parents=[data, account, period],
        help="print an account's statement of a month or a period",
    )
    statement.add_argument("--month", help="such as 2026-10, in UTC")
    statement.add_argument(
        "--below", action="store_true", help="add the charges of the accounts below"
    )
    statement.add_argument("--format", choices=["json", "csv", "html"], default="json")
    statement.set_defaults(act=_report, report="statement")

    _add_usage(commands, [data, period, requests])

    entries = commands.add_parser(
        "entries", parents=[data, account, period, requests], help="print an account's entries"
    )
    entries.add_argument("--format", choices=["json", "csv"], default="json")
    entries.add_argument("--kind", help="only of these kinds, such as charge,refund")
    entries.add_argument("--request-id", help="only of this request")
    entries.add_argument("--limit", help="the most entries; CSV without a limit has all of them")
    entries.add_argument("--after", metavar="ID", help="only entries that are older than this one")
    entries.set_defaults(act=_report, report="entries")

    events = commands.add_parser(
        "events", parents=[data], help="print the changes of keys and grants, and their authors"
    )
    events.add_argument("--account", metavar="NAMESPACE/NAME", help="only of this account")
    events.add_argument("--limit", type=int, default=100, help="the most events, newest first")
    events.set_defaults(act=_report, report="events")


def _add_usage(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    usage = commands.add_parser("usage", parents=parents, help="print the usage of accounts")
    whose = usage.add_mutually_exclusive_group()
    whose.add_argument("--account", metavar="NAMESPACE/NAME", help="only of this account")
    whose.add_argument(
        "--namespace",
        action="append",
        metavar="NAME",
        help="only of the accounts in this namespace",
    )
    usage.add_argument(
        "--group-by", metavar="NAMES", default="day", help="the groups, such as day,key,tag:team"
    )
    usage.add_argument(
        "--timezone", default="UTC", help="time zone of the days, such as Europe/Berlin"
    )
    usage.add_argument(
        "--format", choices=["json", "csv", "focus"], default="json", help="focus: CSV of FOCUS 1.3"
    )
    usage.add_argument(
        "--currency", metavar="CODE", help="with focus: currency of the costs, such as EUR"
    )
    usage.add_argument("--credit-price", metavar="PRICE", help="with focus: price of one credit")
    usage.set_defaults(act=_report, report="usage")


def _report(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.process.reports import REPORTS
    from gateway.process.standalone.data_folder import database_in

    with database_in(arguments.data, settings) as database:
        for part in REPORTS[arguments.report](database, settings.installation, arguments):
            sys.stdout.buffer.write(part)
    return 0
