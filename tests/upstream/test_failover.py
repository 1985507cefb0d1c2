"""A request on its way through its upstreams: what is kept of it, and until when."""

import asyncio
from sys import getrefcount

from gateway.core.catalog import Catalog
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.request import Request, UserMessage
from gateway.core.spec import FleetLimits, GatewayFleetSpec, ModelSpec, Pricing, UpstreamSpec
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.dialects.endpoint import UpstreamRequest
from gateway.telemetry.metrics import Metrics
from gateway.upstream.admission import UpstreamAdmission
from gateway.upstream.client import UpstreamClient
from gateway.upstream.failover import Failover, Rendering

LIMITS = FleetLimits()
ALICE = ("team", "team/alice")
MAIN = UpstreamSpec(name="main", url="http://127.0.0.1:9/v1", concurrent_requests=1)
FLEET = GatewayFleetSpec(
    pricing=Pricing(chat_credits_per_message=1),
    models=[ModelSpec(id="open", upstream="main")],
    upstreams=[MAIN],
)


async def _queue_and_drop() -> None:
    upstream = UpstreamClient("main", MAIN.url, None, LIMITS, ChatEndpoint())
    admission = UpstreamAdmission(upstream, MAIN, LIMITS, Metrics().upstream("main"))
    place = admission.try_acquire(ALICE)
    assert place is not None
    body = bytes(100)
    alone = getrefcount(body)
    request = Request("open", (UserMessage(()),))
    failover = Failover(
        {"main": admission},
        request,
        Catalog(FLEET).resolve(request),
        Rendering(WorkerThread(), ALICE, 0, lambda size: None),
        UpstreamRequest(body, stream=True),
        1.0,
    )
    waiting = asyncio.create_task(failover.acquire())
    await asyncio.sleep(0)
    assert failover.permit is None, "it waits for the place"
    place.release()
    await waiting
    assert failover.permit is not None
    assert getrefcount(body) > alone
    failover.drop_request()
    assert getrefcount(body) == alone
    failover.release()
    admission.close()


def test_a_request_that_has_queued_is_kept_no_longer_than_others() -> None:
    """Its share of the memory is given back then, and an answer may take long."""
    asyncio.run(_queue_and_drop())
