"""The operator, with a process that ends after the n-th action of one object's work.

It works like any other until the file exists that it is given; from then on the first list of
actions that does more than report is the one it dies in. A list that is shorter is survived.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from gateway_operator.__main__ import main
from gateway_operator.apply import executor

DIED = 17


def _dying(
    armed: Path, number: int
) -> Callable[[Iterable[Any], Callable[[Any], Awaitable[None]]], Awaitable[None]]:
    carry_out = executor.execute

    async def carry_out_and_die(
        actions: Iterable[Any], perform: Callable[[Any], Awaitable[None]]
    ) -> None:
        actions = list(actions)
        works = any(type(action).__name__ != "Report" for action in actions)
        if not works or not await asyncio.to_thread(armed.exists):
            await carry_out(actions, perform)
            return
        for position, action in enumerate(actions, start=1):
            await perform(action)
            if position == number:
                os._exit(DIED)
        await asyncio.to_thread(armed.unlink)  # survived: there were fewer actions

    return carry_out_and_die


if __name__ == "__main__":
    executor.execute = _dying(Path(sys.argv[1]), int(sys.argv[2]))  # type: ignore[assignment]  # the seam that this is for
    sys.exit(main(["run"]))
