"""URLs of inline images: RFC 2397 has them in more forms than servers take."""

import pytest

from gateway.dialects.inline import read_image_url

PLAIN = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    "url",
    [
        PLAIN,
        "data:image/png;charset=utf-8;base64,iVBORw0KGgo=",
        "data:image/png;BASE64,iVBORw0KGgo=",
        "DATA:Image/PNG;Base64,iVBORw0KGgo=",
        'data:image/png;name="a.png";charset=utf-8;base64,iVBORw0KGgo=',
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


def test_a_plain_url_is_not_copied() -> None:
    assert read_image_url(PLAIN) is PLAIN
