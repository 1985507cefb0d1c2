"""The text of one PDF, in a process of its own: the PDF on its input, the text on its output.

    python -I extract.py MEMORY_BYTES PROCESSOR_SECONDS PAGES_MAX CHARACTERS_MAX

Owns the bounds that a hostile PDF cannot pass, because the system keeps them, and what is wrong
with one that has no text, as its exit status. It yields the processor to the gateway. Must never
import anything of the gateway, so that the process starts quickly and knows no secrets. Text is in
the order of the pages, an empty line between two. Source: ISO 32000.
"""

import io
import logging
import os
import resource
import sys
from enum import IntEnum

_NICE = 10


class Fault(IntEnum):
    """The fault of a PDF."""

    INVALID = 10
    ENCRYPTED = 11
    TEXTLESS = 12
    TOO_MANY_PAGES = 13
    TOO_LARGE = 14


class _CannotRead(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


def main() -> int:
    """Returns 0, or the `Fault`; the system ends a process that takes too long."""
    memory_bytes, seconds, pages_max, characters_max = map(int, sys.argv[1:])
    _bound(memory_bytes, seconds)
    logging.disable()
    try:
        text = _read(sys.stdin.buffer.read(), pages_max, characters_max)
        sys.stdout.buffer.write(text.encode(errors="replace"))
    except _CannotRead as found:
        return found.fault
    except MemoryError:
        return Fault.TOO_LARGE
    except Exception:  # noqa: BLE001  # every error of the library is a fault of the PDF
        return Fault.INVALID
    return 0


def _bound(memory_bytes: int, seconds: int) -> None:
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(data: bytes, pages_max: int, characters_max: int) -> str:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):  # many only forbid printing
        raise _CannotRead(Fault.ENCRYPTED)
    if len(reader.pages) > pages_max:
        raise _CannotRead(Fault.TOO_MANY_PAGES)
    pages: list[str] = []
    characters = 0
    for page in reader.pages:
        pages.append(page.extract_text().strip())
        characters += len(pages[-1])
        if characters > characters_max:
            raise _CannotRead(Fault.TOO_LARGE)
    if not characters:
        raise _CannotRead(Fault.TEXTLESS)
    return "\n\n".join(pages)


if __name__ == "__main__":
    sys.exit(main())
