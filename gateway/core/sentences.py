"""Sentences for people: English, and the key to their translations in other languages."""

from collections.abc import Callable, Mapping

from msgspec import Struct


class Sentence(Struct, frozen=True):
    """A sentence by its form, such as `there is no key {key}`, and the values in it.

    The form stands in the catalogues of the console as it is, so it is written in one piece.
    """

    form: str
    values: Mapping[str, object]

    def __str__(self) -> str:
        return self.form.format(**self.values)

    def translated(self, gettext: Callable[[str], str]) -> str:
        """The sentence in the language of `gettext`, which knows its words for a form."""
        return gettext(self.form).format(**self.values)
