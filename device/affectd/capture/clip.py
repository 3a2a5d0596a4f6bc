"""A recorded clip that stands in for a camera and a microphone, in step, at its pace or at full speed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from affectd.capture.clip_clock import ClipClock
from affectd.capture.clip_file import ClipFile, Imager, Picture, probe_clip
from affectd.capture.frame_check import shape_fault
from affectd.capture.frame_rate_limiter import FrameRateLimiter
from affectd.capture.protocols import CameraMode, EndOfClipError
from affectd.errors import CaptureError
from affectd.events import AudioChunk, Frame
from affectd.resample import SAMPLE_RATE

CHUNK = SAMPLE_RATE // 10
"""Samples in one chunk: 0.1 s."""
GAP_S = 0.05
"""Sound whose time stamp leads by more than this has samples missing before it."""

Item = TypeVar("Item")


class Clip:
    """A clip with `.camera` and `.microphone`; a track it lacks is None.

    `realtime`: read() waits until the media time is due; else it goes as fast as it is read, the two
    tracks, once both are open, within a second of each other. `loop`: begin again at the end, media time
    still rising. A track that is first opened later than the other begins at the clip's start all the same
    (in real time only when less than a second late); one that is closed and opened again goes on where the
    clip is. Captured times are the instant of the first open plus the media time. `pixel_aspect`, width over
    height of a pixel, overrides the aspect that the file signals.
    """

    def __init__(
        self, path: Path, *, realtime: bool, loop: bool, fps: float, pixel_aspect: Fraction | None = None
    ) -> None:
        """Read what the file holds. Raises CaptureError in one sentence when it is no good."""
        file = probe_clip(path)
        clock = ClipClock(realtime=realtime)
        self.camera = ClipCamera(file, clock, loop=loop, fps=fps, pixel_aspect=pixel_aspect) if file.has_video else None
        self.microphone = ClipMicrophone(file, clock, loop=loop) if file.has_audio else None


class _Track(ABC, Generic[Item]):
    """Opening, looping and ending, the same for both tracks."""

    def __init__(self, file: ClipFile, clock: ClipClock, *, loop: bool) -> None:
        self._file = file
        self._clock = clock
        self._loop = loop
        self._items: Generator[Item, None, None] | None = None
        self.name = f"clip {file.path.name}"

    def open(self) -> None:
        """Begin, or go on where the clip's clock stands by now."""
        self.close()
        self._items = self._play(self._clock.join(self))

    def close(self) -> None:
        """Stop; harmless when not open."""
        if self._items is not None:
            self._items.close()
            self._items = None
        self._clock.leave(self)

    @abstractmethod
    def _play(self, start_s: float) -> Generator[Item, None, None]:
        """Return what the track holds from this media time on."""

    def _next(self) -> Item:
        if self._items is None:
            raise CaptureError(f"{self.name}: not open")
        try:
            return next(self._items)
        except StopIteration:
            self._clock.leave(self)
            raise EndOfClipError(self.name) from None
        except CaptureError:
            self.close()
            raise

    def _passes(self, start_s: float) -> Iterator[tuple[float, float]]:
        """Return (media time at which this pass through the file began, where in the file to start)."""
        if not self._loop:
            yield 0.0, start_s
            return
        turn, offset_s = divmod(start_s, self._file.duration_s)
        while True:
            yield turn * self._file.duration_s, offset_s
            turn, offset_s = turn + 1, 0.0


class ClipCamera(_Track[tuple[float, Picture]]):
    """The clip's pictures, thinned to about `fps` a second."""

    def __init__(
        self, file: ClipFile, clock: ClipClock, *, loop: bool, fps: float, pixel_aspect: Fraction | None
    ) -> None:
        super().__init__(file, clock, loop=loop)
        self._fps = fps
        self._imager = Imager(pixel_aspect)
        self._number = 0
        self.colour = True
        """Whether pictures are wanted in colour; grey ones cost less."""

    @property
    def mode(self) -> CameraMode | None:
        """None: nothing is negotiated with a clip."""
        return None

    def open(self) -> None:
        """Begin, or go on where the clip's clock stands by now."""
        super().open()
        self._number = 0

    def read(self) -> Frame:
        """Return the next frame when it is due. Raises CaptureError, EndOfClipError."""
        media_time, picture = self._next()
        captured_at = self._clock.wait_for(self, media_time)
        self._number += 1
        image = self._imager.image(picture, colour=self.colour)
        if fault := shape_fault(image):
            raise CaptureError(f"{self.name}: has {fault}")
        return Frame(image, captured_at, self._number)

    def _play(self, start_s: float) -> Generator[tuple[float, Picture], None, None]:
        limiter = FrameRateLimiter(self._fps)
        for began_s, offset_s in self._passes(start_s):
            for time_s, picture in self._file.pictures(offset_s):
                if self._loop and time_s >= self._file.duration_s:
                    break
                if limiter.take(began_s + time_s):
                    yield began_s + time_s, picture


class ClipMicrophone(_Track[tuple[float, NDArray[np.int16], int]]):
    """The clip's sound in chunks of 0.1 s."""

    def read(self) -> AudioChunk:
        """Return the next chunk when its last sample is due. Raises CaptureError, EndOfClipError."""
        media_time, samples, lost = self._next()
        return AudioChunk(samples, SAMPLE_RATE, self._clock.wait_for(self, media_time), lost)

    def _play(self, start_s: float) -> Generator[tuple[float, NDArray[np.int16], int], None, None]:
        """Return (media time of the last sample, samples, samples lost before them)."""
        pending = np.empty(0, np.int16)
        end_s: float | None = None
        lost = 0
        for time_s, samples in self._blocks(start_s):
            gap_s = 0.0 if end_s is None else time_s - end_s
            if end_s is None or gap_s > GAP_S:
                if end_s is not None and pending.size:
                    yield end_s, pending, lost
                pending, lost, end_s = samples, round(gap_s * SAMPLE_RATE), time_s
            else:
                pending = np.concatenate([pending, samples])
            end_s += samples.size / SAMPLE_RATE
            while pending.size >= CHUNK:
                yield end_s - (pending.size - CHUNK) / SAMPLE_RATE, pending[:CHUNK], lost
                pending, lost = pending[CHUNK:], 0
        if end_s is not None and pending.size:
            yield end_s, pending, lost

    def _blocks(self, start_s: float) -> Iterator[tuple[float, NDArray[np.int16]]]:
        """Return the decoded sound on the media clock; between two turns of a loop it is silent."""
        end_s = start_s
        for began_s, offset_s in self._passes(start_s):
            seam = began_s > start_s
            turn_ends_s = began_s + self._file.duration_s
            for in_file_s, samples in self._file.sound(offset_s):
                time_s, kept = began_s + in_file_s, samples
                if self._loop:
                    kept = samples[: max(0, round((turn_ends_s - time_s) * SAMPLE_RATE))]
                if seam and time_s > end_s:
                    yield end_s, np.zeros(round((time_s - end_s) * SAMPLE_RATE), np.int16)
                seam = False
                if kept.size:
                    yield time_s, kept
                    end_s = time_s + kept.size / SAMPLE_RATE
