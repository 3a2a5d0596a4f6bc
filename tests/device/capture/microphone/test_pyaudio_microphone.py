"""Real PortAudio over a real sound server."""

from __future__ import annotations

import sys
import time
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyaudio
import pytest
from numpy.typing import NDArray
from scipy.signal import correlate, fftconvolve, resample_poly

from affectd.capture.microphone import block_queue, portaudio, stream
from affectd.capture.microphone.pyaudio_microphone import PyAudioMicrophone
from affectd.errors import CaptureError
from affectd.events import AudioChunk
from support.media import read_wav, speak
from support.sound_server import SoundServer
from support.waiting import DEADLINE_S


@pytest.fixture
def microphone(sound_server: SoundServer) -> Iterator[PyAudioMicrophone]:
    device = PyAudioMicrophone("default", timeout_s=10)
    yield device
    device.close()


def hear(microphone: PyAudioMicrophone, seconds: float) -> list[AudioChunk]:
    chunks: list[AudioChunk] = []
    while sum(chunk.samples.size for chunk in chunks) < seconds * 16_000:
        chunks.append(microphone.read())
    return chunks


def likeness(heard: NDArray[np.int16], played: NDArray[np.float64]) -> float:
    """Return the highest normalized correlation of what was played with any segment of what was heard."""
    signal, pattern = heard.astype(float), played - played.mean()
    energy = fftconvolve(signal**2, np.ones(pattern.size), "valid")
    peaks = np.abs(correlate(signal, pattern, "valid", method="fft"))
    return float(np.max(peaks / np.sqrt(np.maximum(energy, 1.0) * np.sum(pattern**2))))


def played_speech(path: Path) -> NDArray[np.float64]:
    rate, samples = read_wav(path)
    return np.asarray(resample_poly(samples.astype(float), 320, rate * 320 // 16_000), float)


def test_speech_that_is_played_is_heard(
    microphone: PyAudioMicrophone, sound_server: SoundServer, tmp_path: Path
) -> None:
    wav = speak(tmp_path / "speech.wav", "Good morning. How are you today?")
    microphone.open()
    first = microphone.read()
    sound_server.play(wav)
    played = played_speech(wav)
    chunks = hear(microphone, played.size / 16_000 + 3)
    now = time.monotonic()

    assert {(chunk.samples.dtype, chunk.sample_rate) for chunk in chunks} == {(np.dtype(np.int16), 16_000)}
    assert likeness(np.concatenate([chunk.samples for chunk in chunks]), played) > 0.9
    assert sum(chunk.lost for chunk in chunks) == 0
    times = [first.captured_at] + [chunk.captured_at for chunk in chunks]
    assert times == sorted(times)
    assert now - DEADLINE_S < times[-1] <= now + 0.1


def test_a_killed_server_is_an_error_and_a_restarted_one_is_heard_again(
    microphone: PyAudioMicrophone, sound_server: SoundServer
) -> None:
    microphone.open()
    microphone.read()
    sound_server.kill()
    with pytest.raises(CaptureError, match="sound server"):  # another sentence than that of the timeout
        hear(microphone, 60)
    with pytest.raises(CaptureError):
        microphone.open()

    sound_server.restart()
    microphone.open()
    assert microphone.read().samples.size > 0


def test_a_source_that_goes_quiet_is_an_error_after_the_timeout(sound_server: SoundServer) -> None:
    microphone = PyAudioMicrophone("default", timeout_s=3)
    microphone.open()
    microphone.read()
    sound_server.suspend()
    with pytest.raises(CaptureError, match="no sound data for 3 s"):
        hear(microphone, 60)
    microphone.close()


def test_a_frozen_server_costs_the_timeouts_in_every_call_and_is_heard_again(
    sound_server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    microphone = PyAudioMicrophone("default", timeout_s=2)
    microphone.open()
    microphone.read()
    sound_server.freeze()
    with pytest.raises(CaptureError, match="no sound data for 2 s"):
        hear(microphone, 60)
    began = time.monotonic()
    microphone.close()
    with monkeypatch.context() as hurried:
        hurried.setattr(stream, "START_S", 0.0)
        for _ in range(2):
            with pytest.raises(CaptureError, match="has not answered for 2 s; does the sound server hang"):
                microphone.open()
    assert time.monotonic() - began < 15
    sound_server.thaw()
    microphone.open()
    assert microphone.read().samples.size > 0
    microphone.close()


def test_sound_that_was_not_read_in_time_is_counted(
    microphone: PyAudioMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portaudio, "QUEUE_S", 0.5)
    microphone.open()
    first = hear(microphone, 2)[-1]  # the first blocks' times are not settled
    time.sleep(3)
    chunks = hear(microphone, 2)

    lost = sum(chunk.lost for chunk in chunks)
    assert lost > 16_000
    # Samples heard and samples lost together fill the time that passed.
    passed_s = chunks[-1].captured_at - first.captured_at
    heard = sum(chunk.samples.size for chunk in chunks)
    assert (heard + lost) / 16_000 == pytest.approx(passed_s, abs=0.5)


def test_a_jump_of_the_capture_time_is_a_gap_and_jitter_is_not() -> None:
    queue = block_queue.BlockQueue(1000, 16_000, pyaudio.paInputOverflow)
    skipped_s = 0.0
    for i in range(100):
        if i == 60:
            skipped_s = 0.5
        adc = 7.0 + i * 0.1 + skipped_s + (0.1 if i % 7 == 0 else 0.0) + i * 1e-5
        times = {"input_buffer_adc_time": adc, "current_time": adc + 0.1}
        queue.on_audio(bytes(3200), 1600, times, pyaudio.paInputOverflow if i == 30 else 0)
    lost = [queue.blocks.get_nowait().lost for _ in range(100)]
    assert lost[30] == 1  # flagged, without a word about how many
    assert lost[60] == pytest.approx(8000, abs=1600)
    assert sum(lost) == lost[30] + lost[60]


def test_closing_and_opening_again_works(microphone: PyAudioMicrophone) -> None:
    for _ in range(2):
        microphone.open()
        assert microphone.read().samples.size > 0
        microphone.close()
        microphone.close()
    with pytest.raises(CaptureError, match="not open"):
        microphone.read()


def test_an_unknown_device_is_named_with_those_seen(sound_server: SoundServer) -> None:
    with pytest.raises(CaptureError, match=r"microphone kiosk: not found; inputs seen: .*default"):
        PyAudioMicrophone("kiosk", timeout_s=1).open()
    assert "default" in {device.name for device in portaudio.list_inputs()}


def test_without_pyaudio_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(CaptureError, match="pip install pyaudio"):
        PyAudioMicrophone("default", timeout_s=1).open()


ARRAY_HZ = (300, 500, 700, 1_100, 1_300, 1_700)
"""What each channel of the array hears, Hz."""


def pitch(samples: NDArray[np.int16]) -> float:
    """Return the strongest frequency in (n,) samples, Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(spectrum) * 16_000 / samples.size)


def play_to_the_array(sound_server: SoundServer, path: Path, levels: Sequence[float]) -> None:
    """Play a tone of its own to each channel, of these levels in steps of 16 bits; the file has 32."""
    seconds = np.arange(20 * 16_000) / 16_000
    tones = [level * np.sin(2 * np.pi * hz * seconds) for level, hz in zip(levels, ARRAY_HZ, strict=True)]
    with wave.open(str(path), "wb") as file:
        file.setparams((6, 4, 16_000, 0, "NONE", ""))
        file.writeframes(np.rint(np.stack(tones, axis=1) * 65_536).astype("<i4").tobytes())
    sound_server.play(path)


def test_an_array_of_32_bits_is_heard_at_the_channel_that_is_chosen(tmp_path: Path) -> None:
    with SoundServer(channels=6, sample_format="s32le") as sound_server:
        play_to_the_array(sound_server, tmp_path / "array.wav", (0.2, 200, 0.2, 0.2, 0.2, 0.2))
        for channel, gain_db, hz, peak in (("5", 60, ARRAY_HZ[4], 200), ("loudest", 0, ARRAY_HZ[1], 200)):
            microphone = PyAudioMicrophone("default", timeout_s=10, channel=channel, gain_db=gain_db)
            microphone.open()
            hear(microphone, 0.5)  # the server needs a moment
            heard = np.concatenate([chunk.samples for chunk in hear(microphone, 1)])[:16_000]
            microphone.close()
            assert pitch(heard) == hz
            # A fifth of a 16-bit step, amplified a thousand times, is still a clean tone.
            assert np.abs(heard).max() == pytest.approx(peak, rel=0.1)
            spectrum = np.abs(np.fft.rfft(heard))
            assert np.delete(spectrum, range(round(hz) - 2, round(hz) + 3)).max() < 0.02 * spectrum.max()


def test_a_channel_that_the_device_lacks_is_refused_with_what_it_has(sound_server: SoundServer) -> None:
    with pytest.raises(CaptureError, match=r"microphone.channel is 64, but 'default' has \d+; `affectd microphones`"):
        PyAudioMicrophone("default", timeout_s=5, channel="64").open()
