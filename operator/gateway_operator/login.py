"""The session of kopf's watches: who it is, and that it is sent no more of Secrets than it needs.

A watch holds what it is sent, a page at a time, and anybody may put a megabyte into a Secret.
"""

import os
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import kopf

from gateway_operator.cluster import METADATA_OF_MANY, METADATA_OF_ONE

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


async def log_in(settings: kopf.OperatorSettings, **_: Any) -> kopf.AiohttpSession | None:
    """By the kubeconfig that the environment names, or else by the pod's service account."""
    found = _find_account(settings)
    if found is None:
        return None
    context = found.as_ssl_context()
    # Many a cluster's authority is older than what Python 3.13 asks of one (RFC 5280, key usage).
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    session = aiohttp.ClientSession(
        connector=connector,
        headers=found.as_http_headers(),
        proxy=found.proxy_url,
        trust_env=found.trust_env,
        middlewares=(_ask_for_metadata,),
        response_class=_MetadataAnswer,
    )
    return kopf.AiohttpSession(
        server=found.server,
        default_namespace=found.default_namespace,
        priority=found.priority,
        expiration=found.expiration,
        aiohttp_session=session,
    )


def _find_account(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo | None:
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if "KUBECONFIG" in os.environ or host is None:
        return kopf.login_with_kubeconfig(settings=settings)
    # By address: the cluster's DNS may not be up yet, or never.
    address = f"[{host}]" if ":" in host else host
    return kopf.ConnectionInfo(
        server=f"https://{address}:{os.environ.get('KUBERNETES_SERVICE_PORT', '443')}",
        ca_path=str(_ACCOUNT / "ca.crt"),
        token=(_ACCOUNT / "token").read_text(encoding="utf-8").strip(),
    )


class _MetadataAnswer(aiohttp.ClientResponse):
    """An answer as kopf gets it: a list of Secrets has only the moment that a watch begins at.

    The sweep compares the Secrets that are there; as events, ten thousand would be seconds of work.
    """

    async def json(self, **options: Any) -> Any:
        found = await super().json(**options)
        if isinstance(found, dict) and found.get("kind") == "PartialObjectMetadataList":
            found["items"] = []
            found["metadata"].pop("continue", None)
        return found


async def _ask_for_metadata(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    if request.method == "GET" and request.url.path.endswith("/secrets"):
        is_watch = "watch" in request.url.query
        request.headers["Accept"] = METADATA_OF_ONE if is_watch else METADATA_OF_MANY
    return await handler(request)
