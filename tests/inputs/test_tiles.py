"""Decoding and rendering, held against Pillow."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from mm15_jax.config.schema import SplittingConfig
from mm15_jax.inputs import tiles
from mm15_jax.inputs.image_splitting import fit_size, plan_tiling
from mm15_jax.inputs.tiles import (
    PAD_COLOUR,
    check_whole,
    decode_image,
    image_size,
    load_tiles,
    render_tiles,
)


def encode(picture, file_format, **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def photo(height, width, seed=0):
    """Noise with the spectrum of photographs (1/f), discs and print."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    noise = [np.fft.rfft2(rng.normal(size=(height, width))) / frequency for _ in range(3)]
    image = np.stack([np.fft.irfft2(n, s=(height, width)) for n in noise], -1)
    image = ((image - image.min()) / np.ptp(image) * 255).astype(np.uint8)
    for _ in range(6):
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(image, centre, int(rng.integers(3, height // 5)), colour, -1, cv2.LINE_AA)
        cv2.putText(image, "Reading 123", centre, 0, height / 500, colour, 1, cv2.LINE_AA)
    return image


def psnr(a, b):
    return 10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9))


def plan(height, width, resolution=48, **fields):
    splitting = SplittingConfig(**fields)
    return plan_tiling(
        height, width, resolution=resolution, splitting=splitting, images_in_example=1
    )


@pytest.fixture(scope="module")
def image():
    return photo(60, 80)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_lossless_formats_give_the_pixels_in_rgb_order(image, file_format):
    if file_format == "GIF":
        image = np.full_like(image, (250, 100, 20))
    data = encode(image, file_format, **({"lossless": True} if file_format == "WEBP" else {}))
    np.testing.assert_array_equal(decode_image(data), image)
    assert image_size(data) == (60, 80)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_equals_pillow(image, options):
    data = encode(image, "JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data), expected)
    assert image_size(data) == (60, 80)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_grey_becomes_three_equal_channels(image, file_format):
    grey = image[..., 0]
    decoded = decode_image(encode(grey, file_format))
    assert decoded.shape == (60, 80, 3)
    assert (decoded == decoded[..., :1]).all()
    assert psnr(decoded[..., 0], grey) > 25


def test_cmyk_jpeg(image):
    smooth = cv2.GaussianBlur(image, (0, 0), 3)
    data = encode(Image.fromarray(smooth).convert("CMYK"), "JPEG", quality=95)
    assert psnr(decode_image(data), smooth) > 30


def test_ycck_jpeg(image):
    """Adobe's YCCK: the inverted picture in YCbCr, and black; Pillow writes CMYK alone."""
    smooth = cv2.GaussianBlur(image, (0, 0), 3)
    ycc = np.asarray(Image.fromarray(255 - smooth).convert("YCbCr"))
    stored = np.dstack([ycc, np.full(ycc.shape[:2], 255, np.uint8)])
    data = bytearray(encode(Image.fromarray(255 - stored, "CMYK"), "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2  # the transform: of CMYK 0, of YCCK 2
    assert simplejpeg.decode_jpeg_header(bytes(data))[2] == "YCCK"
    assert psnr(decode_image(bytes(data)), smooth) > 30


def test_one_bit_and_palette(image):
    black_white = Image.fromarray(image[..., 0] > 128)
    decoded = decode_image(encode(black_white, "PNG"))
    np.testing.assert_array_equal(decoded[..., 1], (image[..., 0] > 128) * 255)
    palette = Image.fromarray(image).quantize(16)
    np.testing.assert_array_equal(
        decode_image(encode(palette, "PNG")), np.asarray(palette.convert("RGB"))
    )


def test_sixteen_bits_keep_the_high_byte():
    values = np.arange(256 * 4, dtype=np.uint16).reshape(16, 64) * 64
    decoded = decode_image(encode(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(decoded[..., 2], values >> 8)


def test_sixteen_bit_colour():
    values = (np.arange(8 * 8 * 3, dtype=np.uint16) * 341).reshape(8, 8, 3)
    _, data = cv2.imencode(".png", values[..., ::-1])
    np.testing.assert_array_equal(decode_image(data.tobytes()), values >> 8)


def test_sixteen_bit_colour_with_alpha_and_thirty_two_bit_grey():
    values = np.full((4, 4, 4), 40_000, np.uint16)
    values[:2, :, 3] = 0
    _, data = cv2.imencode(".png", values)
    decoded = decode_image(data.tobytes())
    assert (decoded[:2] == 255).all()
    grey = decode_image(encode(Image.fromarray(np.full((4, 4), 40_000, np.int32)), "TIFF"))
    assert (grey == 40_000 >> 8).all()


def test_floating_point_pixels_are_refused():
    data = encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    with pytest.raises(ValueError, match=r"TIFF\) has floating-point pixels.*convert it"):
        decode_image(data)


def test_transparency_is_laid_on_white():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (200, 10, 30, 255)
    rgba[0, 1] = (200, 10, 30, 0)
    rgba[1] = (0, 0, 0, 51)  # a fifth of black: 204
    decoded = decode_image(encode(rgba, "PNG"))
    assert decoded[0].tolist() == [[200, 10, 30], [255, 255, 255]]
    assert decoded[1].tolist() == [[204] * 3] * 2


def test_transparent_colours_and_palette_entries_are_white():
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    red[0] = (0, 0, 255)
    assert (decode_image(encode(red, "PNG", transparency=(255, 0, 0)))[1:] == 255).all()
    palette = Image.fromarray(red).quantize(2)
    index = palette.getpixel((0, 3))
    decoded = decode_image(encode(palette, "PNG", transparency=index))
    assert (decoded[1:] == 255).all()
    assert decoded[0, 0].tolist() == [0, 0, 255]


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    for file_format in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if file_format == "WEBP" else {}
        data = encode(
            frames[0], file_format, save_all=True, append_images=frames[1:], duration=100, **options
        )
        decoded = decode_image(data)
        assert decoded.shape == (4, 6, 3)
        assert (decoded == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_exif_orientation_turns_picture_and_size(orientation, file_format):
    quadrants = np.zeros((32, 64, 3), np.uint8)
    quadrants[:16, :32] = 255  # the bright corner is at the top left before turning
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(quadrants, file_format, exif=exif)
    decoded = decode_image(data)
    assert image_size(data) == decoded.shape[:2]
    assert decoded.shape[:2] == ((32, 64) if orientation <= 4 else (64, 32))
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1)}
    row, column = corner.get(orientation, (-1, 0))
    assert decoded[row, column].min() > 240
    assert np.mean(decoded > 128) == pytest.approx(0.25, abs=0.02)


def test_a_png_whose_orientation_follows_its_pixels_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(np.zeros((32, 64, 3), np.uint8), "PNG", exif=exif)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    late = data[:start] + data[end:-12] + data[start:end] + data[-12:]  # as ImageMagick writes it
    for picture in (data, late):
        assert image_size(picture) == decode_image(picture).shape[:2] == (64, 32)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_damaged_pictures_are_value_errors(image, file_format):
    data = encode(image, file_format)
    assert decode_image(data).shape == (60, 80, 3)
    for length in (1, 2, 10, len(data) // 2):
        with pytest.raises(ValueError, match=r"not readable|damaged or cut short"):
            decode_image(data[:length])


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_without_some_of_its_pixels_is_damaged_though_it_ends_as_one(options):
    picture = photo(300, 400)
    data = encode(picture, "JPEG", **options)
    middle = len(data) // 2
    cut, zeroed = data[:middle] + b"\xff\xd9", data[:middle] + bytes(2000) + data[middle + 2000 :]
    damaged = [cut] if options else [cut, zeroed]
    for broken in damaged:
        assert image_size(broken) == (300, 400)
        for read in (decode_image, lambda d: load_tiles(d, plan(300, 400, mode="none"))):
            with pytest.raises(ValueError, match=r"JPEG, \d+ bytes\) is damaged or cut short"):
                read(broken)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_cut_picture_is_told_from_a_whole_one(image, file_format, monkeypatch):
    data = encode(image, file_format)
    for cut in (data[: len(data) // 2], data[:-60]):
        with pytest.raises(ValueError, match=r"not readable|damaged or cut short"):
            check_whole(cut)
    if file_format in ("JPEG", "PNG"):  # as most are: looked at, not decoded
        monkeypatch.setattr(tiles, "decode_image", None)
    check_whole(data)


def test_a_png_with_a_flipped_bit_and_a_jpeg_with_bytes_behind_it_are_decoded_to_know(image):
    data = bytearray(encode(image, "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(ValueError, match="damaged or cut short"):
        check_whole(bytes(data))
    check_whole(encode(image, "JPEG") + b"comment")


def test_no_bytes_and_no_picture_are_value_errors():
    for call in (decode_image, image_size):
        with pytest.raises(ValueError, match="empty: 0 bytes"):
            call(b"")
        with pytest.raises(ValueError, match="not readable"):
            call(b"<html>404 Not Found</html>")


@pytest.mark.filterwarnings("error")
def test_a_picture_that_claims_too_many_pixels_is_refused():
    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    for side in (10_000, 100_000):  # Pillow itself warns of the first and refuses the second
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")
        for data in (bomb, bomb + chunk(b"IEND", b"")):
            with pytest.raises(ValueError, match=r"too large|more than the limit"):
                decode_image(data)
            with pytest.raises(ValueError, match=r"too large|more than the limit"):
                image_size(data)


def headers_that_claim(height, width):
    """Small pictures whose headers were overwritten, by format."""
    picture = Image.new("RGB", (8, 8))
    jpeg, gif, bmp = (bytearray(encode(picture, name)) for name in ("JPEG", "GIF", "BMP"))
    frame = jpeg.index(b"\xff\xc0")
    if max(height, width) < 2**16:
        jpeg[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
        yield "JPEG", bytes(jpeg)
        gif[6:10] = struct.pack("<HH", width, height)
        frame = gif.index(b",\0\0\0\0")
        gif[frame + 5 : frame + 9] = struct.pack("<HH", width, height)
        yield "GIF", bytes(gif)
    bmp[18:26] = struct.pack("<ii", width, height)
    yield "BMP", bytes(bmp)


@pytest.mark.parametrize("side", [60_000, 10_000, 0])
def test_headers_that_claim_too_much_or_nothing_are_refused(side):
    for name, data in headers_that_claim(side, side):
        for call in (image_size, decode_image):
            with pytest.raises(
                ValueError, match=r"too large|limit|no pixels|not readable"
            ) as caught:
                call(data)
            assert "\n" not in str(caught.value), name


def test_formats_that_start_programs_are_refused():
    with pytest.raises(ValueError, match=r"not readable .*expected an encoded image"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")


@pytest.mark.parametrize(("height", "width"), [(1, 20_000), (20_000, 1), (1, 1), (3, 5_000)])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP"])
def test_slivers_are_pictures_too(height, width, file_format):
    data = encode(np.full((height, width, 3), (200, 100, 50), np.uint8), file_format)
    assert image_size(data) == (height, width)
    for fields in ({"mode": "none"}, {"n_min": 1, "n_max": 9}):
        rendered = load_tiles(data, plan(height, width, **fields))
        np.testing.assert_allclose(rendered[0, 0, 0], (200, 100, 50), atol=2)
        is_picture = (np.abs(rendered.astype(int) - (200, 100, 50)) <= 2).all(-1)
        assert (is_picture | (rendered == PAD_COLOUR).all(-1)).all()


def test_a_picture_that_fits_is_copied_not_resampled():
    image = photo(144, 96, seed=1)
    rendered = render_tiles(image, plan(144, 96, mode="static", static_grid=(3, 2)))
    assert rendered.shape == (7, 48, 48, 3)
    assert rendered.dtype == np.uint8
    for number, (row, column) in enumerate([(r, c) for r in range(3) for c in range(2)]):
        expected = image[row * 48 : row * 48 + 48, column * 48 : column * 48 + 48]
        np.testing.assert_array_equal(rendered[number], expected)


def test_the_overview_is_the_whole_picture_where_the_cells_say():
    image = photo(80, 60, seed=1)
    whole = render_tiles(image, plan(80, 60, mode="none"))
    after = render_tiles(image, plan(80, 60, mode="static", overview="after"))
    before = render_tiles(image, plan(80, 60, mode="static", overview="before"))
    np.testing.assert_array_equal(after[-1], whole[0])
    np.testing.assert_array_equal(before[0], whole[0])
    np.testing.assert_array_equal(before[1:], after[:-1])


@pytest.mark.parametrize(("height", "width", "kept"), [(24, 48, (24, 48)), (96, 24, (48, 12))])
def test_padding_is_the_mean_colour_at_the_bottom_or_right(height, width, kept):
    image = np.full((height, width, 3), 7, np.uint8)
    (tile,) = render_tiles(image, plan(height, width, mode="none"))
    assert (tile[: kept[0], : kept[1]] == 7).all()
    assert (tile[kept[0] :] == PAD_COLOUR).all()
    assert (tile[:, kept[1] :] == PAD_COLOUR).all()


def test_small_pictures_are_enlarged_to_fill_a_side():
    image = np.full((1, 3, 3), 7, np.uint8)
    (tile,) = render_tiles(image, plan(1, 3, mode="none"))
    assert (tile[:16] == 7).all()
    assert (tile[16:] == PAD_COLOUR).all()


@pytest.mark.parametrize("scale", [1.5, 3, 7])
def test_the_overview_of_a_large_picture_agrees_with_pillow_too(scale):
    height, width = round(192 * scale), round(160 * scale)
    image = photo(height, width, seed=4)
    overview = render_tiles(image, plan(height, width, resolution=96, mode="static"))[-1]
    expected = Image.fromarray(image).resize((80, 96), Image.Resampling.BICUBIC)
    assert psnr(overview[:, :80], np.asarray(expected)) > 35


@pytest.mark.parametrize("side", [800, 200, 150, 50])
def test_loading_at_reduced_size_agrees_with_loading_in_full(side):
    data = encode(photo(900, 1200, seed=3), "JPEG", quality=90)
    tiling = plan(900, 1200, resolution=side // 2, mode="static")
    full = render_tiles(decode_image(data), tiling)
    reduced = load_tiles(data, tiling)
    assert reduced.shape == full.shape == (5, side // 2, side // 2, 3)
    assert psnr(reduced, full) > 35
    height, width = fit_size(900, 1200, 2, 2, side // 2)
    decoded, size = tiles._decode(data, (height, width))
    assert size == (900, 1200)
    assert decoded.shape[0] >= 3 * height or decoded.shape[0] == 900
    assert (decoded.shape[0] < 900) == (height <= 150)


def test_loading_turns_as_decoding_does():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(photo(300, 400), "JPEG", exif=exif)
    tiling = plan(*image_size(data))
    assert tiling.height == 400
    np.testing.assert_array_equal(
        load_tiles(data, tiling), render_tiles(decode_image(data), tiling)
    )


def test_a_record_with_another_size_than_its_picture_is_an_error(image):
    for file_format in ("PNG", "JPEG"):
        with pytest.raises(ValueError, match=r"60 x 80 .*; its record says 80 x 60"):
            load_tiles(encode(image, file_format), plan(80, 60))
