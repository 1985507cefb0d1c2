"""Files of CSV, sent as they are read."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.page_request import PageRequest
from gateway.core.statement import PeriodError
from gateway.http.routes.csv_stream import csv_stream
from gateway.store.database import Database

R = TypeVar("R")
T = TypeVar("T")

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


async def csv_file(
    name: str,
    page: PageRequest,
    head: bytes,
    advance: Callable[[Database, R], Sequence[T] | None],
    reader: R,
    write: Callable[[Sequence[T]], bytes],
) -> Response:
    """A file of all that a reader finds. Raises `HTTPException` for a question about nothing."""

    async def read_next() -> Sequence[T] | None:
        return await page.run(advance, reader)

    try:
        lines = await read_next()
    except PeriodError as error:
        raise HTTPException(404) from error
    response = csv_stream(head, lines, read_next, write)
    response.headers["content-disposition"] = f'attachment; filename="{_UNSAFE.sub("-", name)}.csv"'
    return response
