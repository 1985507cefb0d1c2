"""Reports from a shell: the bytes that the API sends, read from the database alone."""

from argparse import Namespace
from datetime import UTC, datetime

from gateway.core.statement import read_period
from gateway.http.statement_formats import FORMATS
from gateway.store.database import Database
from gateway.store.schema import check_schema
from gateway.store.statement_reader import StatementReader, find_account


class UnknownAccount(ValueError):
    """No object has named this account."""


def statement_of(database: Database, installation: str, arguments: Namespace) -> bytes:
    """The statement that the command line asks for.

    Raises `PeriodError`, `UnknownAccount`, `SchemaError` and `DatabaseUnavailable`.
    """
    period = read_period(arguments.month, arguments.begin, arguments.end, datetime.now(UTC))
    check_schema(database)
    account_id = find_account(database, installation, arguments.account)
    if account_id is None:
        raise UnknownAccount(f"there is no account {arguments.account}; name it namespace/account")
    reader = StatementReader(account_id, arguments.account, period)
    while (statement := reader.advance(database)) is None:
        pass
    return FORMATS[arguments.format](statement)
