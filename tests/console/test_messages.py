"""The words of the pages: all of them are in the catalogues, and no template has any of its own."""

import re
import subprocess
import sys
from gettext import GNUTranslations
from pathlib import Path

import pytest

from gateway.console.language import LANGUAGES, translations
from tests.harness.pages import ROOT

CONSOLE = ROOT / "gateway/console"
TEMPLATES = sorted((CONSOLE / "templates").rglob("*.html"))
#: names, and text for programs, which are the same in each language
NOT_WORDS = {"Faregate", "python -m gateway console link", "UTC"}
_CODE = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_TRANSLATED = re.compile(r"\{%-? *trans\b.*?endtrans *-?%\}", re.DOTALL)
_ATTRIBUTE = re.compile(r'(?:alt|title|placeholder|aria-label)="([^"]*)"')
_TAG = re.compile(r"<[^>]*>")


def test_every_text_is_translated() -> None:
    command = [sys.executable, str(ROOT / ".dev/messages.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_text_of_its_own(path: Path) -> None:
    text = _CODE.sub("", _TRANSLATED.sub("", path.read_text(encoding="utf-8")))
    found = [*_ATTRIBUTE.findall(text), *_TAG.sub("\n", text).split("\n")]
    own = {each.strip(" ·:") for each in found if re.search("[A-Za-z\u4e00-\u9fff]{2}", each)}
    assert own - NOT_WORDS == set()


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_a_translation_has_the_gaps_of_its_text(language: str) -> None:
    found = translations(language)
    assert isinstance(found, GNUTranslations)
    gap = re.compile(r"%\(\w+\)s|\{\w+\}")
    wrong = []
    for text, words in found._catalog.items():  # type: ignore[attr-defined]
        asked = text[0] if isinstance(text, tuple) else text
        if asked and sorted(gap.findall(asked)) != sorted(gap.findall(words)):
            wrong.append(asked)
    assert wrong == []
