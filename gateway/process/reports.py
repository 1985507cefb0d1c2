"""Reports from a shell: the bytes that the API sends, read from the database alone."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from gateway.core.statement import read_period
from gateway.core.usage import UsageLine, read_query
from gateway.http.statement_formats import FORMATS
from gateway.http.usage_formats import usage_csv, usage_csv_head, usage_json
from gateway.store.database import Database
from gateway.store.schema import check_schema
from gateway.store.statement_reader import StatementReader, find_account
from gateway.store.usage_reader import UsageReader


class UnknownAccount(ValueError):
    """No object has named this account."""


def statement_of(database: Database, installation: str, arguments: Namespace) -> Iterator[bytes]:
    """The statement that the command line asks for.

    Raises `PeriodError`, `UnknownAccount`, `SchemaError` and `DatabaseUnavailable`.
    """
    period = read_period(arguments.month, arguments.begin, arguments.end, datetime.now(UTC))
    account_id = _find_account(database, installation, arguments)
    reader = StatementReader(account_id, arguments.account, period)
    while (statement := reader.advance(database)) is None:
        pass
    yield FORMATS[arguments.format](statement)


def usage_of(database: Database, installation: str, arguments: Namespace) -> Iterator[bytes]:
    """The usage that the command line asks for; raises the same."""
    query = read_query(
        datetime.now(UTC),
        begin=arguments.begin,
        end=arguments.end,
        group_by=arguments.group_by,
        zone=arguments.timezone,
        key=arguments.key,
        model=arguments.model,
        route=arguments.route,
    )
    reader = UsageReader(_find_account(database, installation, arguments), query)
    found: list[UsageLine] = []
    if arguments.format == "csv":
        yield usage_csv_head(query)
    while (lines := reader.advance(database)) is not None:
        if arguments.format == "csv":
            yield usage_csv(query, lines)
        else:
            found += lines
    if arguments.format == "json":
        account = arguments.account
        yield usage_json(account, query, reader.complete_until, reader.total, found)


#: by the name of the command
REPORTS: dict[str, Callable[[Database, str, Namespace], Iterator[bytes]]] = {
    "statement": statement_of,
    "usage": usage_of,
}


def _find_account(database: Database, installation: str, arguments: Namespace) -> int:
    check_schema(database)
    account_id = find_account(database, installation, arguments.account)
    if account_id is None:
        raise UnknownAccount(f"there is no account {arguments.account}; name it namespace/account")
    return account_id
