"""The headers that every answer of the console has: a page, a file, an error, a way to another."""

import httpx

from gateway.console.site import BASE

#: Source: OWASP ASVS 5.0, chapter 3.4
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "strict-transport-security": "max-age=31536000",
}
_IN_POLICY = ("default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'")


def check_headers(answer: httpx.Response) -> None:
    """Refuse an answer without them, and a cookie that scripts or other hosts could read."""
    where, headers = f"{answer.request.method} {answer.request.url}", answer.headers
    assert {name: headers.get(name) for name in _ALWAYS} == _ALWAYS, where
    (policy,) = headers.get_list("content-security-policy")
    assert [part for part in _IN_POLICY if part not in policy] == [], where
    assert "unsafe" not in policy, where
    assert "*" not in policy, where
    is_file = answer.request.url.path.startswith(f"{BASE}/static/") and answer.is_success
    assert ("no-store" in headers["cache-control"]) != is_file, where
    assert headers["x-request-id"], where
    assert not [name for name in headers if name.startswith("access-control-")], where
    for cookie in headers.get_list("set-cookie"):
        name, *flags = cookie.split("; ")
        assert {"Secure", "HttpOnly", "SameSite=lax"} <= set(flags), cookie
        is_for_looks = name.startswith(("faregate-language=", "faregate-clock="))
        assert name.startswith("__Host-") != is_for_looks, cookie
