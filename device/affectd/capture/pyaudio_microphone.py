"""A microphone through PyAudio (PortAudio), read by callback so that nothing blocks on a dead device."""

from __future__ import annotations

import contextlib
import ctypes
import queue
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from affectd.capture.resample import SAMPLE_RATE, MonoResampler
from affectd.errors import CaptureError
from affectd.events import AudioChunk

QUEUE_S = 5.0
"""Sound kept between the callback and read(); what does not fit is counted as lost."""
GAP_S = 0.25
"""Capture times that run this far ahead of the samples mean that samples are missing."""
SETTLE_S = 2.0
"""A sound server's capture times wander by some 0.3 s after opening."""
POLL_S = 0.25
"""How often a waiting read() looks whether the stream is still active."""


class PyAudioMicrophone:
    """An input device of PortAudio: 'default', or the first whose name contains `device_name`.

    It is asked for mono at 16 kHz; a device that refuses is opened as it likes and converted.
    """

    def __init__(self, device_name: str, *, timeout_s: float, chunk_s: float = 0.1) -> None:
        self._device_name = device_name
        self._timeout_s = timeout_s
        self._chunk_s = chunk_s
        self._audio: Any = None
        self._stream: Any = None
        self._sample_rate = SAMPLE_RATE
        self._resampler = MonoResampler(SAMPLE_RATE, 1)
        self._channels = 1
        self._inbox = _Inbox(1, SAMPLE_RATE, 1)
        self.name = f"microphone {device_name}"

    def open(self) -> None:
        """Open the device and start capturing. Raises CaptureError."""
        self.close()
        library = _pyaudio()
        # PortAudio lists devices once, at its start: a fresh one sees what was plugged in since.
        self._audio = library.PyAudio()
        try:
            device = self._find_device()
            self._sample_rate, self._channels = self._choose_format(device, library.paInt16)
            self._resampler = MonoResampler(self._sample_rate, self._channels)
            self._inbox = _Inbox(ceil(QUEUE_S / self._chunk_s), self._sample_rate, library.paInputOverflow)
            self._stream = self._audio.open(
                rate=self._sample_rate,
                channels=self._channels,
                format=library.paInt16,
                input=True,
                input_device_index=int(device["index"]),
                frames_per_buffer=round(self._sample_rate * self._chunk_s),
                stream_callback=self._inbox.on_audio,
            )
        except (OSError, ValueError) as error:
            self.close()
            raise CaptureError(
                f"{self.name}: cannot be opened ({error}); is it plugged in, and is the sound server running?"
            ) from error
        except CaptureError:
            self.close()
            raise

    def read(self) -> AudioChunk:
        """Wait for the next chunk; (n,) int16 mono at 16 kHz. Raises CaptureError."""
        block = self._next_block()
        lost = round(block.lost * SAMPLE_RATE / self._sample_rate)
        if lost:
            self._resampler = MonoResampler(self._sample_rate, self._channels)
        samples = self._resampler.process(np.frombuffer(block.data, np.int16))
        return AudioChunk(samples, SAMPLE_RATE, block.captured_at, lost)

    def close(self) -> None:
        """Release the device; harmless when not open."""
        stream, self._stream = self._stream, None
        audio, self._audio = self._audio, None
        # A stream whose device is gone may refuse to be closed; terminating lets go of it all the same.
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
        if audio is not None:
            audio.terminate()

    def _next_block(self) -> _Block:
        if self._stream is None:
            raise CaptureError(f"{self.name}: not open")
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._inbox.blocks.get(timeout=POLL_S)
            except queue.Empty:
                pass
            # An unplugged card or a suspended source leaves the stream active and merely goes silent.
            if not self._is_active():
                raise CaptureError(f"{self.name}: the device stopped; was it unplugged, or the sound server stopped?")
            if time.monotonic() >= deadline:
                raise CaptureError(
                    f"{self.name}: no sound data for {self._timeout_s:g} s; was it unplugged or suspended?"
                )

    def _is_active(self) -> bool:
        try:
            return bool(self._stream.is_active())
        except OSError:
            return False

    def _find_device(self) -> Mapping[str, Any]:
        inputs = _inputs(self._audio)
        if self._device_name == "default":
            with contextlib.suppress(OSError):
                default: Mapping[str, Any] = self._audio.get_default_input_device_info()
                return default
        for device in inputs:
            if self._device_name.lower() in str(device["name"]).lower():
                return device
        seen = ", ".join(str(device["name"]) for device in inputs) or "none"
        raise CaptureError(
            f"{self.name}: not found; inputs seen: {seen}; is it plugged in, and is the user in the group "
            "'audio'? see README, Microphones"
        )

    def _choose_format(self, device: Mapping[str, Any], sample_format: int) -> tuple[int, int]:
        """Give the first (rate, channels) that the device takes, best first."""
        most = int(device["maxInputChannels"])
        formats = [
            (rate, channels)
            for rate in (SAMPLE_RATE, int(device["defaultSampleRate"]))
            for channels in sorted({1, min(2, most), most})
        ]
        for rate, channels in formats:
            with contextlib.suppress(ValueError):
                self._audio.is_format_supported(
                    rate,
                    input_device=int(device["index"]),
                    input_channels=channels,
                    input_format=sample_format,
                )
                return rate, channels
        raise CaptureError(
            f"{self.name}: '{device['name']}' takes neither {SAMPLE_RATE} Hz nor its own default rate; another "
            "program may hold it"
        )


def list_microphones() -> list[str]:
    """Name PortAudio's input devices. Raises CaptureError without PyAudio."""
    audio = _pyaudio().PyAudio()
    try:
        return [str(device["name"]) for device in _inputs(audio)]
    finally:
        audio.terminate()


@dataclass(frozen=True, slots=True)
class _Block:
    """What one callback brought, still at the device's rate and channels."""

    data: bytes
    captured_at: float
    lost: int


class _Inbox:
    """The callback's side of one opening: queues blocks and counts what is missing between them."""

    def __init__(self, capacity: int, sample_rate: int, overflow_flag: int) -> None:
        self.blocks: queue.Queue[_Block] = queue.Queue(capacity)
        self._sample_rate = sample_rate
        self._overflow_flag = overflow_flag
        self._lost = 0
        self._captured = 0
        self._lead: float | None = None
        self._captured_at = 0.0

    def on_audio(self, data: bytes, frames: int, times: Mapping[str, float], status: int) -> tuple[None, int]:
        """Take a block from PortAudio's thread; never blocks."""
        missing = self._missing(frames, times["input_buffer_adc_time"])
        if status & self._overflow_flag:
            missing = max(missing, 1)
        self._lost += missing
        try:
            self.blocks.put_nowait(_Block(data, self._time_of(times), self._lost))
            self._lost = 0
        except queue.Full:
            self._lost += frames
        return None, 0  # paContinue

    def _missing(self, frames: int, adc_time: float) -> int:
        """Estimate the frames lost before this block: how far its capture time leads the sample count."""
        lead = adc_time - self._captured / self._sample_rate
        self._captured += frames
        if self._lead is None or self._captured < SETTLE_S * self._sample_rate:
            self._lead = lead
            return 0
        gap_s = lead - self._lead
        if gap_s > GAP_S:
            self._lead = lead
            return round(gap_s * self._sample_rate)
        # Two clocks drift apart: follow slowly, so that only a jump is a gap.
        self._lead += 0.01 * gap_s
        return 0

    def _time_of(self, times: Mapping[str, float]) -> float:
        """Put the block on the monotonic clock; after a stall, blocks arrive in a burst but age differently."""
        age_s = times["current_time"] - times["input_buffer_adc_time"]
        if not 0 <= age_s <= QUEUE_S:  # a host API without capture times gives 0
            age_s = 0.0
        self._captured_at = max(self._captured_at, time.monotonic() - age_s)
        return self._captured_at


def _inputs(audio: Any) -> list[Mapping[str, Any]]:
    devices = [audio.get_device_info_by_index(i) for i in range(audio.get_device_count())]
    return [device for device in devices if device["maxInputChannels"] > 0]


def _pyaudio() -> Any:
    try:
        import pyaudio
    except ImportError as error:
        raise CaptureError(
            f"microphone: PyAudio is not installed ({error}); run `apt install portaudio19-dev` and "
            "`pip install 'affectd[mic]'`"
        ) from error
    _silence_alsa()
    return pyaudio


def _ignore(*_args: object) -> None:
    """Take the place of ALSA's error printer."""


_IGNORE = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)(_ignore)
"""Kept here because ALSA holds only its address."""


def _silence_alsa() -> None:
    """Keep ALSA from printing a page of lookups that fail on every machine; PortAudio still reports."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_IGNORE)
