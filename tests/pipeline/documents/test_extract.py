"""The text of a PDF, in a process of its own that nothing makes large or slow."""

import subprocess
import sys
import time
from io import BytesIO

import pytest
from msgspec import Struct
from pypdf import PdfReader, PdfWriter

from gateway.pipeline.documents import extract
from gateway.pipeline.documents.extract import Fault
from gateway.pipeline.documents.reader import CHARACTERS_MAX, MEMORY_BYTES, PAGES_MAX
from tests.harness.pdf import hostile, pdf

SECONDS = 2
HOSTILE = hostile()
#: what the interpreter and its libraries take beside what is bounded
CODE_BYTES = 96 * 1024 * 1024

#: a small process that starts the extraction, and reports on the last line what it took
_WATCHER = """
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], env={})
used = resource.getrusage(resource.RUSAGE_CHILDREN)
sys.stdout.flush()
print(file=sys.stderr)
print(ended.returncode, used.ru_maxrss * 1024, file=sys.stderr)
"""


class Extracted(Struct):
    status: int
    text: str
    peak_bytes: int
    seconds: float


def run(
    data: bytes, *, pages_max: int = PAGES_MAX, characters_max: int = CHARACTERS_MAX
) -> Extracted:
    bounds = map(str, (MEMORY_BYTES, SECONDS, pages_max, characters_max))
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", _WATCHER, sys.executable, "-I", extract.__file__, *bounds],
        input=data,
        capture_output=True,
        timeout=60,
        check=True,
    )
    status, peak = map(int, ended.stderr.splitlines()[-1].split())
    return Extracted(status, ended.stdout.decode(), peak, time.monotonic() - began)


def encrypted(password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf("Top secret."))))
    writer.encrypt(user_password=password, owner_password="owner")
    file = BytesIO()
    writer.write(file)
    return file.getvalue()


def test_pages_are_read_in_their_order() -> None:
    extracted = run(pdf("First (page).", "Zweite: größer.", ""))

    assert (extracted.status, extracted.text) == (0, "First (page).\n\nZweite: größer.\n\n")


def test_a_pdf_that_opens_without_a_password_is_read() -> None:
    assert run(encrypted("")).text == "Top secret."
    assert run(encrypted("sesame")).status == Fault.ENCRYPTED


def test_pages_without_text_are_distinguished() -> None:
    assert run(pdf("", "")).status == Fault.TEXTLESS


def test_pages_and_characters_are_bounded() -> None:
    assert run(pdf("a", "b", "c"), pages_max=3).status == 0
    assert run(pdf("a", "b", "c"), pages_max=2).status == Fault.TOO_MANY_PAGES
    assert run(pdf("abc", "def"), characters_max=6).status == 0
    assert run(pdf("abc", "def"), characters_max=5).status == Fault.TOO_LARGE


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_pdf_ends_within_its_bounds(what: str) -> None:
    extracted = run(HOSTILE[what])

    assert extracted.status != 0 or extracted.text == "x"
    assert extracted.peak_bytes < MEMORY_BYTES + CODE_BYTES
    # A busy machine gives the process its seconds late, but it does not get more of them.
    assert extracted.seconds < 30
