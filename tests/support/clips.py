"""Clips with a flash and a beep at the same instant, played as the daemon plays them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from affectd.capture.clip import Clip
from affectd.capture.protocols import Camera, EndOfClipError, Microphone
from affectd.events import AudioChunk, Frame

FLASH_S = 1.2


def play(clip: Clip, until: Callable[[], bool] = lambda: False) -> tuple[list[Frame], list[AudioChunk]]:
    """Read both tracks, each on its thread as the daemon does, to the end or until told."""
    frames: list[Frame] = []
    chunks: list[AudioChunk] = []

    def read_all(device: Camera | Microphone, into: list[Frame] | list[AudioChunk]) -> None:
        device.open()
        try:
            while not until():
                into.append(device.read())  # type: ignore[arg-type]
        except EndOfClipError:
            pass
        finally:
            device.close()

    assert clip.camera is not None
    assert clip.microphone is not None
    threads = [
        threading.Thread(target=read_all, args=(clip.camera, frames), daemon=True),
        threading.Thread(target=read_all, args=(clip.microphone, chunks), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return frames, chunks


def flashes(frames: list[Frame]) -> list[float]:
    """Return when the picture turned from dark to bright."""
    bright = np.array([frame.image.mean() > 128 for frame in frames])
    return [frames[i + 1].captured_at for i in np.flatnonzero(bright[1:] & ~bright[:-1])]


def beeps(chunks: list[AudioChunk]) -> list[float]:
    """Return when the sound turned from quiet to loud, to the sample."""
    samples = np.concatenate([chunk.samples for chunk in chunks])
    times = np.concatenate([chunk.captured_at - np.arange(chunk.samples.size - 1, -1, -1) / 16_000 for chunk in chunks])
    loud = np.flatnonzero(np.abs(samples) > 4000)
    starts = loud[np.diff(loud, prepend=-16_000) > 8_000]
    return [float(times[i]) for i in starts]
