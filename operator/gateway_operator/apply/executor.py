"""The one function through which every action of every kind goes.

Callers name it through this module (`executor.execute`), so that a test can put another in its
place and end the process after any action.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Action = TypeVar("Action")

_logger = logging.getLogger(__name__)


async def execute(actions: Iterable[Action], perform: Callable[[Action], Awaitable[None]]) -> None:
    """Perform actions in their order; the first that fails ends it.

    An action must leave the world such that a new plan, made from what is there then, ends where
    this one would have ended. Only its class is logged: an action may hold what must not be shown.
    """
    for action in actions:
        _logger.debug("performing %s", type(action).__name__)
        await perform(action)
