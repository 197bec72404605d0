"""Pages of PDF and TIFF documents as pictures, one at a time."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import PIL.Image

from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.open_corpus import pdf
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Image
from mm15_jax.inputs.tiles import MAX_PIXELS

LONG_SIDE = 1600  # of a page's picture, in pixels: small print is legible
_QUALITY = 90
_COLOURED = ("RGB", "RGBA", "RGBX", "P", "CMYK", "YCbCr", "LAB")


def require_pdfium() -> None:
    """ValueError if PDF documents cannot be rendered here."""
    if importlib.util.find_spec("pypdfium2") is None:
        raise ValueError(
            "PDF documents need pypdfium2; install it with `pip install 'mm15_jax[open]'`"
        )


def pdf_page(path: Path, number: int, role: str = "user") -> Image:
    """A page (from 0) of a document as JPEG, `LONG_SIDE` pixels long.

    Raises:
      DataError: if it cannot be rendered.
    """
    width, height = pdf.page_size(path, number)
    pixels = pdf.render(path, number, LONG_SIDE / max(width, height))
    return _encoded(PIL.Image.fromarray(_without_colour(pixels)), role)


def _without_colour(pixels: np.ndarray) -> np.ndarray:
    """[h, w] of a page that is grey all over, else as it is."""
    grey = (pixels == pixels[..., :1]).all()
    return pixels[..., 0] if grey else pixels


def _encoded(picture: PIL.Image.Image, role: str) -> Image:
    """As JPEG; as PNG where it is black and white, which is smaller and exact."""
    buffer = io.BytesIO()
    if picture.mode == "1":
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, "JPEG", quality=_QUALITY)
    return image_of(buffer.getvalue(), role)


class TiffPages:
    """The pages of a TIFF file, decoded one at a time.

    Raises:
      DataError: if the file is no TIFF.
    """

    def __init__(self, data: bytes):
        try:
            self._file = PIL.Image.open(io.BytesIO(data), formats=("TIFF",))
            self._count = getattr(self._file, "n_frames", 1)
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
            raise DataError(f"not a readable TIFF ({error})") from error

    def __len__(self) -> int:
        return self._count

    def page(self, number: int, role: str = "user") -> Image:
        """A page (from 0), at most `LONG_SIDE` pixels long; DataError if it is damaged."""
        try:
            self._file.seek(number)
            width, height = self._file.size
            if not 0 < width * height <= MAX_PIXELS:
                raise DataError(f"a page that claims {width} x {height} pixels")
            if self._file.mode not in ("1", "L", "LA", *_COLOURED):
                raise DataError(f"a page in the pixel format {self._file.mode}")
            picture = self._file.copy()
            if max(width, height) > LONG_SIDE:
                picture = picture.convert("RGB" if picture.mode in _COLOURED else "L")
                picture.thumbnail((LONG_SIDE, LONG_SIDE), PIL.Image.Resampling.BICUBIC)
            elif picture.mode not in ("1", "L", "RGB"):
                picture = picture.convert("RGB")
        # Pillow's TIFF reader reports damage by all of these.
        except (OSError, EOFError, SyntaxError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"page {number + 1} is not readable ({error})") from error
        return _encoded(picture, role)
