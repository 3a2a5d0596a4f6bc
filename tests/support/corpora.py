"""A few generated faces and clips in the layouts that the public corpora have."""

from pathlib import Path

import cv2
import numpy as np
import soundfile

RNG = np.random.default_rng(0)
SOUND = 0.1 * np.sin(0.3 * np.arange(1600))
"""100 ms at 16 kHz."""


def face() -> np.ndarray:
    """Return noise, (48, 48) uint8, which is no other one's twin."""
    return RNG.integers(0, 256, (48, 48), dtype=np.uint8)


def csv_row(label: object, usage: str, levels: np.ndarray) -> str:
    return f"{label},{' '.join(map(str, levels.ravel()))},{usage}"


def fer_csv(path: Path, *more: str, header: str = "emotion,pixels,Usage", usages: tuple[str, ...] = ()) -> Path:
    """Write a face of every label for each of `usages`, and the rows `more`."""
    rows = [csv_row(k, usage, face()) for usage in usages or ("Training", "PublicTest") for k in range(7)]
    path.write_text("\n".join([header, *rows, *more]) + "\n")
    return path


def fer_folder(path: Path, labels: tuple[str, ...], suffix: str = ".png") -> Path:
    """Write a picture into a folder for each of `labels` below `path`."""
    for label in labels:
        (path / label).mkdir(parents=True)
        cv2.imwrite(str(path / label / f"a{suffix}"), face())
    return path


def sound(path: Path, samples: np.ndarray = SOUND, **how: str) -> None:
    """Write a clip of 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16_000, **how)


def pointer(path: Path) -> None:
    """Write what git-lfs leaves in the place of a file that it has not fetched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 72862\n")
