"""One scene as odd cameras show it: on its side, mirrored, in pixels that are not square, in a tenth of the light."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from e2e.program import DEVICE, Affectd
from support.broker import Listener, Message, Mosquitto
from support.media import write_clip
from support.scenes import scene

ROOT = f"affectd/{DEVICE}"
SCENE = scene((250, 220, 170))
FRAMES = 40


def play(
    folder: Path,
    broker: Mosquitto,
    picture: NDArray[np.uint8],
    told: Fraction | None = None,
    detector: str = "haar",
    **camera: Any,
) -> tuple[list[Message], set[str]]:
    """Return what is published on /faces of a clip that tells its pixels' shape, and the emotions of its events."""
    rng = np.random.default_rng(0)
    frames = [cv2.add(picture, rng.integers(0, 3, picture.shape, np.uint8)) for _ in range(FRAMES)]
    clip = write_clip(folder / "clip.mp4", frames=frames, fps=10, pixel_aspect=told)
    settings = {
        "camera": {"source": str(clip), **camera},
        "clip": {"realtime": False},
        "face": {"detector": detector},
        "mqtt": {"faces": True},
    }
    with Listener(broker, "#") as listener, Affectd(folder, broker, **settings) as daemon:
        assert daemon.wait() == 0, daemon.log
        listener.wait_for(lambda messages: any(m.payload == b"offline" for m in messages))
    events = [message.json["emotion"] for message in listener.on(f"{ROOT}/event")]
    return listener.on(f"{ROOT}/faces"), {emotion for emotion in events if emotion}


@pytest.mark.parametrize(
    ("picture", "told", "settings"),
    [
        pytest.param(np.rot90(SCENE, 2), None, {"rotate": 180}, id="upside down"),
        pytest.param(np.rot90(SCENE, 1), None, {"rotate": 90}, id="on its side"),
        pytest.param(SCENE[:, ::-1], None, {"mirror": True}, id="mirrored"),
        pytest.param(cv2.resize(SCENE, (320, 480)), Fraction(2), {}, id="wide pixels"),
        pytest.param(cv2.resize(SCENE, (640, 240)), Fraction(1, 2), {}, id="high pixels"),
        pytest.param(cv2.resize(SCENE, (320, 480)), None, {"pixel_aspect": "2:1"}, id="wide pixels, as set"),
        pytest.param(np.rint(SCENE * 0.1).astype(np.uint8), None, {}, id="dim"),
        pytest.param(
            cv2.resize(SCENE, (384, 480)), Fraction(5, 3), {"detector": "blazeface"}, id="BlazeFace, 5:3 pixels"
        ),
    ],
)
def test_the_face_and_its_emotion_are_those_of_the_plain_scene(
    tmp_path: Path, broker: Mosquitto, picture: NDArray[np.uint8], told: Fraction | None, settings: dict[str, Any]
) -> None:
    faces, emotions = play(tmp_path, broker, np.ascontiguousarray(picture), told, **settings)
    boxes = [message.json["faces"][0]["box"] for message in faces if message.json["faces"]]
    assert len(boxes) > 0.8 * FRAMES
    for box in boxes:
        x, y, width, height = box
        assert (x + width / 2, y + height / 2) == pytest.approx((250 / 640, 220 / 480), abs=0.04)
        assert 640 * width == pytest.approx(480 * height, rel=0.1)
    assert emotions == {"happy"}


@pytest.mark.parametrize("detector", ["haar", "blazeface"])
def test_upside_down_nobody_is_seen_without_the_setting(tmp_path: Path, broker: Mosquitto, detector: str) -> None:
    faces, emotions = play(tmp_path, broker, np.ascontiguousarray(np.rot90(SCENE, 2)), detector=detector)
    assert not any(message.json["faces"] for message in faces)
    assert emotions == set()
