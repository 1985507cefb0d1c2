"""The certificate authorities by which PostgreSQL is verified, where a URL names none.

libpq looks for a file in the home folder, and the libpq of psycopg's wheels does not know the
system's own file. So a URL with `sslmode=verify-full` and without a file would never connect. Loads
the driver. Source: PostgreSQL, "SSL Support" and "Connection Control Functions".
"""

import ssl
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

#: Debian and Alpine, Fedora, BSD and macOS
_SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_VERIFYING = ("verify-ca", "verify-full")
_HOME = ".postgresql/root.crt"


def system_roots() -> str | None:
    """The file of the system's certificate authorities."""
    known = (*_SYSTEM, ssl.get_default_verify_paths().cafile)
    return next((path for path in known if path and Path(path).exists()), None)


def roots_of(url: str, roots: str | None = None) -> dict[str, str]:
    """Parameters by which the server is verified by `roots`, or the system's authorities.

    None where the URL, the environment or the home folder names others, or wants no such thing.
    Raises `psycopg.Error` for a URL that is none.
    """
    named = conninfo_to_dict(url)
    roots = system_roots() if roots is None else roots
    if roots is None:
        return {}
    if named.get("sslrootcert") == "system":
        # The word demands more than the file: nothing is taken on trust.
        return {"sslrootcert": roots, "sslmode": str(named.get("sslmode") or "verify-full")}
    given = {option.keyword: option.val or b"" for option in Conninfo.get_defaults()}
    mode = str(named.get("sslmode") or given.get(b"sslmode", b"").decode())
    is_named = "sslrootcert" in named or bool(given.get(b"sslrootcert"))
    if mode not in _VERIFYING or is_named or (Path.home() / _HOME).exists():
        return {}
    return {"sslrootcert": roots}
