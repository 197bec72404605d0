"""Antialiased bicubic resizing by OpenCV, held to Pillow's.

OpenCV's bicubic looks at 4 x 4 pixels whatever the scale. Antialiased, the kernel is as many times
wider as the picture gets smaller. So the picture is smoothed before, and sharpened after: smoothing
alone cannot have the wide kernel's negative lobes, and OpenCV is fast (integers of 8 bits, where
most pixels are) only for filters without negative taps. The smoothing filter is fitted, so that the
three steps together are Pillow's kernel as nearly as can be: 36 dB or more on print and line art,
45 dB on photographs, in half of Pillow's time or less.
"""

import functools
import math

import cv2
import numpy as np

_OPENCV_CUBIC, _PILLOW_CUBIC = -0.75, -0.5  # slopes of their kernels, imgwarp.cpp and Resample.c
_SHARPENING = 0.1  # fits best, of steps of 0.05, for print and photographs at scales of 1 to 11
_SHARPEN = np.array([-_SHARPENING, 1 + 2 * _SHARPENING, -_SHARPENING], np.float32)
# Cheap reductions (averaging blocks; the JPEG decoder's) leave so many pixels for each one of the
# result, so that the filter after them decides: with two, line art would miss 35 dB.
SPARE = 3


def resize_into(image: np.ndarray, out: np.ndarray) -> None:
    """Resizes by bicubic interpolation, antialiased where it shrinks.

    Args:
      image: uint8[height, width, 3].
      out: uint8[new height, new width, 3], written; may be a part of a larger array.
    """
    height, width = out.shape[:2]
    if image.shape == out.shape:
        out[...] = image
        return
    scale = max(image.shape[0] / height, image.shape[1] / width)
    if scale <= 1:
        _cubic_into(image, out)
        return
    factor = power_of_two(scale / SPARE)
    if factor > 1:  # average whole blocks: a filter as wide as the scale would take long
        size = -(-image.shape[1] // factor), -(-image.shape[0] // factor)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # A side that does not shrink is smoothed as well, by what undoes the sharpening.
    down = _smoothing_taps(max(1.0, round(image.shape[0] / height, 2)))
    across = _smoothing_taps(max(1.0, round(image.shape[1] / width, 2)))
    smooth = cv2.sepFilter2D(image, -1, across, down, borderType=cv2.BORDER_REPLICATE)
    _cubic_into(smooth, out)
    cv2.sepFilter2D(out, -1, _SHARPEN, _SHARPEN, dst=out, borderType=cv2.BORDER_REPLICATE)


def power_of_two(ratio: float) -> int:
    """The largest of 1, 2, 4 ... that is not above the ratio."""
    return 1 << max(int(ratio), 1).bit_length() - 1


def _cubic_into(image: np.ndarray, out: np.ndarray) -> None:
    size = out.shape[1], out.shape[0]
    resized = cv2.resize(image, size, dst=out, interpolation=cv2.INTER_CUBIC)
    assert resized is out, "OpenCV wrote elsewhere"


@functools.lru_cache(maxsize=4096)
def _smoothing_taps(scale: float) -> np.ndarray:
    """The filter g for which g, OpenCV's cubic and the sharpening are nearest to Pillow's kernel.

    Args:
      scale: pixels of the picture for each of the result, 1 or more.

    Returns:
      float32[2 n + 1], least squares; none negative, multiples of 1/256 that sum to 1, so that
      OpenCV's integers hold them and white stays white.
    """
    reach = math.ceil(scale)
    x = np.arange(-3 * scale - reach, 3 * scale + reach, 1 / 32)
    kernels = sum(
        weight * _cubic(x[:, np.newaxis] - np.arange(-reach, reach + 1) + shift, _OPENCV_CUBIC)
        for weight, shift in zip(_SHARPEN, (-scale, 0, scale), strict=True)
    )
    taps = np.linalg.lstsq(kernels, _cubic(x / scale, _PILLOW_CUBIC), rcond=None)[0]
    taps = np.maximum(taps, 0)  # the least is -1.5 / 256
    taps = np.round(256 * taps / taps.sum())
    taps[reach] += 256 - taps.sum()
    return (taps / 256).astype(np.float32)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel (IEEE Trans. ASSP 29, 1981, eq. 4 with slope a at 1)."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
