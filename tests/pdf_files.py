"""Writes small PDF files, so that tests say what stands where on a page."""

from collections.abc import Sequence
from typing import NamedTuple

FONTS = ("Helvetica", "Helvetica-Bold")


class Placed(NamedTuple):
    """Words on a page: points from the left and from the bottom, size, and whether bold."""

    x: float
    y: float
    text: str
    size: float = 11
    bold: bool = False


def pdf(pages: Sequence[Sequence[Placed]]) -> bytes:
    """Returns a PDF file with these pages, in the two fonts that every reader knows."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    objects += [
        b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>"
        % name.encode()
        for name in FONTS
    ]
    kids = []
    for page in pages:
        drawn = b"".join(map(_drawn, page))
        objects.append(b"<< /Length %d >>\nstream\nBT\n%sET\nendstream" % (len(drawn) + 5, drawn))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F0 3 0 R /F1 4 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    file, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(b"%010d 00000 n \n" % len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    return (
        file
        + b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, b"".join(places))
        + b"trailer << /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
        + b"startxref\n%d\n%%%%EOF" % len(file)
    )


def _drawn(words: Placed) -> bytes:
    text = words.text.encode("cp1252").replace(b"\\", b"\\\\")
    text = text.replace(b"(", b"\\(").replace(b")", b"\\)")
    place = f"/F{int(words.bold)} {words.size} Tf 1 0 0 1 {words.x} {words.y} Tm (".encode()
    return place + text + b") Tj\n"
