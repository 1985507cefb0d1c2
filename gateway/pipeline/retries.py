"""Retries: the charge of an attempt whose client left without any content stands for the next one.

    cover ─▶ charged ─┬─ client leaves without content ─▶ end written: the charge stands ─▶ done
                      └─ any other end, or refund ─▶ done

A client names its attempts alike by `idempotency-key`. One that comes while the one before is still
open here waits for it a moment: its client is just leaving. At another replica it is charged where
it comes before that end is written.
"""

import asyncio

from gateway.pipeline.request_state import RequestState
from gateway.store.ledger import Claim, Ledger, RetryKey

IDEMPOTENCY_KEY = b"idempotency-key"
KEY_CHARACTERS_MAX = 255
#: an attempt waits so long for the one before; its prompt may have to be counted
_WAIT_SECONDS = 2.0


class Retries:
    """Recognises retries, for one replica."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        #: the last open attempt of an account and a name; done when its end is written
        self._open: dict[tuple[int, RetryKey], asyncio.Future[None]] = {}

    async def cover(self, state: RequestState) -> int:
        """Have an earlier charge stand for a request; the credits that it costs less therefore.

        Raises `DatabaseUnavailable`.
        """
        place = _place(state)
        if place is None:
            return 0
        if (before := self._open.get(place)) is not None:
            await asyncio.wait([before], timeout=_WAIT_SECONDS)
        state.attempt = self._open[place] = asyncio.get_running_loop().create_future()
        account_id, name = place
        claim = Claim(state.request_id, account_id, name.idempotency_key, name.model)
        return await self._ledger.claim(claim)

    def stands_for(self, state: RequestState) -> RetryKey | None:
        """The name of the retries for which the charge of a request stands, whose client left."""
        if state.attempt is None or state.covered or state.first_byte_seconds is not None:
            return None
        place = _place(state)
        return None if place is None or state.credits == 0 else place[1]

    def done(self, state: RequestState) -> None:
        """The end of an attempt is decided, and written where its charge stands."""
        if state.attempt is None or state.attempt.done():
            return
        state.attempt.set_result(None)
        place = _place(state)
        if place is not None and self._open.get(place) is state.attempt:
            del self._open[place]


def _place(state: RequestState) -> tuple[int, RetryKey] | None:
    """The account and the name by which a retry of a request would come."""
    key = state.connection.named.get(IDEMPOTENCY_KEY)
    if not key or len(key) > KEY_CHARACTERS_MAX or state.key is None:
        return None
    return state.key.live.account_id, RetryKey(header_text(key), state.labels.model)


def header_text(value: bytes) -> str:
    """A header's value as it is kept."""
    return value.decode("latin-1").replace("\x00", "")[:KEY_CHARACTERS_MAX]
