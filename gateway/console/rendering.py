"""Pages from templates: everything is escaped, and a name that is missing is an error."""

from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.console.static_files import STATIC

_FOLDER = Path(__file__).parent / "templates"
#: the field of a form that holds its session's token
FORM_TOKEN = "form_token"  # noqa: S105  # its name


@cache
def environment() -> Environment:
    """The templates, compiled when they are first used."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    made.globals["static"] = STATIC.url
    made.globals["base"] = BASE
    return made


def render(
    request: Request,
    template: str,
    *,
    session: Session | None = None,
    status: int = 200,
    **values: Any,
) -> HTMLResponse:
    """A page. Its template knows `session` and `path`, and `csrf_field()` for its forms."""

    def csrf_field() -> Markup:
        assert session is not None, "only a form of a session has a token"
        field = Markup('<input type="hidden" name="{}" value="{}">')
        return field.format(FORM_TOKEN, session.form_token)

    page = environment().get_template(template)
    values |= {"session": session, "path": request.url.path, "csrf_field": csrf_field}
    return HTMLResponse(page.render(values), status)


def redirect(path: str) -> RedirectResponse:
    """The answer to a form: its page, or another one of the console's, by GET."""
    assert path == BASE or path.startswith(f"{BASE}/"), "never to another host"
    return RedirectResponse(path, 303)
