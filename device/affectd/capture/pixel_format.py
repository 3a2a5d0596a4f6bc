"""Pixels as cameras send them, by the codes of V4L2, made grey pictures; nothing is coloured on the way.

Layouts: kernel.org, Linux Media Infrastructure userspace API, "Image Formats".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

BIG_ENDIAN = "-BE"
"""Follows a code whose highest bit is set, as v4l2-ctl writes it."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How a picture lies in memory, up to the last byte that a grey one is made of."""

    pixel_bytes: int
    """Of a pixel in the first plane."""
    gray: Callable[[Bytes], Bytes]
    """Makes (rows, columns) of the first plane, (rows, columns * pixel_bytes)."""
    video_range: bool = False
    """Whether black is 16 and white 235, unless the driver reports full range."""


def _every(step: int, first: int) -> Callable[[Bytes], Bytes]:
    return lambda rows: rows[:, first::step]


def _deep(bits: int) -> Callable[[Bytes], Bytes]:
    """Return what makes 8 bits of the lowest `bits` of each two bytes, little-endian."""
    return lambda rows: (np.ascontiguousarray(rows).view("<u2") >> (bits - 8)).astype(np.uint8)


def _colours(code: int, channels: int, *, padding_first: bool = False) -> Callable[[Bytes], Bytes]:
    def gray(rows: Bytes) -> Bytes:
        picture = np.ascontiguousarray(rows).reshape(len(rows), -1, channels)
        return np.asarray(cv2.cvtColor(picture[:, :, 1:] if padding_first else picture, code), np.uint8)

    return gray


def _mosaic(code: int) -> Callable[[Bytes], Bytes]:
    return lambda rows: np.asarray(cv2.cvtColor(np.ascontiguousarray(rows), code), np.uint8)


_LUMA_PLANE = PixelFormat(1, _every(1, 0), video_range=True)
_LUMA_FIRST = PixelFormat(2, _every(2, 0), video_range=True)
_LUMA_SECOND = PixelFormat(2, _every(2, 1), video_range=True)
_BGRX = PixelFormat(4, _colours(cv2.COLOR_BGRA2GRAY, 4))
_RGBX = PixelFormat(4, _colours(cv2.COLOR_RGBA2GRAY, 4))
_XBGR = PixelFormat(4, _colours(cv2.COLOR_BGR2GRAY, 4, padding_first=True))
_XRGB = PixelFormat(4, _colours(cv2.COLOR_RGB2GRAY, 4, padding_first=True))

JPEG = ("MJPG", "JPEG")
"""Each picture is a JPEG file."""

# The cheapest first, which is the order in which they are requested of a camera.
FORMATS: dict[str, PixelFormat] = {
    "YUYV": _LUMA_FIRST,
    "UYVY": _LUMA_SECOND,
    "YVYU": _LUMA_FIRST,
    "VYUY": _LUMA_SECOND,
    "GREY": PixelFormat(1, _every(1, 0)),
    # Their luma is a plane of its own, which comes first; the M in the code: in a buffer of its own.
    **dict.fromkeys(
        ("NV12", "NV21", "YU12", "YV12", "NV16", "NV61", "NV24", "NV42", "422P", "411P", "YUV9", "YVU9"), _LUMA_PLANE
    ),
    **dict.fromkeys(("NM12", "NM21", "NM16", "NM61", "YM12", "YM21", "YM16", "YM61", "YM24", "YM42"), _LUMA_PLANE),
    "Y10 ": PixelFormat(2, _deep(10)),
    "Y12 ": PixelFormat(2, _deep(12)),
    "Y14 ": PixelFormat(2, _deep(14)),
    "Y16 ": PixelFormat(2, _every(2, 1)),
    "Y16 " + BIG_ENDIAN: PixelFormat(2, _every(2, 0)),
    "BGR3": PixelFormat(3, _colours(cv2.COLOR_BGR2GRAY, 3)),
    "RGB3": PixelFormat(3, _colours(cv2.COLOR_RGB2GRAY, 3)),
    **dict.fromkeys(("BGR4", "XR24", "AR24"), _BGRX),
    **dict.fromkeys(("XB24", "AB24"), _RGBX),
    **dict.fromkeys(("RX24", "RA24"), _XBGR),
    **dict.fromkeys(("RGB4", "BX24", "BA24"), _XRGB),
    "RGBP": PixelFormat(2, _colours(cv2.COLOR_BGR5652GRAY, 2)),
    # OpenCV names a mosaic by its second row and column.
    "BA81": PixelFormat(1, _mosaic(cv2.COLOR_BayerRG2GRAY)),
    "GBRG": PixelFormat(1, _mosaic(cv2.COLOR_BayerGR2GRAY)),
    "GRBG": PixelFormat(1, _mosaic(cv2.COLOR_BayerGB2GRAY)),
    "RGGB": PixelFormat(1, _mosaic(cv2.COLOR_BayerBG2GRAY)),
}

_FULL_RANGE = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
"""Grey levels of the video range on 0 to 255: ITU-R BT.601."""


def shown(code: str) -> str:
    """Return a format's code as people write it: Y16 and Y16-BE, whose fourth letter is a blank."""
    return code.replace(" ", "")


def gray_picture(
    data: Bytes, code: str, width: int, height: int, *, row_bytes: int = 0, full_range: bool = False
) -> Bytes:
    """Return the picture in `data` as (height, width) grey, in memory of its own.

    `row_bytes`: from the start of a row to that of the next, with padding; 0: there is none. `full_range`: what is
    video range by its format is not here. Raises ValueError with what is wrong, as it follows "sends".
    """
    if code in JPEG:
        return decoded(data, cv2.IMREAD_GRAYSCALE)
    rows = rows_of(data, code, width, height, row_bytes)
    form = FORMATS[code]
    gray = form.gray(rows)
    if form.video_range and not full_range:
        return np.asarray(cv2.LUT(gray, _FULL_RANGE), np.uint8)
    return np.array(gray, np.uint8, order="C")


def rows_of(data: Bytes, code: str, width: int, height: int, row_bytes: int) -> Bytes:
    """Return the rows of the first plane, (height, bytes), in the memory of `data`. Raises ValueError as above."""
    if code not in FORMATS:
        raise ValueError(f"pictures in the format {shown(code)}, which is not known here")
    form = FORMATS[code]
    width_bytes = width * form.pixel_bytes
    stride = max(row_bytes, width_bytes)
    # The padding of the last row may be missing.
    needed = stride * (height - 1) + width_bytes
    if data.size < needed:
        raise ValueError(f"{data.size} bytes for a picture of {width}x{height} {shown(code)}, which has {needed}")
    return np.lib.stride_tricks.as_strided(
        np.ascontiguousarray(data).ravel(), (height, width_bytes), (stride, 1), writeable=False
    )


def decoded(data: Bytes, how: int) -> Bytes:
    """Return the picture of a JPEG, decoded as one of OpenCV's IMREAD. Raises ValueError as above."""
    jpeg = data.ravel()
    picture = cv2.imdecode(jpeg, how | cv2.IMREAD_IGNORE_ORIENTATION) if jpeg.size else None
    if picture is None:
        raise ValueError(f"{jpeg.size} bytes that are no JPEG picture")
    return np.asarray(picture, np.uint8)
