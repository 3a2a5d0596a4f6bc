"""Clips and sounds made at test time."""

from __future__ import annotations

import math
import subprocess
import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 160, 120


def write_clip(
    path: Path,
    *,
    frames: Iterable[NDArray[np.uint8]] | None = None,
    fps: int | Fraction = 25,
    sound: NDArray[np.int16] | None = None,
    sample_rate: int = 48_000,
    options: dict[str, str] | None = None,
    codec: str = "libx264",
    pixel_aspect: Fraction | None = None,
) -> Path:
    """Write (height, width, 3) BGR frames and (n,) mono samples as AAC; the suffix chooses the container.

    `pixel_aspect`: width over height of a pixel, as the header will tell.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        if frames is not None:
            frames = list(frames)
            preset = {"preset": "ultrafast"} if codec == "libx264" else {}
            video = container.add_stream(codec, rate=fps, options={**preset, "g": str(math.ceil(fps))})
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            video.codec_context.sample_aspect_ratio = pixel_aspect or Fraction(0)
        if sound is not None:
            audio = container.add_stream("aac", rate=sample_rate, layout="mono")
        if frames is not None:
            for image in frames:
                container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            container.mux(video.encode(None))
        if sound is not None:
            for start in range(0, sound.size, 1024):
                block = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="s16", layout="mono")
                block.sample_rate = sample_rate
                block.pts = start
                block.time_base = Fraction(1, sample_rate)
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


def flash_and_beep(
    duration_s: float, at_s: float, *, fps: int = 25, sample_rate: int = 48_000
) -> tuple[list[NDArray[np.uint8]], NDArray[np.int16]]:
    """Make black frames and silence, but for 0.2 s of white and of a 1 kHz tone from `at_s` on."""
    white = [at_s <= i / fps < at_s + 0.2 for i in range(round(duration_s * fps))]
    frames = [np.full((HEIGHT, WIDTH, 3), 255 if on else 0, np.uint8) for on in white]
    sound = tone(duration_s, sample_rate=sample_rate)
    times = np.arange(sound.size) / sample_rate
    sound[(times < at_s) | (times >= at_s + 0.2)] = 0
    return frames, sound


def tone(duration_s: float, *, hz: float = 1000.0, sample_rate: int = 16_000) -> NDArray[np.int16]:
    """Make a sine at half of full scale."""
    times = np.arange(round(duration_s * sample_rate)) / sample_rate
    return (16_000 * np.sin(2 * np.pi * hz * times)).astype(np.int16)


def speak(path: Path, text: str) -> Path:
    """Have espeak-ng say the text into a WAV file (mono, 22,050 Hz)."""
    subprocess.run(["espeak-ng", "-w", str(path), text], check=True)
    return path


def read_wav(path: Path) -> tuple[int, NDArray[np.int16]]:
    """Return (sample rate, (n,) samples) of a mono 16 bit WAV file."""
    with wave.open(str(path)) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), np.int16)
