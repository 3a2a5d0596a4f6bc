"""What a voice shows over a whole recording: the readings while somebody speaks, pooled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from affectd.events import AudioChunk, Probabilities, VoiceReading
from affectd.resample import SAMPLE_RATE
from affectd.voice.reader import VoiceReader


@dataclass(frozen=True, slots=True)
class RecordingReading:
    """What a recording holds."""

    duration_s: float
    speech_s: float
    probabilities: Probabilities | None
    """Calibrated, 8 values in the order of VOICE_LABELS; None when nobody speaks."""


def read_recording(reader: VoiceReader, chunks: Iterable[AudioChunk]) -> RecordingReading:
    """Read a whole recording; `reader` is left as after it. Raises CaptureError where the sound cannot be read.

    As when clips are evaluated, a recording counts by its whole windows, and one that is shorter as one window. Where
    no whole window has speech in it, those count that were filling up: at the start, and after gaps.
    """
    reader.reset()
    before_s, heard, gap_at = reader.speech_s, 0, 0
    rate, size_s = SAMPLE_RATE, reader.features.window_s
    whole, filling, at = _Pool(), _Pool(), 0.0
    for chunk in chunks:
        if chunk.lost > 0:
            gap_at = heard
        heard += chunk.samples.size
        at = heard / rate
        for reading in reader.feed(AudioChunk(chunk.samples, chunk.sample_rate, at, chunk.lost)):
            full = reading.captured_at - gap_at / rate >= size_s
            (whole if full else filling).add(reading)
    rest, alone = reader.read_rest(at), _Pool()
    if rest is not None and at < size_s:
        alone.add(rest)
    pooled = whole.probabilities() or alone.probabilities() or filling.probabilities()
    return RecordingReading(at, reader.speech_s - before_s if pooled else 0.0, pooled)


@dataclass
class _Pool:
    """The mean of log-probabilities, each weighing by its quality; of equal qualities it is that of the logits.

    Windows overlap and are no independent evidence, so that many of them make the answer no surer.
    """

    _weighted: NDArray[np.float64] | None = field(default=None, init=False)
    _weight: float = field(default=0.0, init=False)

    def add(self, reading: VoiceReading) -> None:
        """Take a reading; one without a voice counts for nothing."""
        if reading.probabilities is None:
            return
        logs = reading.quality * np.log(np.maximum(reading.probabilities, 1e-12))
        self._weighted = logs if self._weighted is None else self._weighted + logs
        self._weight += reading.quality

    def probabilities(self) -> Probabilities | None:
        """Return the pooled probabilities; None when no reading had a voice."""
        if self._weighted is None or self._weight <= 0:
            return None
        powers = np.exp(self._weighted / self._weight)
        return tuple((powers / powers.sum()).tolist())
