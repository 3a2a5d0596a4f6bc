"""Builds what scripts/soak plays: ten minutes before a kiosk, in which somebody comes a few times and mostly nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

RATE = 16_000
SIZE = (320, 240)
SECONDS = 600


@dataclass(frozen=True)
class Visit:
    """The demo clip's person (24 s) once more, somewhat different."""

    at_s: int
    mirrored: bool = False
    seen: bool = True
    heard: bool = True
    light: float = 1.0
    loudness: float = 1.0


VISITS = (
    Visit(30),
    Visit(140, mirrored=True, loudness=0.5),
    Visit(235, seen=False, loudness=0.7),
    Visit(330, heard=False, light=0.6),
    Visit(470, mirrored=True, light=0.8, loudness=1.3),
)


def build(path: Path, visitor: Path, fps: int) -> Path:
    """Write the clip; `visitor` is scripts/demo.mp4, whose first picture is the empty room. The same at every call."""
    rng = np.random.default_rng(1)
    pictures, sound = _pictures(visitor, fps), _sound(visitor)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "26", "preset": "veryfast"})
        (video.width, video.height), video.pix_fmt = SIZE, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for picture in _room_over_time(pictures, fps, rng):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(video.encode())
        track = _room_sound(sound, rng)
        for start in range(0, track.size, 1024):
            block = av.AudioFrame.from_ndarray(track[None, start : start + 1024], format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
            container.mux(audio.encode(block))
        container.mux(audio.encode())
    return path


def _pictures(clip: Path, fps: int) -> list[np.ndarray]:
    """Return the clip's pictures, small and thinned to `fps`."""
    with av.open(str(clip)) as container:
        every = round(container.streams.video[0].average_rate / fps)
        images = (frame.to_ndarray(format="bgr24") for frame in container.decode(video=0))
        return [
            cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
            for number, image in enumerate(images)
            if number % every == 0
        ]


def _sound(clip: Path) -> np.ndarray:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(clip)) as container:
        return np.concatenate(
            [part.to_ndarray()[0] for f in container.decode(audio=0) for part in resampler.resample(f)]
        )


def _room_over_time(pictures: list[np.ndarray], fps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Return the empty room with the visits in it, the light slowly changing, under a camera's noise."""
    shown = {
        visit.at_s * fps + number: (picture[:, ::-1] if visit.mirrored else picture) * visit.light
        for visit in VISITS
        if visit.seen
        for number, picture in enumerate(pictures)
    }
    for number in range(SECONDS * fps):
        light = 1.0 + 0.05 * np.sin(2 * np.pi * number / (SECONDS * fps))
        picture = shown.get(number, pictures[0]) * light + rng.normal(0, 1.5, pictures[0].shape)
        yield np.clip(picture, 0, 255).astype(np.uint8)


def _room_sound(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return quiet noise with what is said in it, (n,) int16."""
    track = rng.normal(0, 20, SECONDS * RATE)
    for visit in VISITS:
        if visit.heard:
            track[visit.at_s * RATE :][: sound.size] += visit.loudness * sound
    return np.clip(track, -32768, 32767).astype(np.int16)
