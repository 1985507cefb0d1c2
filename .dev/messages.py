"""Collects the console's texts and compiles its catalogues: `python .dev/messages.py`.

With `--check` it only looks: every text is translated in every catalogue, none is left over, and
what is compiled is what is written.
"""

import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

GATEWAY = Path(__file__).parents[1] / "gateway"
CONSOLE = GATEWAY / "console"
LOCALES = ("zh_Hans",)
#: the same catalogue is the same bytes
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_JINJA = {"trim_blocks": "true", "lstrip_blocks": "true", "newstyle_gettext": "true"}
_HEADER = r"""msgid ""
msgstr ""
"Language: {locale}\n"
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: nplurals=1; plural=0;\n"
"""
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "marked": None, "Sentence": None}


def collected() -> Catalog:
    """The texts of all templates and of the modules beside them, and the sentences below them."""
    found = Catalog(charset="utf-8", fuzzy=False)
    for path, method in _sources():
        with path.open("rb") as file:
            for _, text, _, _ in extract(method, file, keywords=_KEYWORDS, options=_JINJA):
                if text and text != ("", ""):
                    found.add(text, locations=[(str(path.relative_to(GATEWAY)), 0)])
    return found


def _sources() -> Iterator[tuple[Path, str]]:
    for path in sorted((CONSOLE / "templates").rglob("*.html")):
        yield path, "jinja2.ext.babel_extract"
    for part in ("console", "core", "store"):
        for path in sorted((GATEWAY / part).rglob("*.py")):
            yield path, "python"


def problems(locale: str, template: Catalog) -> Iterator[str]:
    """The faults of a catalogue."""
    written, compiled = read(locale)
    wanted = {message.id for message in template if message.id}
    known = {message.id: message.string for message in written if message.id}
    for text in sorted(map(str, wanted - known.keys())):
        yield f"{locale}: not in the catalogue, run `make generate`: {text}"
    for text in sorted(map(str, known.keys() - wanted)):
        yield f"{locale}: in no template, run `make generate`: {text}"
    for key, words in known.items():
        if not words or (isinstance(words, tuple | list) and not all(words)):
            yield f"{locale}: not translated in console.po: {key}"
    if compiled != compile_catalogue(written):
        yield f"{locale}: run `make generate`"


def read(locale: str) -> tuple[Catalog, bytes]:
    """A catalogue as it is written, and as it was compiled."""
    with (folder(locale) / "console.po").open("rb") as file:
        written = read_po(file, locale=locale)
    compiled = folder(locale) / "console.mo"
    return written, compiled.read_bytes() if compiled.exists() else b""


def folder(locale: str) -> Path:
    return CONSOLE / "locale" / locale / "LC_MESSAGES"


def compile_catalogue(catalog: Catalog) -> bytes:
    catalog.creation_date = catalog.revision_date = _LONG_AGO
    made = io.BytesIO()
    write_mo(made, catalog)
    return made.getvalue()


def update(locale: str, template: Catalog) -> None:
    """Bring a catalogue up to date with the texts, and compile it."""
    written, _ = read(locale)
    written.update(template, no_fuzzy_matching=True)
    written.obsolete.clear()
    written.fuzzy = False
    made = io.BytesIO()
    write_po(made, written, no_location=True, omit_header=True, sort_output=True, width=100)
    text = f"{_HEADER.format(locale=locale)}\n{made.getvalue().decode().strip()}\n"
    (folder(locale) / "console.po").write_text(text, encoding="utf-8")
    written, _ = read(locale)
    (folder(locale) / "console.mo").write_bytes(compile_catalogue(written))


def main() -> int:
    template = collected()
    for locale in LOCALES:
        if "--check" not in sys.argv:
            update(locale, template)
    found = [each for locale in LOCALES for each in problems(locale, template)]
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
