"""The session's cookie: no script reads it, no other site's form sends it, TLS wherever there is.

`Lax` and not `Strict`: with an identity provider on another site a browser would land signed out
after a good sign-in.
"""

from fastapi.responses import Response

from gateway.console.site import Site


def set_session(response: Response, site: Site, secret: str) -> None:
    """Sign the browser in until it is closed; the row decides how long that holds."""
    response.set_cookie(
        site.cookie_name(), secret, path="/", secure=site.is_secure, httponly=True, samesite="lax"
    )


def forget_session(response: Response, site: Site) -> None:
    """Sign the browser out."""
    response.delete_cookie(
        site.cookie_name(), path="/", secure=site.is_secure, httponly=True, samesite="lax"
    )
