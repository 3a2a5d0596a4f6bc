"""The voice path: sound in, every half second whether somebody speaks and with what emotion."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from affectd.errors import CaptureError
from affectd.events import VOICE_UNREAD, AudioChunk, Probabilities, VoiceReading
from affectd.resample import SAMPLE_RATE
from affectd.voice.activity import Activity, VoiceActivity, somebody_speaks, speech_snr_db
from affectd.voice.features import FloatArray, VoiceFeatures
from affectd.voice.sound_check import at_full_scale
from affectd.voice.speech_frames import SpeechFrameExtractor

SHORTEST_S = 1.0
"""Sound needed before the first reading; the rest of the window is padding."""
FULL_ACTIVITY = 0.5
"""Share of speech in the window from which more does not raise the quality."""
FULL_SNR_DB = 20.0
"""SNR from which more does not raise the quality."""
HALF_CLIPPED = 0.07
"""Share of cut-off samples at which half of the accuracy above chance is lost (240 clips of
RAVDESS, overdriven: 0.7 % cut off cost an eighth of it, 4.5 % two fifths, 11 % three fifths)."""


class VoiceModel(Protocol):
    """The speech emotion classifier."""

    def probabilities(self, x: FloatArray) -> Probabilities | None:
        """Return calibrated probabilities (8) in the order of VOICE_LABELS for an input, the batch of 1 first.

        None: it does not know.
        """


@dataclass(frozen=True, slots=True)
class VoiceTimings:
    """What the stages of one hop took, milliseconds."""

    features: float
    gate: float
    """Voice activity, but for its network."""
    network: float
    """That of voice activity; 0 when its network did not run."""
    window: float
    """What features are computed only when somebody speaks, and their normalization; 0 when nobody spoke."""
    classify: float
    """0 when nobody spoke."""


@dataclass
class VoiceReader:
    """Reads emotion from a stream of sound, hop by hop. Not thread-safe."""

    model: VoiceModel
    features: VoiceFeatures
    activity: VoiceActivity
    input_shape: tuple[int, ...] = ()
    """Of the network, which may arrange the features' values with further axes of one; empty: as the features are."""
    hop_s: float = 0.5
    min_snr_db: float = -10.0
    """A voice that is less over the background is taken for none."""
    gaps: int = field(default=0, init=False)
    """Gaps in the sound so far; each one emptied the window."""
    speech_s: float = field(default=0.0, init=False)
    """Seconds of speech so far."""
    last_timings: VoiceTimings | None = field(default=None, init=False)
    """Of the newest hop; None before the first."""

    _heard: int = field(init=False)
    """Samples since the window was last emptied."""
    _missing: int = field(init=False)
    """Samples until the hop ends."""
    _unread: int = field(init=False)
    """Frames since the last reading."""
    _waiting: list[NDArray[np.int16]] = field(init=False)
    """Sound since the last hop: in one piece it takes two thirds of the time of five."""

    def __post_init__(self) -> None:
        self._frames = SpeechFrameExtractor()
        self._stream = self.features.stream()
        self._size = round(self.features.window_s / self._frames.settings.hop_s)
        self._hop = max(1, round(self.hop_s * SAMPLE_RATE))
        self._start_window()

    def reset(self) -> None:
        """Forget the stream, the background too: for a microphone opened again."""
        self.activity.reset()
        self._start_window()

    def feed(self, chunk: AudioChunk) -> list[VoiceReading]:
        """Take the next samples, in chunks of any size; return a reading for every hop that ends in them.

        Raises CaptureError when the sample rate is not 16 kHz.
        """
        if chunk.sample_rate != SAMPLE_RATE:
            raise CaptureError(
                f"voice: the microphone delivers {chunk.sample_rate} samples a second, "
                f"but the voice path needs {SAMPLE_RATE}"
            )
        if chunk.lost > 0:
            self.gaps += 1
            self._listen()
            self.activity.skip()
            self._start_window()
        readings: list[VoiceReading] = []
        samples = chunk.samples
        while len(samples) >= self._missing:
            part, samples = samples[: self._missing], samples[self._missing :]
            self._waiting.append(part)
            self._listen()
            self._missing = self._hop
            if self._heard >= SHORTEST_S * SAMPLE_RATE:
                # The hop ended before the samples that came after it.
                readings.append(self._read(chunk.captured_at - len(samples) / chunk.sample_rate))
            self._feature_s = self._activity_s = self._network_s = 0.0
        self._waiting.append(samples)
        self._missing -= len(samples)
        return readings

    def read_rest(self, at: float) -> VoiceReading | None:
        """Return the reading of what the window holds at `at` seconds, the end of the sound, however little it is.

        None when that is less than a frame.
        """
        self._listen()
        return self._read(at) if len(self._level) else None

    def _start_window(self) -> None:
        """Empty the window, keeping what is known of the background."""
        self._frames.reset()
        self._stream.reset()
        self._level = np.zeros(0, np.float32)
        self._speech = np.zeros(0, np.bool_)
        self._background = np.zeros(0, np.float32)
        self._clipped = np.zeros(0, np.bool_)
        self._heard = 0
        self._missing = self._hop
        self._unread = 0
        self._waiting = []
        self._feature_s = self._activity_s = self._network_s = 0.0

    def _listen(self) -> None:
        """Put the frames that the waiting sound completes at the end of the window."""
        if not self._waiting:
            return
        start = time.perf_counter()
        samples, self._waiting = np.concatenate(self._waiting), []
        self._heard += len(samples)
        frames = self._frames.extract(samples)
        self._stream.push(samples, frames)
        extracted, network_s = time.perf_counter(), self.activity.network_s
        activity = self.activity.feed(samples, frames)
        spec, size = self._frames.settings, self._size
        self.speech_s += float(activity.speech.sum()) * spec.hop_s
        self._unread += len(frames)
        self._level = np.concatenate([self._level, frames.level_db])[-size:]
        self._speech = np.concatenate([self._speech, activity.speech])[-size:]
        self._background = np.concatenate([self._background, activity.background_db])[-size:]
        self._clipped = np.concatenate([self._clipped, at_full_scale(samples)])[-size * spec.hop_length :]
        self._feature_s += extracted - start
        self._activity_s += time.perf_counter() - extracted
        self._network_s += self.activity.network_s - network_s

    def _read(self, at: float) -> VoiceReading:
        """Return the reading of the window that ends at `at` seconds."""
        start = time.perf_counter()
        activity = Activity(self._speech, self._background)
        loudness = (self._level - self._background)[-self._unread :] if self._unread else None
        self._unread = 0
        snr_db = speech_snr_db(self._level, activity)
        if snr_db is None or snr_db < self.min_snr_db or not somebody_speaks(self._speech):
            self._note_timings(start, start, start)
            return VoiceReading(at, active=False, snr_db=snr_db, quality=0.0, probabilities=None, loudness=loudness)
        window = self._stream.window()
        windowed = time.perf_counter()
        probabilities = self.model.probabilities(window.reshape(self.input_shape or (1, *window.shape)))
        self._note_timings(start, windowed, time.perf_counter())
        quality = voice_quality(float(self._speech.mean()), snr_db, float(self._clipped.mean()))
        if probabilities is None:
            quality, probabilities = 0.0, VOICE_UNREAD
        return VoiceReading(
            at, active=True, snr_db=snr_db, quality=quality, probabilities=probabilities, loudness=loudness
        )

    def _note_timings(self, start: float, windowed: float, done: float) -> None:
        activity_s = self._activity_s - self._network_s
        stages = (self._feature_s, activity_s, self._network_s, windowed - start, done - windowed)
        self.last_timings = VoiceTimings(*(1e3 * seconds for seconds in stages))


def voice_quality(active_share: float, snr_db: float, clipped_share: float = 0.0) -> float:
    """Return 0..1: the share of speech in the window times the SNR, each up to where more does not help.

    Sound that is cut off at full scale counts for less: it looks clear, and is read wrongly.
    """
    activity = min(1.0, active_share / FULL_ACTIVITY)
    clarity = float(np.clip(snr_db / FULL_SNR_DB, 0.0, 1.0))
    return activity * clarity / (1.0 + clipped_share / HALF_CLIPPED)
