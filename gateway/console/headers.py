"""The headers of every answer of the console, and the policy for the browser in them.

Nothing comes from another host, nothing is inline, and nobody shows the console in a frame. Source:
OWASP ASVS 5.0, chapter 3.4.
"""

from collections.abc import Iterable

from gateway.console.site import Site
from gateway.http.entrance import Application
from gateway.pipeline.connection import Headers, Message, Receive, Scope, Send

_HSTS = b"max-age=31536000"


def content_policy(form_targets: Iterable[str] = ()) -> str:
    """The Content-Security-Policy; a form may lead to these origins, too."""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "font-src 'none'",
            " ".join(["form-action 'self'", *form_targets]),
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "object-src 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def security_headers(site: Site, policy: str) -> Headers:
    """The headers, with a policy for the browser."""
    # Where browsers trust no way, only `Origin` names the page that a form comes from, and
    # `no-referrer` would hide it.
    referrer = b"no-referrer" if site.is_trustworthy else b"same-origin"
    headers: Headers = [
        (b"cache-control", b"no-store"),
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", referrer),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
    ]
    if site.is_secure:
        headers.append((b"strict-transport-security", _HSTS))
    return headers


class SecurityHeaders:
    """Around the console's application. Pure ASGI."""

    def __init__(self, app: Application, site: Site, form_targets: Iterable[str] = ()) -> None:
        self._app = app
        self._headers = security_headers(site, content_policy(form_targets))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message["headers"]
                names = {name for name, _ in given}
                # A page's own stand: of two policies a browser would hold both.
                own = [header for header in self._headers if header[0] not in names]
                message["headers"] = [*given, *own]
            await send(message)

        await self._app(scope, receive, send_safely)
