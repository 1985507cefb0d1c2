"""The console's cookies: no script reads them, no other site's form sends them, TLS where there is.

`Lax` and not `Strict`: with an identity provider on another site a browser would land signed out
after a good sign-in.
"""

from starlette.responses import Response

from gateway.console.site import Site


def set_cookie(
    response: Response, site: Site, value: str, purpose: str = "", seconds: int | None = None
) -> None:
    """Set the session's cookie, or that of a purpose; kept for so long, or until the browser ends.

    Its row decides how long a session holds.
    """
    response.set_cookie(
        site.cookie_name(purpose),
        value,
        max_age=seconds,
        path="/",
        secure=site.is_secure,
        httponly=True,
        samesite="lax",
    )


def forget_cookie(response: Response, site: Site, purpose: str = "") -> None:
    """Delete the session's cookie, or that of a purpose."""
    name = site.cookie_name(purpose)
    response.delete_cookie(name, path="/", secure=site.is_secure, httponly=True, samesite="lax")
