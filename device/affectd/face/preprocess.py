"""From a grey picture and a face box to the network's input; training and the daemon share this file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError

GrayImage = NDArray[np.uint8]
PixelBox = tuple[float, float, float, float]
"""x, y, width, height in pixels."""
UPRIGHT_DEG = 3.0
"""Degrees of roll below which a crop is cut out as it is: turning costs sharpness, and the networks bear more."""


def to_gray(image: NDArray[np.uint8]) -> GrayImage:
    """Return the grey picture (height, width) of one in BGR or grey already."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class FacePreprocessing:
    """How a face is cut out and brought to numbers; stands in the manifest of every face bundle."""

    size: int = 48
    """Side of the network's square input, pixels."""
    crop_scale: float = 1.05
    """Side of the crop over the side of the detector's box; FER2013's crops are that much larger than Haar's."""
    equalize: bool = True
    """Histogram equalization of the resized crop (OpenCV's equalizeHist)."""
    mean: float = 127.5
    std: float = 73.6
    """Input = (grey level - mean) / std. An equalized crop is uniform on 0..255: that is its deviation."""

    @classmethod
    def from_manifest(cls, values: Mapping[str, Any]) -> FacePreprocessing:
        """Read the manifest's `preprocessing`. Raises ModelError on an unknown or missing key."""
        try:
            return cls(**values)
        except TypeError as error:
            raise ModelError(f"manifest: face preprocessing does not fit this affectd: {error}") from error

    def to_manifest(self) -> dict[str, Any]:
        """Return the manifest's `preprocessing`."""
        return asdict(self)

    def crop(self, gray: GrayImage, box: PixelBox, roll_deg: float = 0.0) -> GrayImage:
        """Cut the square around `box` out of `gray` (height, width), upright; beyond the border the edge repeats.

        `roll_deg` is how far the face is tilted clockwise: the crop is turned back by it.
        """
        x, y, width, height = box
        side = max(2, round(max(width, height) * self.crop_scale))
        turned_by = roll_deg if abs(roll_deg) >= UPRIGHT_DEG else 0.0
        return cut_square(gray, (x + width / 2, y + height / 2), side, turned_by)

    def prepare(self, crop: GrayImage) -> NDArray[np.float32]:
        """Turn a grey crop (any side) into (size, size, 1) float32, about zero mean and unit deviation."""
        if crop.shape != (self.size, self.size):
            shrinks = crop.shape[0] > self.size
            crop = cv2.resize(
                crop, (self.size, self.size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            )
        if self.equalize:
            crop = cv2.equalizeHist(crop)
        values = (crop.astype(np.float32) - self.mean) / self.std
        return values[:, :, np.newaxis]


def cut_square(gray: GrayImage, centre: tuple[float, float], side: int, roll_deg: float = 0.0) -> GrayImage:
    """Cut a square of `side` pixels out of `gray` (height, width), turned back by a roll of `roll_deg` clockwise.

    Beyond the picture's border its edge repeats; black where nothing of the picture is in the square.
    """
    left, top = (round(middle - side / 2) for middle in centre)
    rows, columns = gray.shape
    inside = gray[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if inside.size == 0:
        return np.zeros((side, side), np.uint8)
    if roll_deg:
        turn = cv2.getRotationMatrix2D(centre, roll_deg, 1.0)
        turn[:, 2] -= left, top
        return np.asarray(cv2.warpAffine(gray, turn, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    if inside.shape == (side, side):
        return inside
    below, right = max(top + side - rows, 0), max(left + side - columns, 0)
    padded = cv2.copyMakeBorder(inside, max(-top, 0), below, max(-left, 0), right, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)
