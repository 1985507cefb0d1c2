"""One way to drive an SDK's client, be it blocking or async, so that every case runs with both.

Also the sharp eye: SDKs build their objects without validation, so all that one of them hands out
as a type of its API is validated here against exactly that type.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Self

from pydantic import BaseModel

_API_TYPES = ("openai.types.", "anthropic.types.")
_SDKS = ("openai", "anthropic")

Run = Callable[[Awaitable[Any]], Any]


class Driven:
    """Anything of an SDK that is called, iterated or entered, without `await`."""

    def __init__(self, target: Any, run: Run) -> None:
        self._target = target
        self._run = run

    def __getattr__(self, name: str) -> Any:
        return drive(getattr(self._target, name), self._run)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return drive(self._target(*arguments, **options), self._run)

    def __iter__(self) -> Iterator[Any]:
        if hasattr(self._target, "__aiter__"):
            items = aiter(self._target)
            while (item := self._run(_next_or_end(items))) is not _END:
                yield drive(item, self._run)
        else:
            for item in self._target:
                yield drive(item, self._run)

    def __enter__(self) -> Any:
        if hasattr(self._target, "__aenter__"):
            return drive(self._run(self._target.__aenter__()), self._run)
        return drive(self._target.__enter__(), self._run)

    def __exit__(self, *error: Any) -> None:
        if hasattr(self._target, "__aexit__"):
            self._run(self._target.__aexit__(*error))
        else:
            self._target.__exit__(*error)

    @property
    def raw(self) -> Any:
        """The SDK's own object."""
        return self._target


_END = object()


async def _next_or_end(items: Any) -> Any:
    return await anext(items, _END)


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


def drive(value: Any, run: Run) -> Any:
    """A value that an SDK gave: awaited, validated or driven on, as it needs."""
    if inspect.isawaitable(value):
        value = run(_awaited(value))
    if isinstance(value, BaseModel) and not hasattr(value, "get_next_page"):
        check(value)
        return value
    is_made_by_sdk = type(value).__module__.startswith(_SDKS) and not isinstance(value, Exception)
    if is_made_by_sdk or inspect.isroutine(value) or inspect.isgenerator(value):
        return Driven(value, run)
    return Driven(value, run) if inspect.isasyncgen(value) else value


def check(value: BaseModel) -> None:
    """Validate an object against its own type; raises pydantic's `ValidationError`.

    What an SDK has parsed further is no longer as the API has it.
    """
    kind = type(value)
    if kind.__module__.startswith(_API_TYPES) and not kind.__name__.startswith("Parsed"):
        kind.model_validate(value.model_dump(by_alias=True, exclude_unset=True))


class Judge:
    """A client of one kind and the loop it needs; `client` is what the cases use."""

    def __init__(self, client: Any) -> None:
        self._runner = asyncio.Runner()
        self.client = Driven(client, self._run)

    def _run(self, value: Awaitable[Any]) -> Any:
        return self._runner.run(_awaited(value))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self.client.close()
        self._runner.close()
