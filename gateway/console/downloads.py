"""Files of CSV, sent as they are read."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.page_request import PageRequest
from gateway.core.statement import PeriodError
from gateway.http.routes.text_stream import text_stream
from gateway.store.database import Database

T = TypeVar("T")

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


async def csv_file(
    name: str,
    page: PageRequest,
    head: bytes,
    advance: Callable[[Database], Sequence[T] | None],
    write: Callable[[Sequence[T]], bytes],
) -> Response:
    """A file of all that `advance` reads. Raises `HTTPException` for a question about nothing."""

    async def read_next() -> Sequence[T] | None:
        return await page.run(advance)

    try:
        lines = await read_next()
    except PeriodError as error:
        raise HTTPException(404) from error
    response = text_stream(head, lines, read_next, write)
    response.headers["content-disposition"] = f'attachment; filename="{_UNSAFE.sub("-", name)}.csv"'
    return response
