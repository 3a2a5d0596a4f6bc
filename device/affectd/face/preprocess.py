"""From a picture and a face box to the network's input; training and the daemon share this file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.inference.manifest import Section

Image = NDArray[np.uint8]
"""(height, width) grey, or (height, width, 3) BGR."""
GrayImage = NDArray[np.uint8]
PixelBox = tuple[float, float, float, float]
"""x, y, width, height in pixels."""
COLOURS: Final = ("grey", "rgb", "bgr")
LARGEST = 1024
"""Pixels of the longest side of an input."""
MOST_FRAMES = 64
"""Of an input: six seconds."""
UPRIGHT_DEG = 3.0
"""Degrees of roll below which a crop is cut out as it is: turning costs sharpness, and the networks bear more."""


def to_gray(image: Image) -> GrayImage:
    """Return the grey picture (height, width) of one in BGR or grey already."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class FacePreprocessing:
    """How a face is cut out and brought to numbers; stands in the manifest of every face bundle."""

    size: int | tuple[int, int] = 48
    """Of the network's input, pixels: the side of a square, or height and width, to which the square crop is brought.
    """
    crop_scale: float = 1.05
    """Side of the crop over the side of the detector's box; FER2013's crops are that much larger than Haar's."""
    channels: int = 1
    """Of the input: 1, or 3, where grey is repeated."""
    colour: str = "grey"
    """'grey', or the order of the channels, 'rgb' or 'bgr', of a crop that is cut out of the colour picture."""
    equalize: bool = True
    """Histogram equalization of the resized crop (OpenCV's equalizeHist); of a grey one only."""
    mean: float | tuple[float, ...] = 127.5
    std: float | tuple[float, ...] = 73.6
    """Input = (level - mean) / std, levels 0..255; a number, or one for each channel. An equalized crop is uniform on
    0..255: that is its deviation. A network that rescales inside takes mean 0 and std 1."""
    frames: int = 1
    """Crops of one face in an input, each `crop_sequence.STEP_S` after the one before."""

    @classmethod
    def from_manifest(cls, values: Mapping[str, Any], *, where: str = "manifest") -> FacePreprocessing:
        """Read a manifest's `preprocessing`; what is left out has its default, and a colour crop is not equalized.

        Raises ModelError, which begins with `where`, for a key that is unknown or a value that is not allowed.
        """
        section = Section(values, where, "preprocessing.")
        colour = section.text("colour", choices=COLOURS) if section.has("colour") else "grey"
        grey = colour == "grey"
        channels = section.whole("channels", 1, 3) if section.has("channels") else 1 if grey else 3
        if channels not in ((1, 3) if grey else (3,)):
            raise section.refuse("channels", "1 or 3" if grey else f'3, for colour is "{colour}"', channels)
        equalize = section.flag("equalize") if section.has("equalize") else grey
        if equalize and not grey:
            raise section.refuse("equalize", f'false, for colour is "{colour}" and only grey is equalized', equalize)
        given: dict[str, Any] = {"colour": colour, "channels": channels, "equalize": equalize}
        if section.has("size"):
            given["size"] = section.whole_or_pair("size", 1, LARGEST)
        if section.has("crop_scale"):
            given["crop_scale"] = section.number("crop_scale", 0.1, 10.0)
        for key, low in (("mean", -1e6), ("std", 1e-6)):
            if section.has(key):
                given[key] = section.per_channel(key, channels, low, 1e6)
        if section.has("frames"):
            given["frames"] = section.whole("frames", 1, MOST_FRAMES)
        section.done()
        return cls(**given)

    def to_manifest(self) -> dict[str, Any]:
        """Return the manifest's `preprocessing`; `frames` only where there are several, as older affectd wrote it."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {key: value for key, value in values.items() if (key, value) != ("frames", 1)}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a prepared crop."""
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return height, width, self.channels

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the network's input, without the batch: `frames` prepared crops, or the one alone."""
        return self.shape if self.frames == 1 else (self.frames, *self.shape)

    @property
    def wants_colour(self) -> bool:
        """Whether the crop is to be cut out of a colour picture."""
        return self.colour != "grey"

    def check_input(self, shape: tuple[int, ...], where: str) -> None:
        """Raise ModelError unless a network of input `shape`, the batch of 1 first, takes what this makes."""
        if shape != (1, *self.input_shape):
            raise ModelError(
                f"{where}: the network takes {shape}, but by preprocessing a face is {(1, *self.input_shape)}; set its "
                "size, channels and frames to those that it was trained with"
            )

    def crop(self, image: Image, box: PixelBox, roll_deg: float = 0.0) -> Image:
        """Cut the square around `box` out of `image`, upright; beyond the border the edge repeats.

        `roll_deg` is how far the face is tilted clockwise: the crop is turned back by it.
        """
        x, y, width, height = box
        side = max(2, round(max(width, height) * self.crop_scale))
        turned_by = roll_deg if abs(roll_deg) >= UPRIGHT_DEG else 0.0
        return cut_square(image, (x + width / 2, y + height / 2), side, turned_by)

    def prepare(self, crop: Image) -> NDArray[np.float32]:
        """Turn a crop of any size into numbers, of `shape`, float32; grey fills every channel."""
        height, width, channels = self.shape
        crop = resized(self._coloured(crop), height, width)
        if self.equalize:
            crop = np.asarray(cv2.equalizeHist(crop), np.uint8)
        if crop.ndim == 2:
            crop = np.repeat(crop[:, :, np.newaxis], channels, axis=2)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return (crop.astype(np.float32) - mean) / std

    def prepare_still(self, crop: Image) -> NDArray[np.float32]:
        """Turn a crop of any size into the input of a network, of `input_shape`, that sees it in every frame."""
        values = self.prepare(crop)
        return values if self.frames == 1 else np.repeat(values[np.newaxis], self.frames, axis=0)

    def _coloured(self, crop: Image) -> Image:
        """Return the crop in the network's colours; what is grey stays so."""
        if not self.wants_colour:
            return to_gray(crop)
        return crop if crop.ndim == 2 or self.colour == "bgr" else np.ascontiguousarray(crop[:, :, ::-1])


def resized(image: Image, height: int, width: int) -> Image:
    """Return the image with so many rows and columns: averaged where it shrinks, then interpolated where it grows."""
    rows, columns = image.shape[:2]
    shrunk = min(rows, height), min(columns, width)
    for size, how in ((shrunk, cv2.INTER_AREA), ((height, width), cv2.INTER_CUBIC)):
        if image.shape[:2] != size:
            image = np.asarray(cv2.resize(image, size[::-1], interpolation=how), np.uint8)
    return image


def cut_square(image: Image, centre: tuple[float, float], side: int, roll_deg: float = 0.0) -> Image:
    """Cut a square of `side` pixels out of `image`, turned back by a roll of `roll_deg` clockwise.

    Beyond the picture's border its edge repeats; black where nothing of the picture is in the square.
    """
    left, top = (round(middle - side / 2) for middle in centre)
    rows, columns = image.shape[:2]
    inside = image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if inside.size == 0:
        return np.zeros((side, side, *image.shape[2:]), np.uint8)
    if roll_deg:
        turn = cv2.getRotationMatrix2D(centre, roll_deg, 1.0)
        turn[:, 2] -= left, top
        return np.asarray(cv2.warpAffine(image, turn, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    if inside.shape[:2] == (side, side):
        return inside
    below, right = max(top + side - rows, 0), max(left + side - columns, 0)
    padded = cv2.copyMakeBorder(inside, max(-top, 0), below, max(-left, 0), right, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)
