"""Reading all moments that PostgreSQL knows."""

from typing import Any

from psycopg import Connection, DataError, adapters, postgres
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from gateway.store.unreadable import UNREADABLE

_TYPE = "timestamptz"


class MomentLoader(Loader):
    """The driver's own, except for moments that it cannot read."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        drivers = adapters.get_loader(postgres.types[_TYPE].oid, Format.TEXT)
        assert drivers is not None, "the driver knows its types"
        self._drivers = drivers(oid, context)

    def load(self, data: Buffer) -> Any:
        try:
            return self._drivers.load(data)
        except (DataError, OverflowError):
            return UNREADABLE


def read_all_moments(connection: Connection[Any]) -> None:
    """Make a connection read every moment that PostgreSQL can hold."""
    connection.adapters.register_loader(_TYPE, MomentLoader)
