"""URLs of inline images: RFC 2397 has them in more forms than servers take."""

import pytest

from gateway.core.request import DocumentPart, TextPart
from gateway.dialects.inline import read_file, read_image_url

PLAIN = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    "url",
    [
        PLAIN,
        "data:image/png;charset=utf-8;base64,iVBORw0KGgo=",
        "data:image/png;BASE64,iVBORw0KGgo=",
        "DATA:Image/PNG;Base64,iVBORw0KGgo=",
        'data:image/png;name="a.png";charset=utf-8;base64,iVBORw0KGgo=',
        'data:image/png;name="a b.png";base64,iVBORw0KGgo=',
        "data:image/png;name=a%20b.png;base64,iVBORw0KGgo=",
        "data:image/png; charset=utf-8; base64,iVBORw0KGgo=",
        "data:image/png ;base64 ,iVBORw0KGgo=",
        "data:image/png;base64,iVBORw0KGgo%3D",
    ],
)
def test_each_form_becomes_the_plain_one(url: str) -> None:
    assert read_image_url(url) == PLAIN


@pytest.mark.parametrize(
    "url",
    ["", "https://example.com/a.png", "data:text/plain;base64,aGk=", "data:image/png,raw",
     "data:image/png;base64,", "data:image/png;a=b" + ";a=b" * 9 + ";base64,iVBORw0KGgo=",
     "data:image/png;charset;base64,iVBORw0KGgo="],
)  # fmt: skip
def test_another_url_is_none(url: str) -> None:
    assert read_image_url(url) is None


def test_escapes_and_names_that_no_server_knows_are_put_right() -> None:
    assert (
        read_image_url("data:image/jpg;base64,/9j%2B%2fAA%3d") == "data:image/jpeg;base64,/9j+/AA="
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("data:text/plain;base64,SGk=", "Hi"),
        ("data:text/plain;BASE64,SGk=", "Hi"),
        ("DATA:Text/Plain; charset=utf-8; base64 ,SGk%3D", "Hi"),
        ("data:text/plain,a%20b", "a b"),
        ("Data:Application/JSON,{}", "{}"),
    ],
)
def test_a_file_of_text_is_read_in_each_form(given: str, expected: str) -> None:
    assert read_file(given, "file") == TextPart(expected)


@pytest.mark.parametrize("head", ["data:application/pdf;base64", "DATA:Application/PDF ;BASE64"])
def test_a_document_is_known_in_each_form(head: str) -> None:
    assert read_file(f"{head},JVBE%3d", "file") == DocumentPart("", path="file", data="JVBE=")


def test_a_plain_url_is_not_copied() -> None:
    assert read_image_url(PLAIN) is PLAIN
