"""Every fragment of a body with everything in it, many times: work grows as the body does.

Nobody has to think of what might be quadratic: each object, list and text of the bodies that the
fuzz tests use is repeated in its place, once as it is and once with names and ids that differ.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fuzz.support import SKELETONS
from tests.growth.measure import encoded, grows_as_its_input, work
from tests.harness.dialects import DIALECTS

Path = tuple[str | int, ...]

_NAMES = frozenset({"id", "call_id", "tool_call_id", "tool_use_id", "name", "tool_name", "$ref"})
#: of an object or a list, and of a text; schemas are so large then that none is remembered
_TIMES, _TEXT_TIMES = 1200, 50_000
#: where a schema stands that is a tool's as well
_AGAIN = frozenset({"response_format", "output_config", "text"})


def fragments(value: Any, path: Path = ()) -> Iterator[Path]:
    """The places of all that can be repeated."""
    if path and isinstance(value, str | list | dict):
        yield path
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from fragments(inner, (*path, name))


def repeated(dialect: str, path: Path, times: int, distinct: bool) -> bytes:
    """The body with the fragment at `path` there so many times."""
    body = copy.deepcopy(SKELETONS[dialect])
    *way, last = path
    holder: Any = body
    for step in way:
        holder = holder[step]
    fragment = holder[last]
    copies = [_renamed(fragment, number) if distinct else fragment for number in range(times)]
    if isinstance(fragment, str):
        holder[last] = fragment * (times * _TEXT_TIMES // _TIMES)
    elif isinstance(holder, list) and isinstance(last, int):
        holder[last : last + 1] = copies
    else:
        holder.update({f"{last}_{number}": each for number, each in enumerate(copies)})
        if isinstance(fragment, list):
            holder[last] = [_renamed(each, n) for n in range(times) for each in fragment]
    return encoded(body)


def _renamed(value: Any, number: int) -> Any:
    if isinstance(value, list):
        return [_renamed(each, number) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: f"{inner}_{number}"
        if name in _NAMES and isinstance(inner, str)
        else _renamed(inner, number)
        for name, inner in value.items()
    }


CASES = [
    pytest.param(dialect, path, id=f"{dialect}-{'.'.join(map(str, path))}")
    for dialect in DIALECTS
    for path in fragments(SKELETONS[dialect])
    if path[0] not in _AGAIN or "schema" not in path[:-1]
]


@pytest.mark.parametrize(("dialect", "path"), CASES)
def test_work_grows_as_the_body_does(dialect: str, path: Path) -> None:
    for distinct in (False, True):

        def task(times: int, distinct: bool = distinct) -> Callable[[], object]:
            body = repeated(dialect, path, times, distinct)
            return lambda: work(dialect, body)

        assert grows_as_its_input(task, _TIMES)
