"""Parameters of queries about credits: none that is unknown, and none twice.

A filter that nobody reads would give sums of too much.
"""

from collections.abc import Collection

from fastapi import Request, Response

from gateway.core.digits import whole_number
from gateway.core.errors import InvalidRequest
from gateway.core.tags import TAG, TAGS_MAX, Tags, is_name, is_value

#: headers of an answer about credits
PRIVATE = {"cache-control": "private, no-store", "x-content-type-options": "nosniff"}
_LENGTH_MAX = 256


async def private(response: Response) -> None:
    """Send the headers with the answer of a route."""
    response.headers.update(PRIVATE)


def read_parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """The parameters that are given; with `tag:` among the known, tags too.

    Raises `InvalidRequest`.
    """
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        is_tag = TAG in known and name.startswith(TAG)
        if name not in known and not is_tag:
            names = ", ".join(known)
            raise InvalidRequest(
                f"there is no parameter '{name[:64]}'; there are {names}", param=name[:64]
            )
        if name in given:
            raise InvalidRequest(f"{name} is given twice", param=name)
        if len(value) > _LENGTH_MAX or not value.isprintable():
            raise InvalidRequest(f"{name} is too long, or not printable", param=name)
        given[name] = value
    return given


def read_format(request: Request, given: dict[str, str], *others: str) -> str:
    """The format of the answer, taken out of its parameters: json, csv or one of the others.

    Raises `InvalidRequest`.
    """
    form = given.pop("format", None)
    if form is None:
        return "csv" if request.headers.get("accept", "").startswith("text/csv") else "json"
    known = ("json", "csv", *others)
    if form not in known:
        names = f"{', '.join(known[:-1])} or {known[-1]}"
        raise InvalidRequest(f"format must be {names}", param="format")
    return form


def take_tags(given: dict[str, str]) -> Tags:
    """The tags among the parameters, taken out of them. Raises `InvalidRequest`."""
    names = [name for name in given if name.startswith(TAG)]
    tags = {name.removeprefix(TAG): given.pop(name) for name in names}
    for name, value in tags.items():
        if not (is_name(name) and is_value(value)) or len(tags) > TAGS_MAX:
            raise InvalidRequest(
                f"ask for a tag by its name and value, such as {TAG}team=search; for {TAGS_MAX} at"
                " most",
                param=f"{TAG}{name}"[:64],
            )
    return tags


def read_number(given: dict[str, str], name: str, least: int, most: int) -> int | None:
    """A whole number among the parameters, or None. Raises `InvalidRequest`."""
    text = given.get(name)
    if text is None:
        return None
    number = whole_number(text)
    if number is None or not least <= number <= most:
        raise InvalidRequest(f"{name} must be a number between {least} and {most}", param=name)
    return number
