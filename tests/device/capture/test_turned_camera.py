"""A camera on its side, upside down or mirrored, put right by the settings, and a part of what it shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from affectd import assembly
from affectd.capture.crop import Crop
from affectd.capture.protocols import EndOfClipError
from affectd.capture.turned_camera import turned
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
    clip = assembly.open_clip(config, realtime=False, loop=False)
    camera = assembly.make_camera(config, clip, colour=True)
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


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_the_part_is_of_the_picture_once_it_is_turned(tmp_path: Path, rotate: int, mirror: bool) -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    image[:60, :40] = 255  # an eighth, at the top left
    source = str(write_clip(tmp_path / "clip.mp4", frames=[image]))
    settings = CameraConfig(source=source, fps=25, rotate=rotate, mirror=mirror, crop="0,0,0.5,0.5")
    config = Config(camera=settings)
    camera = assembly.make_camera(config, assembly.open_clip(config, realtime=False, loop=False))
    assert camera is not None
    camera.open()
    seen = camera.read().image
    camera.close()
    assert seen.shape == ((60, 80) if rotate in (0, 180) else (80, 60))
    assert seen.flags.c_contiguous
    assert settings.crop_area is not None
    part = settings.crop_area.unturned(rotate, mirror).of(image[:, :, 0])  # as the Pi's ISP cuts it out before
    assert np.abs(turned(part, rotate, mirror).astype(int) - seen).mean() < 4  # but for the clip's compression
    assert (seen.mean() > 60) == ((rotate, mirror) in {(0, False), (90, True)})


@pytest.mark.parametrize("mirror", [False, True])
def test_a_part_at_the_edge_is_whole(mirror: bool) -> None:
    last_third, image = Crop.parse("0.6666667,0,0.3333333,1"), np.zeros((101, 99), np.uint8)
    shapes = [last_third.unturned(rotate, mirror).of(image).shape for rotate in (0, 90, 180, 270)]
    assert shapes == [(101, 33), (34, 99), (101, 33), (34, 99)]
    assert Crop(0, 0, 1, 1).unturned(180, mirror).within(16, 0, 2560, 1920) == (16, 0, 2560, 1920)


def test_a_live_camera_is_turned_too() -> None:
    config = Config(camera=CameraConfig(source="/dev/video97", rotate=90))
    camera = assembly.make_camera(config, None)
    assert camera is not None
    assert camera.name == "/dev/video97"
    assert type(camera) is not type(assembly.make_camera(Config(camera=CameraConfig(source="/dev/video97")), None))
