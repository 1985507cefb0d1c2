"""Citations of pages, as OpenAI's two dialects annotate an answer's text with them.

    chat        {"type": "url_citation", "url_citation": {"url", "title", "start_index", …}}
    Responses   {"type": "url_citation", "url", "title", "start_index", "end_index"}

Source: OpenAI API reference, "The chat completion object", `annotations`, and "Responses", output
text.
"""

from typing import Any

from gateway.core.events import Citation
from gateway.dialects.odd_values import Object, number_of, object_of, objects_in, text_of

_KIND = "url_citation"


def read_citations(annotations: Any, offset: int = 0) -> list[Citation]:
    """The citations among annotations of either dialect, `offset` characters further on.

    One without a URL is left out; a title that is not there is empty, a place is 0.
    """
    citations: list[Citation] = []
    for annotation in objects_in(annotations):
        cited = object_of(annotation.get(_KIND)) or annotation
        url = cited.get("url")
        if annotation.get("type") == _KIND and url and isinstance(url, str):
            start, end = number_of(cited.get("start_index")), number_of(cited.get("end_index"))
            title = text_of(cited.get("title"))
            citations.append(Citation(url, title, (start or 0) + offset, (end or 0) + offset))
    return citations


def write_chat_citation(citation: Citation, offset: int) -> Object:
    """The annotation of a chat message, `offset` characters further on."""
    return {"type": _KIND, _KIND: _members(citation, offset)}


def write_response_citation(citation: Citation) -> Object:
    """The annotation of an `output_text`."""
    return {"type": _KIND, **_members(citation, 0)}


def _members(citation: Citation, offset: int) -> Object:
    return {
        "start_index": citation.start + offset,
        "end_index": citation.end + offset,
        "url": citation.url,
        "title": citation.title,
    }
