"""A camera on its side, upside down or mirrored, put right by the settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from affectd import assembly
from affectd.capture.protocols import EndOfClipError
from affectd.config import CameraConfig, Config
from support.media import write_clip

CORNERS = {"top left": (20, 20), "top right": (20, -20), "bottom left": (-20, 20), "bottom right": (-20, -20)}


@pytest.mark.parametrize(
    ("rotate", "mirror", "shape", "lands"),
    [
        (0, False, (120, 160), "top left"),
        (90, False, (160, 120), "top right"),
        (180, False, (120, 160), "bottom right"),
        (270, False, (160, 120), "bottom left"),
        (0, True, (120, 160), "top right"),
        (90, True, (160, 120), "top left"),
        (180, True, (120, 160), "bottom left"),
        (270, True, (160, 120), "bottom right"),
    ],
)
def test_the_top_left_corner_lands_where_it_should(
    tmp_path: Path, rotate: int, mirror: bool, shape: tuple[int, int], lands: str
) -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    image[:40, :40] = 255
    source = str(write_clip(tmp_path / "clip.mp4", frames=[image] * 2))
    config = Config(camera=CameraConfig(source=source, fps=25, rotate=rotate, mirror=mirror))
    camera = assembly.make_camera(config, assembly.open_clip(config, realtime=False, loop=False))
    assert camera is not None
    assert camera.name == "clip clip.mp4"
    camera.open()
    frames = [camera.read(), camera.read()]
    with pytest.raises(EndOfClipError):
        camera.read()
    camera.close()
    assert [frame.number for frame in frames] == [1, 2]
    seen = frames[0].image
    assert seen.shape == (*shape, 3)
    assert seen.flags.c_contiguous
    bright = {name for name, (row, column) in CORNERS.items() if seen[row, column].min() > 200}
    assert bright == {lands}


def test_a_live_camera_is_turned_too() -> None:
    config = Config(camera=CameraConfig(source="/dev/video97", rotate=90))
    camera = assembly.make_camera(config, None)
    assert camera is not None
    assert camera.name == "/dev/video97"
    assert type(camera) is not type(assembly.make_camera(Config(camera=CameraConfig(source="/dev/video97")), None))
