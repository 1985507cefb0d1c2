"""The languages of the console: which one a request wants, and the words of each.

English stands in the templates and is the key to the catalogues, `locale/*/LC_MESSAGES`; those are
compiled by `make generate`.
"""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

#: tag of the page's language, and the name that its speakers know
LANGUAGES = {"en": "English", "zh-Hans": "简体中文"}
LANGUAGE_COOKIE = "faregate-language"
CLOCK_COOKIE = "faregate-clock"
_LOCALE = Path(__file__).parent / "locale"


def choose_language(cookie: str | None, accepted: str | None) -> str:
    """The language of a request, from its own choice or its browser's.

    >>> choose_language(None, "de, zh-CN;q=0.9, en;q=0.5"), choose_language("en", "zh")
    ('zh-Hans', 'en')
    >>> choose_language("xx", None), choose_language(None, "en;q=0.5, zh;q=0.4")
    ('en', 'en')
    """
    if cookie in LANGUAGES:
        return cookie
    wanted: list[tuple[float, str]] = []
    for part in (accepted or "")[:200].split(","):
        tag, _, quality = part.strip().partition(";q=")
        for language in LANGUAGES:
            if tag.split("-")[0].lower() == language.split("-")[0]:
                wanted.append((_quality(quality), language))
    return max(wanted, key=lambda one: one[0], default=(0, "en"))[1]


def _quality(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


@cache
def translations(language: str) -> NullTranslations:
    """The words of a language."""
    if language == "en":
        return NullTranslations()
    path = _LOCALE / language.replace("-", "_") / "LC_MESSAGES/console.mo"
    with path.open("rb") as file:
        return GNUTranslations(file)


def marked(text: str) -> str:
    """A text for the catalogues; a template translates it."""
    return text
