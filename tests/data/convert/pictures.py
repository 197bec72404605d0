"""Tiny pictures for fixtures."""

import io

import PIL.Image


def picture(width=64, height=48, shade=128, kind="JPEG", pages=0):
    """The bytes of a picture whose shade tells it from others."""
    stream = io.BytesIO()
    mode = "L" if kind == "TIFF" else "RGB"
    color = shade if mode == "L" else (shade, 255 - shade, shade // 2)
    first = PIL.Image.new(mode, (width, height), color)
    if pages:
        rest = [PIL.Image.new(mode, (width, height), shade + i) for i in range(1, pages)]
        first.save(stream, kind, save_all=True, append_images=rest)
    else:
        first.save(stream, kind)
    return stream.getvalue()


def write(path, data):
    """Writes bytes or text, making folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
