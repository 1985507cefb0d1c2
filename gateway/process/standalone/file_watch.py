"""The file of a process that serves it: applied again when it changes, and on SIGHUP.

Looks at the file's date and size once a second, and waits until it has stopped changing. Errors are
logged, once for each state of the file; the process goes on as it was.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from gateway.core.errors import DatabaseUnavailable
from gateway.core.spec_fields import SpecError
from gateway.process.standalone.applied import Applied, GrantReport
from gateway.process.standalone.data_folder import FolderInUse
from gateway.store.key_errors import DuplicateCredential, KeyMoved

_log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
#: the interval at which it is looked whether something of the file's time has come
DUE_SECONDS = 10.0
#: refusals that another state of the file may end
_REFUSALS = (SpecError, DuplicateCredential, OSError)
#: hindrances that are over soon
_HINDRANCES = (DatabaseUnavailable, FolderInUse, KeyMoved)

#: the numbers that change with a file, also where it is replaced as a whole; None where there is
#: none
_State = tuple[int, int, int] | None


class FileWatch:
    """The file as it was when this was made, and each change of it after `start`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._apply: Callable[[], Applied] | None = None
        self._post_due: Callable[[], list[GrantReport]] = list
        self._asked = asyncio.Event()
        self._closing = False
        self._was_on_terminal = sys.stdout.isatty()
        #: the file as it was applied, or refused
        self._done = _state_of(path)
        self._task: asyncio.Task[None] | None = None
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)

    def start(
        self, apply: Callable[[], Applied], post_due: Callable[[], list[GrantReport]]
    ) -> None:
        """From now on `apply` is called in a thread, where there is something new; `post_due`
        from time to time, for what the file has for later."""
        self._apply, self._post_due = apply, post_due
        self._task = asyncio.create_task(self._run(apply))

    async def close(self) -> None:
        """Let what is being applied come to its end."""
        self._closing = True
        self._asked.set()
        if self._task is not None:
            await self._task

    def _hang_up(self) -> None:
        if self._was_on_terminal and not sys.stdout.isatty():
            os.kill(os.getpid(), signal.SIGTERM)  # the terminal is gone: no order to read again
        elif self._apply is None:
            _log.warning("SIGHUP: this process does not apply its file (--apply)")
        else:
            self._asked.set()

    async def _run(self, apply: Callable[[], Applied]) -> None:
        before = self._done
        due_at = time.monotonic() + DUE_SECONDS
        while not self._closing:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._asked.wait()
            except TimeoutError:
                pass
            state = await asyncio.to_thread(_state_of, self._path)
            is_quiet, before = state == before, state
            if self._closing:
                return
            if self._asked.is_set() or (is_quiet and state not in (self._done, None)):
                self._asked.clear()
                if await self._try(lambda: _report(self._path, apply())):
                    self._done = state
            if time.monotonic() >= due_at:
                await self._try(lambda: _report_grants(self._post_due()))
                due_at = time.monotonic() + DUE_SECONDS

    async def _try(self, act: Callable[[], None]) -> bool:
        """True if there is nothing more to be done about this state of the file."""
        try:
            await asyncio.to_thread(act)
        except _REFUSALS as error:
            _log.error("the file is refused, and nothing has changed: %s", error)
        except _HINDRANCES as error:
            _log.warning("the file cannot be applied now: %s", error)
            return False
        except Exception:  # noqa: BLE001  # the edge: the process goes on after a bug
            _log.exception("applying the file met a bug")
        return True


def _report(path: Path, applied: Applied) -> None:
    _report_grants(applied.grants)
    for name in applied.revoked:
        _log.info("key %s is revoked: the file does not name it any more", name)
    _log.info("applied %s: %d keys, %d grants", path, len(applied.keys), len(applied.grants))


def _report_grants(grants: Iterable[GrantReport]) -> None:
    for grant in grants:
        if grant.result.reason not in ("AlreadyPosted", "Scheduled"):
            _log.info("grant %s: %s (%s)", grant.name, grant.result.reason, grant.result.message)


def _state_of(path: Path) -> _State:
    """The state of a file now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
