"""The part of a picture that is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the settings read crops, and the command line must not load NumPy before it knows the command
    import numpy as np
    from numpy.typing import NDArray

FORM = 'x,y,width,height as fractions of the picture, such as "0.25,0,0.5,1" for the middle half of its width'
SMALLEST = 0.1
"""Of the picture's width and of its height: what is left of 640x480 has 64x48 pixels, and few faces fit in less."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle in fractions of a picture, 0..1, origin at the top left."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def parse(cls, text: str) -> Crop:
        """Read 'x,y,width,height'. Raises ValueError saying what is wrong, as it follows the value."""
        try:
            x, y, width, height = (float(part) for part in text.split(","))
        except ValueError:
            raise ValueError(f"must be empty, or {FORM}") from None
        if not (0 <= x <= 1 and 0 <= y <= 1 and SMALLEST <= width <= 1 and SMALLEST <= height <= 1):
            raise ValueError(f"each must be from 0 to 1, and width and height at least {SMALLEST}: {FORM}")
        if x + width > 1 + 1e-6 or y + height > 1 + 1e-6:
            raise ValueError(f"reaches beyond the picture: neither x + width nor y + height may be over 1: {FORM}")
        return cls(x, y, width, height)

    def unturned(self, rotate: int, mirror: bool) -> Crop:
        """Return the same part as it lies in the picture before that is turned by `rotate` clockwise and mirrored."""
        x = 1 - self.x - self.width if mirror else self.x
        right, below = 1 - x - self.width, 1 - self.y - self.height
        return {
            0: Crop(x, self.y, self.width, self.height),
            90: Crop(self.y, right, self.height, self.width),
            180: Crop(right, below, self.width, self.height),
            270: Crop(below, x, self.height, self.width),
        }[rotate]

    def within(self, x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the part of a rectangle of pixels that this is, as x, y, width, height; at least one pixel."""
        left, top = min(max(0, round(self.x * width)), width - 1), min(max(0, round(self.y * height)), height - 1)
        columns, rows = max(1, round(self.width * width)), max(1, round(self.height * height))
        return x + left, y + top, min(columns, width - left), min(rows, height - top)

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return that part of a picture (rows, columns[, 3]), its pixels in one piece."""
        rows, columns = image.shape[:2]
        left, top, width, height = self.within(0, 0, columns, rows)
        return image[top : top + height, left : left + width].copy()
