"""Settings of a process from the environment variables with our prefix."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

import msgspec
import msgspec.inspect as shapes
from msgspec import Struct

PREFIX = "FAREGATE_"
S = TypeVar("S", bound=Struct)

_MISSING = re.compile(r"Object missing required field `(\w+)`")
_WRONG = re.compile(r"(.*) - at `\$\.(\w+)`", re.DOTALL)
#: types that msgspec names, as an administrator knows them
_WORDS = {
    "`bool`": "true or false",
    "`int`": "a whole number",
    "`int | null`": "a whole number",
    "`float`": "a number",
    "`str`": "a text",
}


def read_environment(environment: Mapping[str, str], kind: type[S]) -> S:
    """The settings: a field for each variable `FAREGATE_<FIELD>`; an empty one is not set.

    Raises `ValueError` that names a variable which is unknown, missing or wrong. Texts may be
    secrets, so the message has values of other types only.
    """
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value
    }
    known = kind.__struct_fields__
    for name in sorted(given.keys() - set(known)):
        near = get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"; do you mean {_variable(near[0])}?" if near else ""
        raise ValueError(f"there is no setting {_variable(name)}{hint}")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(_sentence(str(error), given, kind)) from None


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _sentence(problem: str, given: Mapping[str, str], kind: type[Struct]) -> str:
    if missing := _MISSING.match(problem):
        return f"{_variable(missing[1])} is not set"
    wrong = _WRONG.fullmatch(problem)
    if wrong is None:
        return problem
    wanted, name = wrong.groups()
    of_kind = shapes.type_info(kind)
    assert isinstance(of_kind, shapes.StructType)
    (shape,) = (field.type for field in of_kind.fields if field.name == name)
    if isinstance(shape, shapes.LiteralType):
        wanted = f"Expected {' or '.join(map(str, shape.values))}"
    wanted = wanted.partition(", got ")[0]
    for word, words in _WORDS.items():
        wanted = wanted.replace(word, words)
    is_shown = isinstance(shape, shapes.LiteralType | shapes.IntType | shapes.FloatType)
    value = f" is {given[name]}" if is_shown else ""
    return f"{_variable(name)}{value}: {wanted[:1].lower()}{wanted[1:]}"
