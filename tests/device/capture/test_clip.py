"""Clips made here: picture and sound in step, at both speeds, looped, reopened, lacking a track."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from affectd.capture import clip_clock
from affectd.capture.clip import Clip
from affectd.capture.protocols import Camera, EndOfClipError, Microphone
from affectd.errors import CaptureError
from affectd.events import AudioChunk, Frame
from support.clips import FLASH_S, beeps, flashes, play
from support.media import flash_and_beep, speak, tone, write_clip
from support.waiting import DEADLINE_S


@pytest.mark.parametrize("realtime", [True, False])
def test_flash_and_beep_come_at_the_same_time_and_nothing_is_lost(kiosk: Path, realtime: bool) -> None:
    started = time.monotonic()
    frames, chunks = play(Clip(kiosk, realtime=realtime, loop=False, fps=25))
    took_s = time.monotonic() - started

    assert took_s > 2.8 if realtime else took_s < 2.8
    assert len(frames) == 75
    assert frames[0].image.shape == (120, 160, 3)
    assert [frame.number for frame in frames] == list(range(1, 76))
    assert sum(chunk.samples.size for chunk in chunks) == pytest.approx(48_000, abs=1600)
    assert {(chunk.sample_rate, chunk.lost) for chunk in chunks} == {(16_000, 0)}
    assert max(chunk.samples.size for chunk in chunks) == 1600
    (flash,), (beep,) = flashes(frames), beeps(chunks)
    assert abs(flash - beep) < 0.15
    assert flash - frames[0].captured_at == pytest.approx(FLASH_S, abs=0.05)


def test_in_real_time_nothing_comes_before_it_is_due(kiosk: Path) -> None:
    camera = Clip(kiosk, realtime=True, loop=False, fps=10).camera
    assert camera is not None
    camera.open()
    for _ in range(12):
        frame = camera.read()
        assert -0.001 <= time.monotonic() - frame.captured_at < DEADLINE_S


def test_frames_are_thinned(kiosk: Path) -> None:
    frames, _ = play(Clip(kiosk, realtime=False, loop=False, fps=5))
    assert len(frames) == pytest.approx(15, abs=1)


@pytest.mark.parametrize("fast", ["camera", "microphone"])
def test_at_full_speed_neither_track_runs_away(kiosk: Path, fast: str) -> None:
    clip = Clip(kiosk, realtime=False, loop=False, fps=25)
    assert clip.camera is not None
    assert clip.microphone is not None
    quick: Camera | Microphone = clip.camera if fast == "camera" else clip.microphone
    slow: Camera | Microphone = clip.microphone if fast == "camera" else clip.camera
    quick.open()
    slow.open()
    newest: list[float] = [slow.read().captured_at]

    def run() -> None:
        try:
            while True:
                newest.append(quick.read().captured_at)
        except EndOfClipError:
            quick.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    time.sleep(1)
    assert newest[-1] - newest[0] < 1.2
    assert thread.is_alive()
    slow.close()  # a closed track holds nobody up
    thread.join(10)
    assert not thread.is_alive()


def test_one_track_alone_plays_to_its_end(kiosk: Path) -> None:
    camera = Clip(kiosk, realtime=False, loop=False, fps=25).camera
    assert camera is not None
    camera.open()
    started = time.monotonic()
    for _ in range(75):
        camera.read()
    for _ in range(2):
        with pytest.raises(EndOfClipError):
            camera.read()
    assert time.monotonic() - started < 2.8
    camera.close()
    with pytest.raises(CaptureError, match="not open"):
        camera.read()


def test_a_loop_goes_on_in_time_without_a_gap(kiosk: Path) -> None:
    clip = Clip(kiosk, realtime=False, loop=True, fps=25)
    reads = itertools.count()
    frames, chunks = play(clip, until=lambda: next(reads) > 300)
    assert np.diff([frame.captured_at for frame in frames]).max() < 0.1
    ends = np.array([chunk.captured_at for chunk in chunks])
    assert np.diff(ends) == pytest.approx([chunk.samples.size / 16_000 for chunk in chunks[1:]], abs=1e-3)
    assert sum(chunk.lost for chunk in chunks) == 0
    seen, heard = flashes(frames), beeps(chunks)
    assert len(seen) >= 2
    assert len(heard) >= 2
    assert np.diff(seen) == pytest.approx(3.0, abs=0.1)
    assert [abs(a - b) < 0.15 for a, b in zip(seen, heard, strict=False)].count(False) == 0


def test_a_loop_fills_a_shorter_sound_track_with_silence(tmp_path: Path) -> None:
    frames, _ = flash_and_beep(2.0, 0.5)
    clip = Clip(
        write_clip(tmp_path / "short.mp4", frames=frames, sound=tone(1.0, sample_rate=48_000)),
        realtime=False,
        loop=True,
        fps=10,
    )
    assert clip.microphone is not None
    clip.microphone.open()
    chunks = [clip.microphone.read() for _ in range(60)]
    assert {chunk.lost for chunk in chunks} == {0}
    assert np.diff(beeps(chunks)) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("realtime", [True, False])
def test_a_track_opened_again_goes_on_in_step(kiosk: Path, realtime: bool) -> None:
    clip = Clip(kiosk, realtime=realtime, loop=True, fps=10)
    camera, microphone = clip.camera, clip.microphone
    assert camera is not None
    assert microphone is not None
    camera.open()
    microphone.open()
    begun = camera.read().captured_at
    camera.close()
    heard = microphone.read()
    while heard.captured_at < begun + 2.0:
        heard = microphone.read()
    camera.open()
    frame = camera.read()
    assert frame.captured_at == pytest.approx(heard.captured_at, abs=0.3)
    assert frame.number == 1
    frames = [frame] + [camera.read() for _ in range(5)]
    assert flashes(frames) == []  # it lies at 1.2 s, which is over


def both_tracks(clip: Clip, first: str) -> tuple[Camera | Microphone, Camera | Microphone]:
    """Return the track with this name, and the other one."""
    assert clip.camera is not None
    assert clip.microphone is not None
    return (clip.camera, clip.microphone) if first == "camera" else (clip.microphone, clip.camera)


def read_five_seconds(device: Camera | Microphone) -> list[Frame] | list[AudioChunk]:
    """Read so much of a track, or to its end when that comes before."""
    items: list[Any] = []
    with contextlib.suppress(EndOfClipError):
        while not items or items[-1].captured_at < items[0].captured_at + 4.8:
            items.append(device.read())
    return items


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("late", ["camera", "microphone"])
def test_at_full_speed_a_track_that_comes_late_misses_nothing(kiosk: Path, late: str, loop: bool) -> None:
    latecomer, other = both_tracks(Clip(kiosk, realtime=False, loop=loop, fps=25), late)
    other.open()
    before = read_five_seconds(other)
    latecomer.open()
    after = read_five_seconds(latecomer)
    frames, chunks = cast(Any, (after, before) if late == "camera" else (before, after))
    seen, heard = flashes(frames), beeps(chunks)
    assert len(seen) == (2 if loop else 1)
    assert seen == pytest.approx(heard, abs=0.15)
    assert seen[0] - frames[0].captured_at == pytest.approx(FLASH_S, abs=0.05)


@pytest.mark.parametrize("late", ["camera", "microphone"])
def test_in_real_time_a_track_that_comes_a_little_late_misses_nothing_and_is_in_step(
    kiosk: Path, late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_clock, "JOIN_S", DEADLINE_S)  # a busy machine may need its second to open a file
    latecomer, other = both_tracks(Clip(kiosk, realtime=True, loop=False, fps=25), late)
    other.open()
    begun = other.read().captured_at
    time.sleep(0.1)
    latecomer.open()
    read = latecomer.read()
    assert read.captured_at == pytest.approx(begun, abs=0.15)
    while read.captured_at < begun + 0.9:
        read = latecomer.read()
    assert -0.001 <= time.monotonic() - read.captured_at < DEADLINE_S


@pytest.mark.parametrize("late", ["camera", "microphone"])
def test_in_real_time_a_track_that_comes_much_too_late_begins_where_the_other_is(kiosk: Path, late: str) -> None:
    latecomer, other = both_tracks(Clip(kiosk, realtime=True, loop=False, fps=25), late)
    other.open()
    begun = other.read().captured_at
    time.sleep(1.5)
    opened = time.monotonic()
    latecomer.open()
    read = latecomer.read()
    assert opened > begun + 1.0
    assert opened - 0.001 <= read.captured_at <= time.monotonic() + 0.001


@pytest.mark.parametrize("realtime", [True, False])
@pytest.mark.parametrize("name", ["camera", "microphone"])
def test_a_track_opened_again_soon_does_not_go_back(kiosk: Path, name: str, realtime: bool) -> None:
    track, _ = both_tracks(Clip(kiosk, realtime=realtime, loop=False, fps=25), name)
    track.open()
    begun = read = track.read()
    while read.captured_at < begun.captured_at + 0.4:
        read = track.read()
    track.open()
    assert track.read().captured_at >= read.captured_at


def test_a_shorter_sound_track_opened_again_after_its_end_is_silent_from_then_on(tmp_path: Path) -> None:
    frames, _ = flash_and_beep(3.0, 0.5)
    path = write_clip(tmp_path / "short.mp4", frames=frames, sound=tone(1.0, sample_rate=48_000))
    clip = Clip(path, realtime=False, loop=True, fps=25)
    assert clip.camera is not None
    assert clip.microphone is not None
    clip.microphone.open()
    clip.microphone.close()
    clip.camera.open()
    frame = begun = clip.camera.read()
    while frame.captured_at < begun.captured_at + 2.0:
        frame = clip.camera.read()
    clip.camera.close()
    clip.microphone.open()
    chunks = [clip.microphone.read() for _ in range(15)]
    assert chunks[0].captured_at == pytest.approx(frame.captured_at + 0.1, abs=0.01)
    assert {chunk.lost for chunk in chunks} == {0}
    assert beeps(chunks)[0] == pytest.approx(begun.captured_at + 3.0, abs=0.05)


def test_a_missing_track_is_none_and_the_other_plays(tmp_path: Path) -> None:
    frames, sound = flash_and_beep(1.0, 0.5)
    silent = Clip(write_clip(tmp_path / "silent.mp4", frames=frames), realtime=False, loop=False, fps=25)
    assert silent.microphone is None
    assert silent.camera is not None
    silent.camera.open()
    assert silent.camera.read().image.shape == (120, 160, 3)

    blind = Clip(speak(tmp_path / "speech.wav", "Good morning."), realtime=False, loop=False, fps=25)
    assert blind.camera is None
    assert blind.microphone is not None
    blind.microphone.open()
    assert sum(np.abs(blind.microphone.read().samples).max() > 1000 for _ in range(5)) > 0
    assert write_clip(tmp_path / "tone.mkv", sound=sound).stat().st_size > 0
    assert Clip(tmp_path / "tone.mkv", realtime=False, loop=False, fps=25).camera is None


def test_a_clip_whose_last_picture_stays_for_long_is_not_cut_short(tmp_path: Path) -> None:
    frames, _ = flash_and_beep(0.2, 0.1)
    path = write_clip(tmp_path / "slides.mp4", frames=frames, fps=Fraction(1, 3))
    camera = Clip(path, realtime=False, loop=False, fps=25).camera
    assert camera is not None
    camera.open()
    assert len(read_five_seconds(camera)) == 3
    for _ in range(2):
        camera.read()
    with pytest.raises(EndOfClipError):
        camera.read()
