"""The upstreams of one gateway, opened: each with its admission, and its counter if it has one."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from gateway.core.spec import GatewayFleetSpec, UpstreamSpec
from gateway.core.spec_fields import SpecError
from gateway.process.settings import ProxySettings
from gateway.process.standalone.documents import SIMULATED
from gateway.telemetry.metrics import Metrics
from gateway.upstream.admission import UpstreamAdmission
from gateway.upstream.registry import Upstreams, open_counter, open_upstream
from gateway.upstream.tunnel import tunnel_to


async def open_upstreams(
    stack: AsyncExitStack,
    fleet: GatewayFleetSpec,
    credential_of: Callable[[UpstreamSpec], str | None],
    metrics: Metrics,
    proxy: ProxySettings,
) -> Upstreams:
    """Open every upstream of `fleet`; `stack` closes them. Raises `SpecError`."""
    opened = Upstreams({}, {}, {})
    for spec in fleet.upstreams:
        url = spec.url
        if url == SIMULATED:
            # Real fleets have no use for it.
            from gateway.upstream.simulated.server import running as simulated_upstream

            url = await stack.enter_async_context(simulated_upstream())
        credential = credential_of(spec)
        try:
            tunnel = tunnel_to(url, proxy.url, proxy.exceptions)
            upstream = open_upstream(spec, url, credential, fleet.limits, tunnel)
        except ValueError as error:
            raise SpecError(f"upstream {spec.name!r}: {error}") from None
        stack.push_async_callback(upstream.close)
        opened.all[spec.name] = upstream
        counter = open_counter(spec, url, credential, fleet.limits, tunnel)
        if counter is not None:
            stack.push_async_callback(counter.close)
            opened.counters[spec.name] = counter
        admission = UpstreamAdmission(upstream, spec, fleet.limits, metrics.upstream(spec.name))
        stack.callback(admission.close)
        opened.admissions[spec.name] = admission
    return opened
