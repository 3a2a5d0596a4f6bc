"""A voice-like sound made by numpy alone, the same on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16_000


def voice_like(seconds: float) -> NDArray[np.int16]:
    """Return a gliding voice at 16,000 Hz that speaks and pauses, before faint noise."""
    times = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (140 * times + 3 * np.sin(3 * times))
    voice = sum(np.sin(k * phase) / k for k in range(1, 12)) * (np.sin(np.pi * times) > -0.3)
    noise = np.random.default_rng(0).integers(-20, 21, len(times))
    return (3000 * voice + noise).astype(np.int16)
