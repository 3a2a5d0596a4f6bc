"""Every format with colours gives the colour picture that it was made of, grey ones a grey one."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.capture.pixel_colour import IN_PLANES, IN_ROWS, IN_TURN, PACKED, colour_picture, has_colour
from affectd.capture.pixel_format import FORMATS

Bytes = NDArray[np.uint8]
WIDTH, HEIGHT = 64, 48
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
BGR = np.stack([60 + COLUMNS, 90 + 2 * ROWS, 190 - COLUMNS - ROWS], axis=2).astype(np.uint8)
"""Smooth, so that chroma of fewer pixels can tell it."""
LUMA, CR, CB = (np.ascontiguousarray(plane) for plane in cv2.split(cv2.cvtColor(BGR, cv2.COLOR_BGR2YCrCb)))


def video(plane: Bytes, low: int, span: int) -> Bytes:
    return np.rint(plane / 255 * span + low).astype(np.uint8)


def few(plane: Bytes, across: int, down: int) -> Bytes:
    return np.asarray(cv2.resize(plane, (WIDTH // across, HEIGHT // down), interpolation=cv2.INTER_AREA), np.uint8)


def yuv(code: str, luma: Bytes, cb: Bytes, cr: Bytes) -> Bytes:
    """Lay out luma and chroma as the format does."""
    if code in IN_ROWS:
        rows = np.empty((HEIGHT, 2 * WIDTH), np.uint8)
        at_cb, at_cr = IN_ROWS[code]
        rows[:, 1 - at_cb % 2 :: 2], rows[:, at_cb::4], rows[:, at_cr::4] = luma, few(cb, 2, 1), few(cr, 2, 1)
        return rows
    across, down, cr_first = {**IN_TURN, **IN_PLANES}[code]
    chroma = [few(plane, across, down) for plane in ((cr, cb) if cr_first else (cb, cr))]
    behind = np.stack(chroma, axis=2) if code in IN_TURN else np.stack(chroma)
    return np.concatenate([luma.ravel(), behind.ravel()])


def packed(*planes: Bytes) -> Bytes:
    return np.stack(planes, axis=2)


def mosaic(blue: tuple[int, int], red: tuple[int, int]) -> Bytes:
    seen = BGR[:, :, 1].copy()
    for channel, (row, column) in ((0, blue), (2, red)):
        seen[row::2, column::2] = BGR[row::2, column::2, channel]
    return seen


BLUE, GREEN, RED = (BGR[:, :, channel] for channel in range(3))
NOTHING = np.full((HEIGHT, WIDTH), 7, np.uint8)
SENT: dict[str, Callable[[], Bytes]] = {
    "BGR3": lambda: BGR,
    "RGB3": lambda: packed(RED, GREEN, BLUE),
    **dict.fromkeys(("BGR4", "XR24", "AR24"), lambda: packed(BLUE, GREEN, RED, NOTHING)),
    **dict.fromkeys(("XB24", "AB24"), lambda: packed(RED, GREEN, BLUE, NOTHING)),
    **dict.fromkeys(("RX24", "RA24"), lambda: packed(NOTHING, BLUE, GREEN, RED)),
    **dict.fromkeys(("RGB4", "BX24", "BA24"), lambda: packed(NOTHING, RED, GREEN, BLUE)),
    "RGBP": lambda: np.asarray(cv2.cvtColor(BGR, cv2.COLOR_BGR2BGR565), np.uint8),
    "BA81": lambda: mosaic(blue=(0, 0), red=(1, 1)),
    "GBRG": lambda: mosaic(blue=(0, 1), red=(1, 0)),
    "GRBG": lambda: mosaic(blue=(1, 0), red=(0, 1)),
    "RGGB": lambda: mosaic(blue=(1, 1), red=(0, 0)),
}


@pytest.mark.parametrize("code", [*PACKED, *IN_ROWS, *IN_TURN, *IN_PLANES])
def test_a_format_gives_the_colours_it_was_made_of(code: str) -> None:
    planes = (video(LUMA, 16, 219), video(CB, 16, 224), video(CR, 16, 224))
    sent = SENT[code]() if code in SENT else yuv(code, *planes)
    seen = colour_picture(sent, code, WIDTH, HEIGHT)
    assert (seen.shape, seen.dtype, seen.flags.c_contiguous) == ((HEIGHT, WIDTH, 3), np.uint8, True)
    assert not np.shares_memory(seen, sent)
    error = np.abs(seen.astype(int) - BGR)[4:-4, 4:-4]
    assert (error.max(), error.mean()) <= (9, 4)


@pytest.mark.parametrize("code", ["YUYV", "YU12", "NV12"])
def test_rows_with_padding_and_a_full_range(code: str) -> None:
    pixels = yuv(code, LUMA, CB, CR).reshape(-1, 2 * WIDTH if code == "YUYV" else WIDTH)
    if code == "YU12":  # a row of its chroma has half of the padding too
        luma, chroma = pixels[:HEIGHT], pixels[HEIGHT:].reshape(-1, WIDTH // 2)
        padded = np.concatenate([np.pad(luma, ((0, 0), (0, 20))).ravel(), np.pad(chroma, ((0, 0), (0, 10))).ravel()])
    else:
        padded = np.pad(pixels, ((0, 0), (0, 20))).ravel()
    seen = colour_picture(padded, code, WIDTH, HEIGHT, row_bytes=pixels.shape[1] + 20, full_range=True)
    assert np.abs(seen.astype(int) - BGR)[4:-4, 4:-4].max() <= 6


def test_a_jpeg_is_decoded_in_colour() -> None:
    seen = colour_picture(cv2.imencode(".jpg", BGR, (cv2.IMWRITE_JPEG_QUALITY, 98))[1], "MJPG", WIDTH, HEIGHT)
    assert np.abs(seen.astype(int) - BGR).mean() < 3


def test_a_format_without_colours_that_are_read_here_gives_a_grey_picture() -> None:
    for code in FORMATS:
        if not has_colour(code):
            assert colour_picture(np.zeros(2 * WIDTH * HEIGHT, np.uint8), code, WIDTH, HEIGHT).ndim == 2
    assert not any(has_colour(code) for code in ("GREY", "Y10 ", "NM12"))


@pytest.mark.parametrize("code", ["NV12", "YU12"])
def test_a_picture_that_is_cut_off_within_its_colours_is_told(code: str) -> None:
    with pytest.raises(ValueError, match="bytes of colour behind the luma, where"):
        colour_picture(yuv(code, LUMA, CB, CR)[:-20], code, WIDTH, HEIGHT)
