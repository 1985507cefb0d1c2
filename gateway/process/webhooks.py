"""The web hook of a fleet: messages are sent behind the charge, by whichever replica takes them.

It speaks as the upstreams' client does: the same proxy and authorities, no redirects; of an answer
only the status is read.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from time import time

from gateway.core.spec import GatewayFleet, WebhookSpec
from gateway.core.spec_fields import SpecError
from gateway.core.webhooks import read_signing_keys, signature
from gateway.process.settings import ProxySettings
from gateway.store.database import Database
from gateway.store.notice_changes import ChangedAccounts
from gateway.store.notices import (
    TakenNotice,
    end_notice,
    end_waiting,
    forget_notices,
    take_notices,
    write_notices,
)
from gateway.telemetry.metrics import Metrics
from gateway.upstream.http_client import HttpClient, header_lines
from gateway.upstream.tunnel import tunnel_to

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
_CONNECTIONS = 16
_GOOD = range(200, 300)
#: looks after which old notices are forgotten
_LOOKS_BETWEEN = 360


class Webhook:
    """One receiver. Made inside the running loop."""

    LOOK_SECONDS = 10.0
    SEND_SECONDS = 2.0

    def __init__(
        self,
        client: HttpClient,
        keys: tuple[bytes, ...],
        database: Database,
        installation: str,
        receiver: str,
        metrics: Metrics,
    ) -> None:
        self._client = client
        self._keys = keys
        self._database = database
        self._installation = installation
        self._receiver = receiver
        self._count = metrics.sent_to_webhook
        self._changed = ChangedAccounts()
        self._looks = 0

    async def look(self) -> None:
        """Write what is new. Raises `DatabaseUnavailable`."""
        look = partial(write_notices, self._database, self._installation, self._receiver)
        await asyncio.to_thread(look, self._changed)
        self._looks += 1
        if self._looks % _LOOKS_BETWEEN == 1:
            await asyncio.to_thread(forget_notices, self._database)

    async def send_due(self) -> None:
        """Send all that is due. Raises `DatabaseUnavailable`."""
        while taken := await asyncio.to_thread(take_notices, self._database, self._receiver):
            await asyncio.gather(*(self._send(notice) for notice in taken))

    async def _send(self, notice: TakenNotice) -> None:
        status = await self._post(notice)
        was_taken = status in _GOOD
        end = partial(end_notice, self._database, notice, was_taken=was_taken)
        is_over = await asyncio.to_thread(end)
        self._count("delivered" if was_taken else "given_up" if is_over else "failed")
        if not was_taken:
            _log.warning(
                "the web hook did not take %s, attempt %d: %s%s",
                notice.message_id,
                notice.attempts,
                f"status {status}" if status else "no answer",
                "; it is given up" if is_over else "",
            )

    async def _post(self, notice: TakenNotice) -> int:
        """The status, 0 for none."""
        seconds = int(time())
        made = signature(self._keys, notice.message_id, seconds, notice.body)
        lines = header_lines(
            {
                "webhook-id": notice.message_id,
                "webhook-timestamp": str(seconds),
                "webhook-signature": made,
            }
        )
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                response = await self._client.post(lines, notice.body.encode())
        except (OSError, TimeoutError, ValueError):
            return 0
        response.close()
        return response.status


def open_webhook(
    stack: AsyncExitStack,
    fleet: GatewayFleet,
    secret: str | None,
    database: Database,
    installation: str,
    metrics: Metrics,
    proxy: ProxySettings,
) -> Webhook | None:
    """The web hook of a fleet; `stack` closes it. None if it has none: what waited for one ends.

    Raises `SpecError` and `DatabaseUnavailable`.
    """
    spec = fleet.spec.webhook
    receiver = fleet.metadata.shown
    if spec is None or secret is None:
        if waited := end_waiting(database, receiver):
            _log.info("there is no web hook any more: %d messages for it are not sent", waited)
        return None
    client = _client(spec, proxy)
    stack.callback(client.close)
    keys = read_signing_keys(secret)
    return Webhook(client, keys, database, installation, receiver, metrics)


def _client(spec: WebhookSpec, proxy: ProxySettings) -> HttpClient:
    try:
        return HttpClient(
            spec.url,
            {"content-type": "application/json", "user-agent": "faregate"},
            connect_seconds=_CONNECT_SECONDS,
            silence_seconds=_ANSWER_SECONDS,
            connections_max=_CONNECTIONS,
            tunnel=tunnel_to(spec.url, proxy.url, proxy.exceptions),
        )
    except ValueError as error:
        raise SpecError(f"webhook: {error}") from None
