"""Speech made by espeak-ng, as the microphone would deliver it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from support.media import read_wav, speak

RATE = 16_000


def speech(folder: Path, text: str) -> NDArray[np.float64]:
    """Have espeak-ng say the text; (n,) at 16,000 Hz on the scale of int16, through a WAV file in `folder`."""
    rate, samples = read_wav(speak(folder / "speech.wav", text))
    return np.asarray(resample_poly(samples.astype(np.float64), RATE, rate))
