"""Every route of the console's pages: who is answered what, about the own and about the foreign.

The routes are the application's own; one that is not in the table fails the tests.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import asdict

from gateway.console.application import routed_app
from gateway.console.site import BASE
from gateway.console.static_files import STATIC
from tests.console.routes.world import ASKERS, Target

#: A cell has the status about what is in reach, and that about what is not; `in` leads to the
#: sign-in page. A role is one in the namespace, a member's and a key's in the account alone.
#:                                          nobody key member manager treasurer auditor stranger
_TABLE = """
GET  /static/{file}                               200 200 200 200 200 200 200
GET  /signed-out                                  200 200 200 200 200 200 200
GET  /sign-in                                     200 303 303 303 303 303 303
POST /sign-in/key                                 303 303 303 303 303 303 303
GET  /sign-in/start                               303 303 303 303 303 303 303
GET  /sign-in/again                               303 303 303 303 303 303 303
GET  /callback                                    400 400 400 400 400 400 400
POST /backchannel-logout                          400 400 400 400 400 400 400
GET  /start/{code}                                200 200 200 200 200 200 200
POST /start/{code}                                303 303 303 303 303 303 303
POST /sign-out                                    in 303 303 303 303 303 303
GET  /this-key                                    in 200 404 404 404 404 404
POST /this-key/revoke                             in 303 404 404 404 404 404
GET  /                                            303 303 303 303 303 303 303
GET  .                                            in 200 200 200 200 200 403
GET  .?account={account}                          in 200/404 200/404 200/404 200/404 200/404 404
GET  /keys?account={account}                      in 200/404 200/404 200/404 200/404 200/404 404
POST /keys?account={account}                      in 404 200/404 403/404 403/404 403/404 404
GET  /keys/new?account={account}                  in 404 200/404 403/404 403/404 403/404 404
POST /keys/env                                    in 404 200 200 200 200 200
GET  /keys/{key_id}?account={account}             in 200/404 200/404 200/404 200/404 200/404 404
POST /keys/{key_id}?account={account}             in 404 303/404 403/404 403/404 403/404 404
POST /keys/{key_id}/rotate?account={account}      in 404 200/404 403/404 403/404 403/404 404
POST /keys/{key_id}/suspend?account={account}     in 404 303/404 303/404 303/404 403/404 404
POST /keys/{key_id}/resume?account={account}      in 404 303/404 303/404 303/404 403/404 404
POST /keys/{key_id}/revoke?account={account}      in 404 303/404 303/404 303/404 403/404 404
GET  /usage?account={account}                     in 200/404 200/404 200/404 200/404 200/404 404
GET  /usage.csv?account={account}                 in 200/404 200/404 200/404 200/404 200/404 404
GET  /ledger?account={account}                    in 200/404 200/404 200/404 200/404 200/404 404
GET  /ledger.csv?account={account}                in 200/404 200/404 200/404 200/404 200/404 404
GET  /statement?account={account}                 in 200/404 200/404 200/404 200/404 200/404 404
GET  /setup?account={account}                     in 200/404 200/404 200/404 200/404 200/404 404
GET  /settings                                    in 200 200 200 200 200 200
POST /settings                                    in 303 303 303 303 303 303
POST /settings/sessions                           in 404 303 303 303 303 303
GET  /accounts                                    in 404 404 200 200 200 404
GET  /accounts/{account}                          in 404 404 200/404 200/404 200/404 404
GET  /grants                                      in 404 404 200 200 200 404
POST /grants                                      in 404 403 403 303/422 403 403
GET  /grants/new                                  in 404 403 403 200 403 403
GET  /grants/{grant_id}/void                      in 404 403 403 200/404 403 403
POST /grants/{grant_id}/void                      in 404 403 403 303/404 403 403
GET  /people                                      in 404 404 200 200 200 404
POST /people/{person}/end-sessions                in 404 404 303/404 303/404 404 404
POST /people/{person}/suspend-keys                in 404 404 303/404 303/404 404 404
GET  /people/bind                                 in 404 404 200 200 404 404
POST /people/bind                                 in 404 404 303/422 303/422 404 404
GET  /people/{person}/unbind/{account}            in 404 404 200/404 200/404 404 404
POST /people/{person}/unbind/{account}            in 404 404 303/404 303/404 404 404
GET  /events                                      in 404 404 200 200 200 404
"""
#: the forms that are filled in
_FORMS: dict[str, dict[str, str]] = {
    "/sign-in/key": {"key": "{secret}"},
    "/keys": {"label": "made", "attempt": "{attempt}"},
    "/keys/env": {"secret": "{secret}"},
    "/keys/{key_id}": {"label": "changed"},
    "/keys/{key_id}/rotate": {"prefix": "{prefix}", "overlap": "0"},
    "/keys/{key_id}/revoke": {"name": "{mark}"},
    "/settings": {"language": "zh-Hans", "clock": "local"},
    "/settings/sessions": {"session": "{session}"},
    "/people/bind": {"issuer": "{issuer}", "subject": "{mark}", "account": "{account}"},
    "/grants": {"account": "{account}", "credits": "5", "reference": "{key_id}"},
}
#: the names of paths that are one thing here
_JOINED = {"{namespace}/{name}": "{account}", "{name}": "{file}"}


class Line(Struct, frozen=True):
    """One line of the table."""

    method: str
    path: str
    query: str
    cells: Mapping[str, str]

    @property
    def is_about_target(self) -> bool:
        """True if the request names something that may be foreign."""
        return "/" in "".join(self.cells.values())

    def fill(self, target: Target) -> tuple[str, dict[str, str]]:
        """The path and the form of a request about a target."""
        values = asdict(target) | {"file": STATIC.url("console.css").rpartition("/")[2]}
        form = _FORMS.get(self.path, {}) if self.method == "POST" else {}
        filled = {name: value.format_map(values) for name, value in form.items()}
        return (self.path + self.query).format_map(values), filled

    def expected(self, asker: str, is_in_reach: bool) -> str:
        """The status of the answer, or `in`."""
        own, _, foreign = self.cells[asker].partition("/")
        return own if is_in_reach or not foreign else foreign


def lines() -> list[Line]:
    """The table."""
    read = []
    for line in _TABLE.strip().splitlines():
        method, place, *cells = line.split()
        path, mark, query = place.removeprefix(".").partition("?")
        read.append(Line(method, path, mark + query, dict(zip(ASKERS, cells, strict=True))))
    return read


def routes() -> set[tuple[str, str]]:
    """Method and path of every route of the application, without the base."""
    found = set()
    for path, methods in routed_app(None).openapi()["paths"].items():
        short = path.removeprefix(BASE)
        for long, name in _JOINED.items():
            short = short.replace(long, name)
        found |= {(method.upper(), short) for method in methods}
    return found
