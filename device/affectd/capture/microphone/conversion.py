"""From what a device's stream brings, of any sample type, rate and channel count, to mono int16 at 16 kHz."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from affectd.capture.microphone.channels import ChannelChoice
from affectd.capture.microphone.high_pass import HighPass
from affectd.capture.microphone.portaudio import StreamFormat
from affectd.resample import SAMPLE_RATE, Resampler, as_int16


class Conversion:
    """The channel that is chosen, resampled, without DC and rumble, amplified, and rounded once, at the end."""

    def __init__(self, layout: StreamFormat, *, channel: str, gain_db: float, high_pass_hz: float) -> None:
        self._layout = layout
        self._choice = ChannelChoice(channel, layout.channels, layout.rate)
        self._resampler = Resampler(layout.rate)
        self._high_pass = HighPass(high_pass_hz, SAMPLE_RATE)
        self._gain = np.float32(10 ** (gain_db / 20))

    def process(self, data: bytes) -> NDArray[np.int16]:
        """Return all (m,) samples that are complete by now; beyond full scale they are cut off."""
        samples = self._resampler.process(self._choice.mono(frames_of(data, self._layout)))
        return as_int16(self._high_pass.process(samples) * self._gain)

    def skip(self) -> None:
        """Go on after a gap: what the resampler still holds of before does not belong to what follows."""
        self._resampler = Resampler(self._layout.rate)


def frames_of(data: bytes, layout: StreamFormat) -> NDArray[np.float32]:
    """Return (n, channels) samples in units of 16 bits' least; what has more bits keeps 24 of them."""
    if layout.sample_type == "int24":
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = padded.view("<i4")[:, 0]
    else:
        samples = np.frombuffer(data, layout.sample_type)
    unit = {"int16": 1, "int24": 2**-16, "int32": 2**-16, "float32": 32_768}[layout.sample_type]
    return samples.astype(np.float32).reshape(-1, layout.channels) * np.float32(unit)
