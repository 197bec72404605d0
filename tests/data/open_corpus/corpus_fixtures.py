"""A tiny open corpus in exactly the layout of the Debian packages."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import PIL.Image

# A map of 60 x 40 pixels: name, capital, colour, box (x1, y1, x2, y2), ignored.
REGIONS = (
    ("Frontier", None, (0, 0, 0), (0, 0, 60, 2), "yes"),
    ("Water", None, (255, 255, 255), (0, 2, 60, 40), "yes"),
    ("Aragon", "Zaragoza", (255, 0, 0), (5, 5, 20, 25), None),
    ("Castile & Leon", "Valladolid", (0, 0, 255), (25, 5, 45, 20), None),
    ("La Rioja", "Logroño", (0, 200, 0), (25, 22, 40, 36), None),
    ("Ceuta", None, (255, 255, 0), (50, 30, 52, 32), "allowClickMode"),
)
PAGE_LINES = (
    # x, y from the bottom, size, font, text
    (72, 760, 9, "F1", "A Small Manual"),
    (72, 700, 16, "F2", "1.1 Removing packages"),
    *((72, 660 - 14 * i, 10, "F1", f"Line {i} tells of package number{i} and of its tools.")
      for i in range(20)),
)  # fmt: skip


def png(size=(8, 6), colour=(200, 30, 30, 255), mode="RGBA") -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new(mode, size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def add_stamps(root: Path, per_category: int = 6) -> None:
    folder = root / "usr/share/tuxpaint/stamps"
    for c, category in enumerate(("animals", "food", "naturalforces", "town")):
        for i in range(per_category):
            name = f"{category}/sort/{category}{'abcdefghijkl'[i]}"
            write(folder / f"{name}.png", png(colour=(10 * i, 60 * c, 99, 128)))
            text = f"A fine {category} {i}.\nde.utf8=Ein Ding {i}.\n"
            write(folder / f"{name}.txt", text)


def add_map(root: Path, key: str, name: str, flags: bool = True, regions=REGIONS) -> None:
    folder = root / "usr/share/kgeography"
    pixels = np.zeros((40, 60, 3), np.uint8)
    divisions = []
    for region, capital, colour, (x1, y1, x2, y2), ignore in regions:
        pixels[y1:y2, x1:x2] = colour
        parts = [f"<name>{region.replace('&', '&amp;')}</name>"]
        if ignore:
            parts.append(f"<ignore>{ignore}</ignore>")
        if capital:
            parts.append(f"<capital>{capital}</capital>")
            if flags:
                flag = f"{key}/{region[:3].lower()}.png"
                parts.append(f"<flag>{flag}</flag>")
                write(folder / "flags" / flag, png((30, 20), (*colour, 255)))
        red, green, blue = colour
        parts.append(f"<color><red>{red}</red><green>{green}</green><blue>{blue}</blue></color>")
        divisions.append(f"<division>{''.join(parts)}</division>")
    buffer = io.BytesIO()
    # As shipped: a palette picture.
    PIL.Image.fromarray(pixels).quantize(16).save(buffer, "PNG")
    write(folder / f"{key}.png", buffer.getvalue())
    write(
        folder / f"{key}.kgm",
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE kgeographyMap>\n<map>'
        f"<mapFile>{key}.png</mapFile><name>{name}</name><divisionsName>Regions</divisionsName>"
        f"<author>A. Author</author>{''.join(divisions)}</map>",
    )


def pdf_bytes(pages: int = 16, lines=PAGE_LINES) -> bytes:
    """A PDF of US letter pages in Helvetica, each with the same lines."""
    content = "BT\n" + "".join(
        f"/{font} {size} Tf 1 0 0 1 {x} {y} Tm ({text}) Tj\n" for x, y, size, font, text in lines
    )
    stream = (content + "ET").encode("latin-1")
    kids = " ".join(f"{5 + i} 0 R" for i in range(pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {pages} /Kids [{kids}] >>".encode(),
        b"<< /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
        b" /F2 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    objects += [
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font 3 0 R >> >>"
    ] * pages
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        start,
    )


def add_documents(root: Path) -> None:
    write(root / "usr/share/developers-reference/developers-reference.pdf", pdf_bytes())
    write(root / "usr/share/doc/debian-policy/policy.pdf.gz", gzip.compress(pdf_bytes(4)))


def handbook_page(title: str, body: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<!DOCTYPE html><html><head>'
        f"<title>{title}</title></head><body>"
        '<div id="banner"><a href="x"><span class="text">Download the ebook</span></a></div>'
        '<p id="title"><a class="left" href="x">'
        '<img alt="Product Site" src="Common_Content/images//image_left.png" /></a></p>'
        '<ul class="docnav top"><li class="previous">Prev</li></ul><div class="section">'
        f'<div class="titlepage"><h2 class="title"><a id="i"></a>{title}</h2></div>'
        f'{body}</div><ul class="docnav"><li class="next">Next</li></ul></body></html>'
    )


def add_handbook(root: Path, pages: int = 12) -> None:
    folder = root / "usr/share/doc/debian-handbook/html/en-US"
    for i in range(pages):
        write(folder / f"images/figure{i}.png", png((30, 20), (i, 20, 30, 255)))
        body = (
            f'<div class="para">\n\t\tBefore\u00a0figure {i}: see <div class="url">→ '
            '<a href="u">https://example.org/</a></div> for more.\n</div>'
            f'<div class="figure"><div class="mediaobject"><img src="images/figure{i}.png"/>'
            f'</div><p class="title"><strong>Figure {i}. A screen</strong></p></div>'
            '<div class="itemizedlist"><ul><li class="listitem">'
            '<div class="para">An item.</div></li></ul></div>'
            '<pre class="screen">$ ls\n  a  b\n</pre>'
        )
        write(folder / f"sect.page{i}.html", handbook_page(f"{i}.1. Page", body))
    long = "".join(f'<div class="para">{"Sentence number one. " * 30}</div>' for _ in range(5))
    write(folder / "sect.long.html", handbook_page("9.1. Long", long))


def make_corpus(root: Path) -> Path:
    add_stamps(root)
    for i in range(24):
        add_map(root, f"land{chr(97 + i)}", f"Land {i}", flags=i < 2)
    add_documents(root)
    add_handbook(root)
    return root
