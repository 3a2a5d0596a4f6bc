"""Clips of every container, turned, broken, or none; and PyAV missing or too old."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from affectd.capture.clip import Clip
from affectd.errors import CaptureError
from support.clips import beeps, flashes, play
from support.media import flash_and_beep, write_clip

# The display matrix of an MP4 (ISO/IEC 14496-12, 8.3.2), first in the movie's header, then in the track's.
IDENTITY = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
QUARTER_TURN_CLOCKWISE = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".ts", ".mov"])
def test_other_containers_play_in_step(tmp_path: Path, suffix: str) -> None:
    frames, sound = flash_and_beep(2.0, 0.8)
    path = write_clip(tmp_path / f"kiosk{suffix}", frames=frames, sound=sound)
    pictures, chunks = play(Clip(path, realtime=False, loop=False, fps=25))
    assert abs(flashes(pictures)[0] - beeps(chunks)[0]) < 0.15


def test_a_clip_that_a_phone_recorded_turned_is_upright(tmp_path: Path) -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    image[:, :40] = 255  # the sensor's left edge is the top of what was seen
    path = write_clip(tmp_path / "turned.mp4", frames=[image] * 5)
    before, between, after = path.read_bytes().split(IDENTITY)
    path.write_bytes(before + IDENTITY + between + QUARTER_TURN_CLOCKWISE + after)

    camera = Clip(path, realtime=False, loop=False, fps=25).camera
    assert camera is not None
    camera.open()
    seen = camera.read().image
    assert seen.shape == (160, 120, 3)
    assert seen[:38].mean() > 240
    assert seen[42:].mean() < 15

    camera.colour = False
    gray = camera.read().image
    assert gray.shape == (160, 120)
    assert gray[:38].mean() > 240
    assert gray[42:].mean() < 15


@pytest.mark.parametrize(("name", "codec"), [("video.mp4", "libx264"), ("full.avi", "mjpeg")])
def test_a_clip_in_grey_shows_what_it_does_in_colour(tmp_path: Path, name: str, codec: str) -> None:
    across, down = np.meshgrid(np.linspace(0, 255, 150), np.linspace(0, 255, 100))
    path = write_clip(
        tmp_path / name, frames=[np.stack([across, down, 255 - across], axis=2).astype(np.uint8)] * 2, codec=codec
    )
    camera = Clip(path, realtime=False, loop=False, fps=25).camera
    assert camera is not None
    camera.open()
    colour = camera.read().image
    camera.colour = False
    gray = camera.read().image
    assert gray.shape == (100, 150)
    assert np.abs(gray - cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY).astype(float)).mean() < 3


def refusal(path: Path) -> str:
    with pytest.raises(CaptureError) as caught:
        Clip(path, realtime=False, loop=False, fps=10)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_what_is_no_clip_is_refused_in_one_sentence(kiosk: Path, tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.mp4")
    assert "is a folder" in refusal(tmp_path)
    (tmp_path / "empty.mp4").touch()
    refusal(tmp_path / "empty.mp4")
    (tmp_path / "notes.txt").write_text("Dear diary,\n" * 500)
    assert "text file" in refusal(tmp_path / "notes.txt")
    (tmp_path / "notes.mp4").write_text("Dear diary,\n" * 500)
    refusal(tmp_path / "notes.mp4")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(50_000))
    refusal(tmp_path / "noise.mp4")
    (tmp_path / "truncated.mp4").write_bytes(kiosk.read_bytes()[:2000])
    refusal(tmp_path / "truncated.mp4")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    refusal(tmp_path / "list.m3u8")


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_clip_that_turns_bad_says_at_which_second(tmp_path: Path, damage: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (150, 120, 160, 3), np.uint8)
    whole = write_clip(tmp_path / "whole.mp4", frames=noise, options={"movflags": "faststart"}).read_bytes()
    half = len(whole) // 2
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(whole[:half] if damage == "cut" else whole[:half] + b"\xff" * (len(whole) - half))
    camera = Clip(bad, realtime=False, loop=False, fps=25).camera
    assert camera is not None
    camera.open()
    with pytest.raises(CaptureError, match=r"bad\.mp4.* second [23]\.\d"):
        for _ in range(200):
            camera.read()


def test_without_pyav_the_package_is_named(kiosk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(CaptureError, match="pip install av"):
        Clip(kiosk, realtime=False, loop=False, fps=10)


def test_a_clip_whose_pictures_are_a_line_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "line.mp4", frames=[np.zeros((16, 640, 3), np.uint8)] * 3)
    camera = Clip(path, realtime=False, loop=False, fps=25).camera
    assert camera is not None
    camera.open()
    with pytest.raises(CaptureError, match=r"clip line.mp4: has pictures of 640x16 pixels"):
        camera.read()


def test_a_pyav_that_is_too_old_is_told(kiosk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "av.py").write_text('__version__ = "10.0.0"\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "av")
    with pytest.raises(CaptureError, match=r"PyAV 10\.0\.0 is too old, 12 is needed; run .* 'av>=12'"):
        Clip(kiosk, realtime=False, loop=False, fps=10)
