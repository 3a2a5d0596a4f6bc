"""An array of six channels: written to a file to be played, or heard through affectd's microphone."""

from __future__ import annotations

import sys
import wave

import numpy as np

sys.path.insert(0, "/checkout/device")

from affectd.capture.microphone.pyaudio_microphone import PyAudioMicrophone
from affectd.errors import CaptureError

RATE, SECONDS = 48_000, 120
LOUD = 4
AMPLITUDES = [0.1 if number == LOUD else 0.003 for number in range(1, 7)]


def hertz(channel: int) -> int:
    return 250 + 100 * channel


def write(path: str) -> None:
    times = np.arange(RATE) / RATE
    tones = [level * np.sin(2 * np.pi * hertz(number) * times) for number, level in enumerate(AMPLITUDES, 1)]
    with wave.open(path, "wb") as file:
        file.setparams((6, 2, RATE, 0, "NONE", ""))
        second = np.rint(np.stack(tones, axis=1) * 32_767).astype("<i2").tobytes()
        file.writeframes(second * SECONDS)


def hear(source: str, channel: str) -> tuple[int, float]:
    """Return the pitch, Hz, and the level, decibels of full scale for a sine."""
    microphone = PyAudioMicrophone(source, timeout_s=10, channel=channel, high_pass_hz=20)
    microphone.open()
    try:
        heard = np.concatenate([microphone.read().samples for _ in range(30)])[-16_000:].astype(np.float64)
    finally:
        microphone.close()
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(heard.size)))
    return int(np.argmax(spectrum)), float(20 * np.log10(np.sqrt(2 * np.mean(heard**2)) / 32_768 + 1e-9))


def main() -> int:
    if sys.argv[1] == "write":
        write(sys.argv[2])
        return 0
    wrong = 0
    for channel, number in (("loudest", LOUD), ("2", 2), (str(LOUD), LOUD), ("5", 5)):
        try:
            pitch, level = hear("pulse", channel)
        except CaptureError as fault:
            print(f"channel {channel:8} {fault}", flush=True)
            wrong += 1
            continue
        right = abs(pitch - hertz(number)) <= 1 and abs(level - 20 * np.log10(AMPLITUDES[number - 1])) < 1
        wrong += not right
        print(f"channel {channel:8} {pitch} Hz {level:.0f} dBFS{'' if right else ' WRONG'}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
