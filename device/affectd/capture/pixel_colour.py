"""Pixels as cameras send them, by the codes of V4L2, made colour pictures, for the models that want colour.

Luma and the sizes are those of `pixel_format`; what is added is the chroma, by ITU-R BT.601.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from affectd.capture.pixel_format import JPEG, Bytes, decoded, gray_picture, rows_of

Chroma = tuple[Bytes, Bytes]
"""Cb and Cr, (rows, columns) each, of as many pixels or fewer than the picture has."""


def _bgr(code: int, channels: int, *, padding_first: bool = False) -> Callable[[Bytes], Bytes]:
    def picture(rows: Bytes) -> Bytes:
        pixels = np.ascontiguousarray(rows).reshape(len(rows), -1, channels)
        return np.asarray(cv2.cvtColor(pixels[:, :, 1:] if padding_first else pixels, code), np.uint8)

    return picture


def _mosaic(code: int) -> Callable[[Bytes], Bytes]:
    return lambda rows: np.asarray(cv2.cvtColor(np.ascontiguousarray(rows), code), np.uint8)


PACKED: dict[str, Callable[[Bytes], Bytes]] = {
    "BGR3": lambda rows: np.array(rows, np.uint8).reshape(len(rows), -1, 3),
    "RGB3": _bgr(cv2.COLOR_RGB2BGR, 3),
    **dict.fromkeys(("BGR4", "XR24", "AR24"), _bgr(cv2.COLOR_BGRA2BGR, 4)),
    **dict.fromkeys(("XB24", "AB24"), _bgr(cv2.COLOR_RGBA2BGR, 4)),
    **dict.fromkeys(("RX24", "RA24"), lambda rows: np.array(rows.reshape(len(rows), -1, 4)[:, :, 1:], np.uint8)),
    **dict.fromkeys(("RGB4", "BX24", "BA24"), _bgr(cv2.COLOR_RGB2BGR, 4, padding_first=True)),
    "RGBP": _bgr(cv2.COLOR_BGR5652BGR, 2),
    "BA81": _mosaic(cv2.COLOR_BayerRG2BGR),
    "GBRG": _mosaic(cv2.COLOR_BayerGR2BGR),
    "GRBG": _mosaic(cv2.COLOR_BayerGB2BGR),
    "RGGB": _mosaic(cv2.COLOR_BayerBG2BGR),
}
"""Pixels of red, green and blue, by code: what makes (rows, columns, 3) BGR of their rows."""

IN_ROWS = {"YUYV": (1, 3), "UYVY": (0, 2), "YVYU": (3, 1), "VYUY": (2, 0)}
"""Luma and chroma in turn, four bytes for two pixels: where Cb and Cr lie in the four."""

# Chroma behind the luma: pixels across and down for one of its own, and whether Cr comes first.
IN_TURN = {
    "NV12": (2, 2, False),
    "NV21": (2, 2, True),
    "NV16": (2, 1, False),
    "NV61": (2, 1, True),
    "NV24": (1, 1, False),
    "NV42": (1, 1, True),
}
"""In one plane, Cb and Cr by turns."""
IN_PLANES = {
    "YU12": (2, 2, False),
    "YV12": (2, 2, True),
    "422P": (2, 1, False),
    "411P": (4, 1, False),
    "YUV9": (4, 4, False),
    "YVU9": (4, 4, True),
}
"""In a plane each."""


def has_colour(code: str) -> bool:
    """Whether a format has colours that are read here; those whose chroma is in a buffer of its own have not."""
    return code in JPEG or any(code in formats for formats in (PACKED, IN_ROWS, IN_TURN, IN_PLANES))


def colour_picture(
    data: Bytes, code: str, width: int, height: int, *, row_bytes: int = 0, full_range: bool = False
) -> Bytes:
    """Return the picture in `data` as (height, width, 3) BGR, in memory of its own; grey where it has no colours.

    The parameters and errors are those of `gray_picture`.
    """
    if code in JPEG:
        return decoded(data, cv2.IMREAD_COLOR)
    if code in PACKED:
        return PACKED[code](rows_of(data, code, width, height, row_bytes))
    luma = gray_picture(data, code, width, height, row_bytes=row_bytes, full_range=full_range)
    if not has_colour(code):
        return luma
    chroma = _chroma(data, code, width, height, row_bytes)
    cb, cr = (_full_size(plane, width, height, full_range) for plane in chroma)
    return np.asarray(cv2.cvtColor(cv2.merge([luma, cr, cb]), cv2.COLOR_YCrCb2BGR), np.uint8)


def _chroma(data: Bytes, code: str, width: int, height: int, row_bytes: int) -> Chroma:
    if code in IN_ROWS:
        rows, (cb, cr) = rows_of(data, code, width, height, row_bytes), IN_ROWS[code]
        return rows[:, cb::4], rows[:, cr::4]
    across, down, cr_first = IN_TURN.get(code) or IN_PLANES[code]
    luma_bytes = max(row_bytes, width)
    columns, rows_down = -(-width // across), -(-height // down)
    behind = np.ascontiguousarray(data).ravel()[luma_bytes * height :]
    if code in IN_TURN:
        both = _plane(behind, rows_down, 2 * columns, luma_bytes * 2 // across)
        first, second = both[:, 0::2], both[:, 1::2]
    else:
        stride = luma_bytes // across
        first = _plane(behind, rows_down, columns, stride)
        second = _plane(behind[stride * rows_down :], rows_down, columns, stride)
    return (second, first) if cr_first else (first, second)


def _plane(data: Bytes, rows: int, columns: int, stride: int) -> Bytes:
    needed = stride * (rows - 1) + columns
    if data.size < needed:
        raise ValueError(f"{data.size} bytes of colour behind the luma, where {needed} are due")
    return np.lib.stride_tricks.as_strided(data, (rows, columns), (stride, 1), writeable=False)


def _full_size(chroma: Bytes, width: int, height: int, full_range: bool) -> Bytes:
    """Return chroma of as many pixels as the picture has, on 0 to 255 around 128."""
    plane = np.ascontiguousarray(chroma)
    if not full_range:
        plane = np.asarray(cv2.LUT(plane, _FULL_RANGE), np.uint8)
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


_FULL_RANGE = np.clip(np.rint((np.arange(256) - 128) * (255 / 224) + 128), 0, 255).astype(np.uint8)
"""Chroma of the video range, 16 to 240, on 0 to 255."""
