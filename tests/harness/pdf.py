"""PDFs made by hand: what a page shows, and what a hostile one does. Source: ISO 32000-1, 7.5."""

import zlib

_HELVETICA = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"


def pdf(*pages: str) -> bytes:
    """A PDF with one line of Latin text on each page; a page without text is empty."""
    return of_contents(*(_show(text) if text else b"" for text in pages))


def of_contents(*contents: bytes, filters: bytes = b"", resources: bytes = b"") -> bytes:
    """A PDF of pages with these content streams, already encoded as `filters` name it."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * index) for index in range(len(contents)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, len(contents)),
        _HELVETICA,
    ]
    for index, content in enumerate(contents):
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R"
        own = b"/Resources<</Font<</F1 3 0 R>>%b>>>>" % resources
        objects.append(page % (5 + 2 * index) + own)
        objects.append(stream(content, filters))
    return of_objects(*objects)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(content), entries, content)


def of_objects(*objects: bytes) -> bytes:
    """A file of objects numbered from 1, of which the first is the catalog."""
    file = b"%PDF-1.7\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
    return file + trailer % (len(objects) + 1, start)


def _show(text: str) -> bytes:
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return b"BT /F1 12 Tf 72 720 Td (%b) Tj ET" % escaped.encode("cp1252")


def hostile() -> dict[str, bytes]:
    """By what it does: a small file that asks for far more work or memory than it is worth."""
    packer = zlib.compressobj(9)
    spaces = b"".join(packer.compress(bytes(1_000_000)) for _ in range(500)) + packer.flush()
    packed_twice = zlib.compress(spaces, 9)
    many = b"BT /F1 12 Tf " + b"0 -12 Td (All work and no play.) Tj " * 400_000 + b"ET"
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    levels = [
        b"<</Type/Pages/Count 99999999/Kids[%b]>>" % (b"%d 0 R " % (3 + level) * 10)
        for level in range(8)
    ]
    itself = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 6 0 R>>>>"
    page = b"<</Type/Page/Parent 2 0 R/Contents 5 0 R/Resources<</XObject<</X 6 0 R>>>>>>"
    return {
        "unpacks without end": of_contents(
            packed_twice, filters=b"/Filter[/FlateDecode/FlateDecode]"
        ),
        "says too much": of_contents(zlib.compress(many), filters=b"/Filter/FlateDecode"),
        "has pages without end": of_objects(b"<</Type/Catalog/Pages 2 0 R>>", *levels, leaf),
        "has pages in a circle": of_objects(
            b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[2 0 R]>>"
        ),
        "draws itself": of_objects(
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
            _HELVETICA,
            page,
            stream(b"/X Do " * 50),
            stream(b"/X Do " * 50, itself),
        ),
        "points to itself": pdf("x").replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev 9"),
        "nests without end": of_contents(b"[" * 1_000_000),
        "nests its names": of_objects(b"<</Type/Catalog/Pages " + b"<</A" * 200_000),
        "is cut": pdf("Hello")[:120],
        "is nothing": b"%PDF-1.7\n" + bytes(1_000_000),
    }
