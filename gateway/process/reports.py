"""Reports from a shell: the bytes that the API sends, read from the database alone."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import chain

import msgspec

from gateway.core.entries import read_entry_query
from gateway.core.errors import InvalidRequest, Repairable
from gateway.core.focus import check_focus, focus_groups, read_credit_price
from gateway.core.principal import ALL, AccountSet
from gateway.core.statement import read_period
from gateway.core.tags import Tags, tags_of_header
from gateway.core.usage import QueryError, read_query
from gateway.http.entry_formats import entries_csv, entries_csv_head, entries_json
from gateway.http.focus_format import focus_csv, focus_head
from gateway.http.statement_formats import FORMATS
from gateway.http.usage_formats import usage_csv, usage_csv_head, usage_json
from gateway.store.change_log import EVENTS_MAX, read_account_changes, read_all_changes
from gateway.store.database import Database
from gateway.store.entry_reader import EntryReader
from gateway.store.schema import check_schema
from gateway.store.statement_reader import StatementReader, find_account
from gateway.store.tree_statement import TreeStatementReader
from gateway.store.usage_accounts import AccountsInReach
from gateway.store.usage_reader import UsageReader


class UnknownAccount(Repairable, ValueError):
    """No object has named this account."""


def statement_of(database: Database, installation: str, arguments: Namespace) -> Iterator[bytes]:
    """The statement that the command line asks for.

    Raises `PeriodError`, `UnknownAccount`, `SchemaError` and `DatabaseUnavailable`.
    """
    period = read_period(arguments.month, arguments.begin, arguments.end, datetime.now(UTC))
    account_id = find_named_account(database, installation, arguments.account)
    kind = TreeStatementReader if arguments.below else StatementReader
    reader = kind(account_id, arguments.account, period)
    while (statement := reader.advance(database)) is None:
        pass
    yield FORMATS[arguments.format](statement)


def usage_of(database: Database, installation: str, arguments: Namespace) -> Iterator[bytes]:
    """The usage that the command line asks for; raises the same."""
    is_focus = arguments.format == "focus"
    query = read_query(
        datetime.now(UTC),
        begin=arguments.begin,
        end=arguments.end,
        group_by=focus_groups(arguments.group_by) if is_focus else arguments.group_by,
        zone=arguments.timezone,
        key=arguments.key,
        model=arguments.model,
        route=arguments.route,
        tags=_tags(arguments),
    )
    whose, shown = _accounts_of(database, installation, arguments)
    head, write = usage_csv_head(query), partial(usage_csv, query)
    if is_focus:
        check_focus(query)
        price = read_credit_price(arguments.currency, arguments.credit_price)
        head, write = focus_head(), partial(focus_csv, shown, query, price)
    reader = UsageReader(whose, query)
    slices = iter(lambda: reader.advance(database), None)
    if arguments.format == "json":
        found = list(chain.from_iterable(slices))
        yield usage_json(shown, query, reader.complete_until, reader.total, found)
        return
    yield head
    yield from map(write, slices)


def _accounts_of(
    database: Database, installation: str, arguments: Namespace
) -> tuple[int | AccountsInReach, str | AccountSet]:
    """The account or the namespaces, or all, for the store and as shown; raises the same."""
    if arguments.account is not None:
        return find_named_account(database, installation, arguments.account), arguments.account
    check_schema(database)
    reach = AccountSet(frozenset(arguments.namespace or (ALL,)))
    return AccountsInReach(installation, reach), reach


def entries_of(database: Database, installation: str, arguments: Namespace) -> Iterator[bytes]:
    """The entries that the command line asks for; raises the same."""
    query = read_entry_query(
        begin=arguments.begin,
        end=arguments.end,
        kind=arguments.kind,
        key=arguments.key,
        model=arguments.model,
        route=arguments.route,
        request_id=arguments.request_id,
        tags=_tags(arguments),
        after=arguments.after,
        limit=arguments.limit,
    )
    is_whole = arguments.format == "csv" and arguments.limit is None
    account_id = find_named_account(database, installation, arguments.account)
    reader = EntryReader(account_id, query, is_whole=is_whole)
    slices = iter(lambda: reader.advance(database), None)
    if arguments.format == "csv":
        yield entries_csv_head()
        yield from map(entries_csv, slices)
        return
    found = list(chain.from_iterable(slices))
    last_id = reader.last_id if reader.has_more else None
    yield entries_json(arguments.account, found, has_more=reader.has_more, last_id=last_id)


def events_of(database: Database, installation: str, arguments: Namespace) -> Iterator[bytes]:
    """The events of one account or of all, newest first, one a line; raises the same."""
    if arguments.account is None:
        check_schema(database)
        read = partial(read_all_changes, database, installation)
    else:
        account_id = find_named_account(database, installation, arguments.account)
        read = partial(read_account_changes, database, account_id)
    after, left = None, arguments.limit
    while left > 0 and (page := read(min(left, EVENTS_MAX), after)):
        yield b"".join(msgspec.json.encode(event) + b"\n" for event in page)
        after, left = page[-1]["id"], left - len(page)


#: by the name of the command
REPORTS: dict[str, Callable[[Database, str, Namespace], Iterator[bytes]]] = {
    "events": events_of,
    "statement": statement_of,
    "usage": usage_of,
    "entries": entries_of,
}


def _tags(arguments: Namespace) -> Tags:
    """The tags of the command line, as in a header of a request. Raises `QueryError`."""
    try:
        return tags_of_header(",".join(arguments.tag or ()).encode())
    except InvalidRequest as error:
        raise QueryError("a tag is written as NAME=VALUE, such as team=search", "tag") from error


def find_named_account(database: Database, installation: str, name: str) -> int:
    """The id of the account that the command line names.

    Raises `UnknownAccount`, `SchemaError` and `DatabaseUnavailable`.
    """
    check_schema(database)
    account_id = find_account(database, installation, name)
    if account_id is None:
        raise UnknownAccount(f"there is no account {name}; name it namespace/account")
    return account_id
