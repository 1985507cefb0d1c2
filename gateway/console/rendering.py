"""Pages from templates: everything is escaped, and a name that is missing is an error."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gateway.console.formats import FILTERS, lifetime, long_day
from gateway.console.language import (
    CLOCK_COOKIE,
    LANGUAGE_COOKIE,
    LANGUAGES,
    choose_language,
    marked,
    translations,
)
from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.console.static_files import STATIC
from gateway.core.errors import DatabaseUnavailable, FaregateError

_FOLDER = Path(__file__).parent / "templates"
#: the field of a form that holds its session's token
FORM_TOKEN = "form_token"  # noqa: S105  # its name

_AWAY = marked("The database does not answer. Try again in a minute.")
_ASK = marked("{problem}. Ask {contact}.")


@cache
def environment(language: str) -> Environment:
    """The templates with the words of a language, compiled when they are first used."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(  # type: ignore[attr-defined]
        translations(language), newstyle=True
    )
    made.filters |= FILTERS
    gettext = translations(language).gettext
    made.filters["long_day"] = partial(long_day, gettext=gettext)
    made.filters["lifetime"] = partial(lifetime, gettext=gettext)
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

    language = language_of(request)
    page = environment(language).get_template(template)
    values |= {
        "session": session,
        "path": request.url.path,
        "csrf_field": csrf_field,
        "language": language,
        "languages": LANGUAGES,
        "clock": clock_of(request),
    }
    return HTMLResponse(page.render(values), status)


def language_of(request: Request) -> str:
    """The language that a request wants."""
    return choose_language(
        request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language")
    )


def words(request: Request) -> Callable[[str], str]:
    """The words of the request's language for a text."""
    return translations(language_of(request)).gettext


def problem_of(request: Request, error: FaregateError) -> str:
    """An error's message in the request's language, with the one to ask where it names one."""
    gettext = words(request)
    if isinstance(error, DatabaseUnavailable):
        return gettext(_AWAY)
    if error.sentence is None:
        return error.message
    problem, contact = error.sentence.translated(gettext), (error.details or {}).get("contact")
    return gettext(_ASK).format(problem=problem, contact=contact) if contact else problem


def clock_of(request: Request) -> str:
    """The clock that moments are shown by: `utc`, or the browser's own by its script."""
    return "local" if request.cookies.get(CLOCK_COOKIE) == "local" else "utc"


def redirect(path: str) -> RedirectResponse:
    """The answer to a form: its page, or another one of the console's, by GET."""
    assert path == BASE or path.startswith(f"{BASE}/"), "never to another host"
    return RedirectResponse(path, 303)
