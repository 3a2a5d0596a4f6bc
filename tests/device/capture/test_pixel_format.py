"""Every known pixel format gives the grey picture that it was made of; a wrong size and an unknown code are refused."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.capture.pixel_format import FORMATS, JPEG, gray_picture

Bytes = NDArray[np.uint8]
WIDTH, HEIGHT = 64, 48
RAMP = (
    np.tile(np.linspace(20, 230, WIDTH).astype(np.uint8), (HEIGHT, 1)) // 2 + np.arange(HEIGHT, dtype=np.uint8)[:, None]
)
VIDEO = np.rint(RAMP / 255 * 219 + 16).astype(np.uint8)
"""The same in video range."""
CHROMA = np.full((HEIGHT, WIDTH), 90, np.uint8)
COLOURS = np.stack([RAMP // 2, RAMP, 255 - RAMP], axis=2)
"""B, G, R."""


def packed(*planes: Bytes) -> Bytes:
    return np.stack(planes, axis=2)


def deep(bits: int, order: str = "<") -> Bytes:
    return (RAMP.astype("u2") << (bits - 8)).astype(order + "u2").view(np.uint8)


def mosaic(blue: tuple[int, int], red: tuple[int, int]) -> Bytes:
    """Make what a sensor under a mosaic of filters sees of COLOURS without their changes between pixels."""
    seen = COLOURS[:, :, 1].copy()
    for channel, (row, column) in ((0, blue), (2, red)):
        seen[row::2, column::2] = COLOURS[row::2, column::2, channel]
    return seen


def with_chroma(luma: Bytes) -> Bytes:
    return np.concatenate([luma.ravel(), CHROMA.ravel()[: WIDTH * HEIGHT // 2]])


def expected(code: str) -> Bytes:
    coloured = code in {"BGR3", "RGB3", "BGR4", "XR24", "AR24", "XB24", "AB24", "RX24", "RA24", "RGB4", "BX24", "BA24"}
    coloured |= code in {"RGBP", "BA81", "GBRG", "GRBG", "RGGB"}
    return np.asarray(cv2.cvtColor(COLOURS, cv2.COLOR_BGR2GRAY), np.uint8) if coloured else RAMP


BLUE, GREEN, RED = (COLOURS[:, :, channel] for channel in range(3))
SENT: dict[str, Callable[[], Bytes]] = {
    "YUYV": lambda: packed(VIDEO, CHROMA),
    "YVYU": lambda: packed(VIDEO, CHROMA),
    "UYVY": lambda: packed(CHROMA, VIDEO),
    "VYUY": lambda: packed(CHROMA, VIDEO),
    "GREY": lambda: RAMP,
    "Y10 ": lambda: deep(10),
    "Y12 ": lambda: deep(12),
    "Y14 ": lambda: deep(14),
    "Y16 ": lambda: deep(16),
    "Y16 -BE": lambda: deep(16, ">"),
    "BGR3": lambda: COLOURS,
    "RGB3": lambda: packed(RED, GREEN, BLUE),
    **dict.fromkeys(("BGR4", "XR24", "AR24"), lambda: packed(BLUE, GREEN, RED, CHROMA)),
    **dict.fromkeys(("XB24", "AB24"), lambda: packed(RED, GREEN, BLUE, CHROMA)),
    **dict.fromkeys(("RX24", "RA24"), lambda: packed(CHROMA, BLUE, GREEN, RED)),
    **dict.fromkeys(("RGB4", "BX24", "BA24"), lambda: packed(CHROMA, RED, GREEN, BLUE)),
    "RGBP": lambda: np.asarray(cv2.cvtColor(COLOURS, cv2.COLOR_BGR2BGR565), np.uint8),
    "BA81": lambda: mosaic(blue=(0, 0), red=(1, 1)),
    "GBRG": lambda: mosaic(blue=(0, 1), red=(1, 0)),
    "GRBG": lambda: mosaic(blue=(1, 0), red=(0, 1)),
    "RGGB": lambda: mosaic(blue=(1, 1), red=(0, 0)),
}


@pytest.mark.parametrize("code", FORMATS)
def test_a_format_gives_the_picture_it_was_made_of(code: str) -> None:
    sent = SENT.get(code, lambda: with_chroma(VIDEO))()
    seen = gray_picture(sent, code, WIDTH, HEIGHT)
    assert (seen.shape, seen.dtype, seen.flags.c_contiguous) == ((HEIGHT, WIDTH), np.uint8, True)
    assert not np.shares_memory(seen, sent)
    inside = np.s_[2:-2, 2:-2]  # a mosaic has no neighbours beyond its edge
    tolerance = 6 if code in {"RGBP", "BA81", "GBRG", "GRBG", "RGGB"} else 1
    assert np.abs(seen[inside].astype(int) - expected(code)[inside]).max() <= tolerance


@pytest.mark.parametrize("code", ["YUYV", "NV12", "BGR3"])
def test_rows_with_padding_and_a_full_range(code: str) -> None:
    pixels = {"YUYV": packed(RAMP, CHROMA), "NV12": RAMP, "BGR3": packed(RAMP, RAMP, RAMP)}[code].reshape(HEIGHT, -1)
    padded = np.pad(pixels, ((0, 0), (0, 20))).ravel()[:-20]  # a driver may leave out the last row's
    seen = gray_picture(padded, code, WIDTH, HEIGHT, row_bytes=pixels.shape[1] + 20, full_range=True)
    assert np.array_equal(seen, RAMP)


def test_a_jpeg_is_decoded() -> None:
    for code in JPEG:
        seen = gray_picture(cv2.imencode(".jpg", COLOURS)[1], code, WIDTH, HEIGHT)
        assert np.abs(seen.astype(int) - cv2.cvtColor(COLOURS, cv2.COLOR_BGR2GRAY)).mean() < 3


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (RAMP, "YUYV", "3072 bytes for a picture of 64x48 YUYV, which has 6144"),
        (RAMP, "H264", "pictures in the format H264, which is not known here"),
        (RAMP, "MJPG", "3072 bytes that are no JPEG picture"),
        (RAMP[:0], "MJPG", "0 bytes that are no JPEG picture"),
    ],
)
def test_what_is_no_picture_is_told(data: Bytes, code: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        gray_picture(data, code, WIDTH, HEIGHT)
