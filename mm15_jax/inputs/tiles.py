"""From encoded pictures to tiles: decoding, resizing, padding (MM1.5, section 3.5).

JPEG and plain PNG take a fast path (simplejpeg, OpenCV); every other format, and whatever the fast
path refuses, goes to Pillow. Both give the same upright RGB pixels.
"""

import io
import zlib

import cv2
import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from mm15_jax.inputs.image_splitting import OVERVIEW_CELL, Tiling, fit_size
from mm15_jax.inputs.resizing import SPARE, power_of_two, resize_into

# CLIP's mean colour in 8 bits, (.48145466, .4578275, .40821073) * 255 = (122.77, 116.75, 104.09)
# rounded: after normalisation the padding is zero to within half a grey level.
PAD_COLOUR = (123, 117, 104)

# Pillow's own limit. A small file can claim a picture that fills the memory of a host.
MAX_PIXELS = 89_478_485

# Of a JPEG whose decoder says so pixels are missing; Pillow would make them grey. Other complaints,
# such as of bytes between two segments, may be of a sound picture.
_JPEG_LOSSES = ("remature end", "bad Huffman code")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_GREY, _PNG_RGB = 0, 2  # colour types without palette and alpha
_PNG_EXTRAS = (b"tRNS", b"acTL", b"eXIf", b"iTXt", b"tEXt", b"zTXt")  # texts may hold EXIF, XMP
# What Pillow may open. Of its other plugins some start a program (EPS) or take any bytes (TGA).
_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_TIFF_WIDTH, _TIFF_HEIGHT, _ORIENTATION_TAG = 0x0100, 0x0101, 0x0112
_SWAPPED_ORIENTATIONS = (5, 6, 7, 8)  # turned by a quarter: height and width change places

# The loader decodes several pictures at once; threads inside each resize would only compete.
cv2.setNumThreads(1)


def decode_image(data: bytes) -> np.ndarray:
    """Decodes a picture into upright RGB.

    The EXIF orientation is applied, CMYK and palettes are converted, 16 bits are reduced to 8 (the
    high byte), transparency is laid on white, an animation gives its first frame.

    Args:
      data: the encoded picture: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000, PPM or ICO.

    Returns:
      uint8[height, width, 3].

    Raises:
      ValueError: if the bytes are not a readable picture, or claim more than `MAX_PIXELS` pixels.
    """
    return _decode(data, None)[0]


def image_size(data: bytes) -> tuple[int, int]:
    """Height and width of an encoded picture after its EXIF orientation, from the header alone.

    Args:
      data: the encoded picture; only its header has to be intact.

    Returns:
      (height, width) in pixels.

    Raises:
      ValueError: if the header is not readable, or claims more than `MAX_PIXELS` pixels.
    """
    size = _jpeg_size(data) or _png_size(data)
    if size is not None:
        _check_pixels(*size)
        return size
    picture = _open(data)
    width, height = picture.size
    if picture.format == "TIFF":  # its size is the turned one already, in some releases of Pillow
        width, height = picture.tag_v2[_TIFF_WIDTH], picture.tag_v2[_TIFF_HEIGHT]
    return (width, height) if _orientation(picture) in _SWAPPED_ORIENTATIONS else (height, width)


def check_whole(data: bytes) -> None:
    """Raises as `decode_image` does for a picture that was cut short, mostly without decoding it.

    What has the last bytes of a JPEG, or all chunks of a PNG, is not decoded: damage in the middle
    of a JPEG is found where it is shown.

    Args:
      data: the encoded picture.

    Raises:
      ValueError: as `decode_image`.
    """
    if data.startswith(b"\xff\xd8"):
        whole = data.rstrip(b"\0").endswith(b"\xff\xd9")
    else:
        whole = data.startswith(_PNG_SIGNATURE) and _png_is_whole(data)
    if not whole:
        decode_image(data)


def render_tiles(image: np.ndarray, tiling: Tiling) -> np.ndarray:
    """Cuts a picture into its tiles.

    The picture is resized, aspect kept, so that it just fits the grid; it stands at the top left,
    and the rest is padding. At the top left, and not in the centre, a pixel's place in the grid is
    its place in the picture times one scale, whatever the aspect. The overview is the whole picture
    with its longer side resized to r. A picture that fits as it is is copied, not resampled.

    Args:
      image: uint8[height, width, 3], RGB.
      tiling: the geometry; its size may differ from the picture's by a common scale (a picture
        decoded at reduced size).

    Returns:
      uint8[num_tiles, r, r, 3] in the order of `tiling.cells`.
    """
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, image.shape
    r = tiling.resolution
    rows, columns = tiling.grid
    canvas = np.empty((rows * r, columns * r, 3), np.uint8)
    fitted = _fit(image, canvas, fit_size(tiling.height, tiling.width, rows, columns, r))
    if tiling.num_tiles == 1:
        return canvas[np.newaxis]
    tiles = np.empty((tiling.num_tiles, r, r, 3), np.uint8)
    for tile, (row, column) in zip(tiles, tiling.cells, strict=True):
        if (row, column) == OVERVIEW_CELL:
            # From whichever is smaller, the picture or what is left of it in the grid: a large
            # photograph is shrunk once, a small one is not enlarged first.
            source = fitted if fitted.size < image.size else image
            _fit(source, tile, fit_size(tiling.height, tiling.width, 1, 1, r))
        else:
            tile[...] = canvas[(row - 1) * r : row * r, (column - 1) * r : column * r]
    return tiles


def load_tiles(data: bytes, tiling: Tiling) -> np.ndarray:
    """`decode_image` and `render_tiles` in one.

    Faster for large JPEG: the decoder itself halves the picture as often as the grid allows.

    Args:
      data: the encoded picture.
      tiling: the geometry, planned from `image_size(data)`.

    Returns:
      uint8[num_tiles, r, r, 3] in the order of `tiling.cells`.

    Raises:
      ValueError: as `decode_image`, or if the picture has not the size that the tiling was planned
        for.
    """
    rows, columns = tiling.grid
    need = fit_size(tiling.height, tiling.width, rows, columns, tiling.resolution)
    image, size = _decode(data, need)
    if size != (tiling.height, tiling.width):
        raise ValueError(
            f"The picture has {size[0]} x {size[1]} pixels (height x width); its record says"
            f" {tiling.height} x {tiling.width}."
        )
    return render_tiles(image, tiling)


def _fit(image: np.ndarray, canvas: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a picture into the top left of a canvas, fills the rest; the picture's part of it."""
    height, width = size
    canvas[height:] = PAD_COLOUR
    canvas[:height, width:] = PAD_COLOUR
    resize_into(image, canvas[:height, :width])
    return canvas[:height, :width]


def _decode(data: bytes, need: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, int]]:
    """Pixels, at a reduced size if much fewer are needed, and the full (height, width)."""
    size = _jpeg_size(data) or _png_size(data)
    if size is not None:
        _check_pixels(*size)
        pixels = (
            _decode_jpeg(data, size, need) if data.startswith(b"\xff\xd8") else _decode_png(data)
        )
        if pixels is not None:
            return pixels, size
    pixels = _decode_with_pillow(data)
    return pixels, pixels.shape[:2]


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) of an upright RGB or grey JPEG; None for whatever needs Pillow's care."""
    if not data.startswith(b"\xff\xd8"):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    if colours not in ("YCbCr", "RGB", "Gray") or _jpeg_has_orientation(data):
        return None
    return height, width


def _jpeg_has_orientation(data: bytes) -> bool:
    """Whether metadata in front of the pixels may turn the picture."""
    position = 2
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == 0xDA:  # the pixels begin
            return False
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xE1:  # APP1: EXIF, or XMP with a tiff:Orientation
            segment = data[position + 4 : position + 2 + length]
            upright = segment.startswith(b"Exif\0\0") and _exif_orientation(segment) == 1
            if not upright and (segment.startswith(b"Exif") or b"Orientation" in segment):
                return True
        position += 2 + length
    return False


def _exif_orientation(segment: bytes) -> int:
    exif = Image.Exif()
    try:
        exif.load(segment)
        return exif.get(_ORIENTATION_TAG, 1)
    except Exception:  # malformed metadata: left to Pillow, which passes over it
        return 0


def _decode_jpeg(
    data: bytes, size: tuple[int, int], need: tuple[int, int] | None
) -> np.ndarray | None:
    # Halving in the decoder saves time at 1/2, 1/4 and 1/8 only.
    scale = min(size[0] / need[0], size[1] / need[1]) if need else 1
    factor = min(8, power_of_two(scale / SPARE))
    try:
        if factor == 1:
            return simplejpeg.decode_jpeg(data, "RGB")
        return simplejpeg.decode_jpeg(
            data, "RGB", min_height=-(-size[0] // factor), min_width=-(-size[1] // factor)
        )
    except ValueError as error:
        if any(loss in str(error) for loss in _JPEG_LOSSES):
            raise _damaged("JPEG", data, error) from error
        return None  # merely odd: Pillow decides


def _damaged(kind: str | None, data: bytes, error: Exception) -> ValueError:
    return ValueError(f"The picture ({kind}, {len(data)} bytes) is damaged or cut short: {error}.")


def _png_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) of a complete 8-bit grey or RGB PNG without extras; None for any other."""
    if not data.startswith(_PNG_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    if data[24] != 8 or data[25] not in (_PNG_GREY, _PNG_RGB) or data[-8:-4] != b"IEND":
        return None
    position = 8
    while (kind := data[position + 4 : position + 8]) != b"IEND":  # metadata may follow the pixels
        if kind in _PNG_EXTRAS or not kind:
            return None
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    width = int.from_bytes(data[16:20], "big")
    height = int.from_bytes(data[20:24], "big")
    return height, width


def _png_is_whole(data: bytes) -> bool:
    """Whether all chunks are there, up to the last one, with their checksums."""
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if zlib.crc32(data[position + 4 : end]).to_bytes(4, "big") != data[end : end + 4]:
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end + 4
    return False


def _decode_png(data: bytes) -> np.ndarray | None:
    try:
        # `_png_size` leaves pictures that are turned to Pillow; a turn by OpenCV is never wanted.
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _open(data: bytes) -> Image.Image:
    """Opens a picture with Pillow: header only, size checked."""
    if not data:
        raise ValueError("The picture is empty: 0 bytes; expected an image such as PNG or JPEG.")
    try:
        picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"The picture is too large: {error}") from error
    except Exception as error:  # Pillow's plugins raise many types for malformed headers
        raise ValueError(
            f"The picture is not readable ({len(data)} bytes starting with {data[:8]!r}); expected"
            " an encoded image such as PNG, JPEG or WebP."
        ) from error
    _check_pixels(picture.height, picture.width)
    return picture


def _orientation(picture: Image.Image) -> int:
    try:
        return picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # malformed metadata does not make a picture unreadable
        return 1


def _check_pixels(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"The picture claims {height} x {width} pixels, more than the limit of {MAX_PIXELS};"
            " scale it down first."
        )
    if not height or not width:
        raise ValueError(f"The picture has no pixels: its header says {height} x {width}.")


def _decode_with_pillow(data: bytes) -> np.ndarray:
    picture = _open(data)
    if picture.mode == "F":
        raise ValueError(
            f"The picture ({picture.format}) has floating-point pixels, which have no agreed range;"
            " convert it to 8 or 16 bits."
        )
    try:
        picture.load()
        if _orientation(picture) != 1:
            picture = ImageOps.exif_transpose(picture)
        return _to_rgb(picture)
    except Exception as error:  # zlib.error, struct.error, SyntaxError, ... depending on the plugin
        raise _damaged(picture.format, data, error) from error


def _to_rgb(picture: Image.Image) -> np.ndarray:
    """uint8[height, width, 3] of a picture in any of Pillow's modes."""
    if picture.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would clip at 255
        values = np.clip(np.asarray(picture).astype(np.int64), 0, 65535) >> 8
        return np.repeat(values.astype(np.uint8)[..., np.newaxis], 3, axis=2)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"))
