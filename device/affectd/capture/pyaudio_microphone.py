"""A microphone through PyAudio (PortAudio), read by callback so that nothing blocks on a dead device."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import queue
import sys
import time
from collections.abc import Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from affectd.capture.driver_thread import DriverThread
from affectd.capture.resample import SAMPLE_RATE, MonoResampler
from affectd.capture.sound_inbox import QUEUE_S, Block, Inbox
from affectd.errors import CaptureError
from affectd.events import AudioChunk

log = logging.getLogger(__name__)

POLL_S = 0.25
"""How often a waiting read() looks whether the stream is still active."""
START_S = 3.0
"""Opening and the first block may take this much longer than a block in between: a sound server takes its time."""
CLOSE_S = 1.5

_PORTAUDIO = DriverThread("PortAudio")
"""PortAudio must not be called from two threads at once, whatever the number of microphones."""
_FORMATS_SAID: set[str] = set()


class PyAudioMicrophone:
    """An input device of PortAudio: 'default', or the first whose name contains `device_name`.

    It is asked for mono at 16 kHz; a device that refuses is opened as it likes and converted. A sound server
    that hangs, in whatever call, costs the time that `timeout_s` allows, and is tried again.
    """

    def __init__(self, device_name: str, *, timeout_s: float, chunk_s: float = 0.1) -> None:
        self._device_name = device_name
        self._timeout_s = timeout_s
        self._chunk_s = chunk_s
        self._capture: _Capture | None = None
        self._resampler = MonoResampler(SAMPLE_RATE, 1)
        self._first_by: float | None = None
        """Until when the first block may come; None once it has."""
        self.name = f"microphone {device_name}"

    def open(self) -> None:
        """Open the device and start capturing. Raises CaptureError."""
        self.close()
        patience_s = self._timeout_s + START_S
        self._first_by = time.monotonic() + patience_s
        opening = _PORTAUDIO.post(self._start)
        try:
            self._capture = opening.result(patience_s)
        except FutureTimeoutError:
            if not opening.cancel():  # it may yet succeed
                _PORTAUDIO.post(lambda: opening.result().shut())
            raise CaptureError(
                f"{self.name}: the sound system has not answered for {patience_s:g} s; does the sound server hang?"
            ) from None
        self._resampler = MonoResampler(self._capture.sample_rate, self._capture.channels)

    def read(self) -> AudioChunk:
        """Wait for the next chunk; (n,) int16 mono at 16 kHz. Raises CaptureError."""
        if self._capture is None:
            raise CaptureError(f"{self.name}: not open")
        block = self._next_block(self._capture)
        lost = round(block.lost * SAMPLE_RATE / self._capture.sample_rate)
        if lost:
            self._resampler = MonoResampler(self._capture.sample_rate, self._capture.channels)
        samples = self._resampler.process(np.frombuffer(block.data, np.int16))
        return AudioChunk(samples, SAMPLE_RATE, block.captured_at, lost)

    def close(self) -> None:
        """Release the device; harmless when not open. From now on nothing that it hears is taken."""
        capture, self._capture = self._capture, None
        if capture is None:
            return
        capture.inbox.closed = True
        try:
            _PORTAUDIO.post(capture.shut).result(CLOSE_S)
        except FutureTimeoutError:
            log.warning("%s: is closed as soon as the sound system answers again; nothing more is heard", self.name)

    def _next_block(self, capture: _Capture) -> Block:
        deadline = self._first_by or time.monotonic() + self._timeout_s
        while True:
            try:
                block = capture.inbox.blocks.get(timeout=POLL_S)
            except queue.Empty:
                pass
            else:
                self._first_by = None
                return block
            # An unplugged card, a suspended source or a server that hangs leaves the stream active but silent.
            if not capture.active:
                raise CaptureError(f"{self.name}: the device stopped; was it unplugged, or the sound server stopped?")
            if time.monotonic() >= deadline:
                raise CaptureError(
                    f"{self.name}: no sound data for {self._timeout_s:g} s; was it unplugged or suspended, or does "
                    "the sound server hang?"
                )

    # On PortAudio's thread.

    def _start(self) -> _Capture:
        library = _pyaudio()
        audio = None
        try:
            # PortAudio lists devices once, at its start: a fresh one sees what was plugged in since.
            audio = library.PyAudio()
            device = self._find_device(audio)
            capture = self._open_stream(library, audio, device)
        except (OSError, CaptureError) as error:
            if audio is not None:
                audio.terminate()
            if isinstance(error, CaptureError):
                raise
            raise CaptureError(f"{self.name}: the sound system cannot be used ({error}); is it running?") from error
        self._say_format(str(device["name"]), capture)
        return capture

    def _find_device(self, audio: Any) -> Mapping[str, Any]:
        inputs = _inputs(audio)
        if self._device_name == "default":
            with contextlib.suppress(OSError):
                default: Mapping[str, Any] = audio.get_default_input_device_info()
                return default
        for device in inputs:
            if self._device_name.lower() in str(device["name"]).lower():
                return device
        seen = ", ".join(str(device["name"]) for device in inputs) or "none"
        raise CaptureError(
            f"{self.name}: not found; inputs seen: {seen}; is it plugged in, is the sound server running, and is the "
            "user in the group 'audio'? see README, Microphones"
        )

    def _open_stream(self, library: Any, audio: Any, device: Mapping[str, Any]) -> _Capture:
        """Open it in the first (rate, channels) that it takes, best first.

        Asking first (is_format_supported) would hold Python's lock for as long as a server that hangs likes.
        """
        most, own_rate = int(device["maxInputChannels"]), int(device["defaultSampleRate"])
        refusal: Exception | None = None
        for rate in dict.fromkeys((SAMPLE_RATE, own_rate)):
            for channels in sorted({1, min(2, most), most}):
                inbox = Inbox(ceil(QUEUE_S / self._chunk_s), rate, library.paInputOverflow)
                try:
                    stream = audio.open(
                        rate=rate,
                        channels=channels,
                        format=library.paInt16,
                        input=True,
                        input_device_index=int(device["index"]),
                        frames_per_buffer=round(rate * self._chunk_s),
                        stream_callback=inbox.on_audio,
                    )
                except (OSError, ValueError) as error:
                    refusal = error
                else:
                    return _Capture(audio, stream, inbox, rate, channels)
        raise CaptureError(
            f"{self.name}: '{device['name']}' cannot be opened at {SAMPLE_RATE} Hz, nor at its own {own_rate} Hz "
            f"({refusal}); is it plugged in, is the sound server running, or does another program hold it?"
        )

    def _say_format(self, device: str, capture: _Capture) -> None:
        """Say what was opened, once: the default may be another than the one meant."""
        found = f"{self.name}: opened '{device}', {capture.sample_rate} Hz, {capture.channels} channel(s)"
        if found not in _FORMATS_SAID:
            _FORMATS_SAID.add(found)
            if capture.sample_rate < SAMPLE_RATE:
                log.warning("%s; the voice model expects %d Hz and is less sure of duller sound", found, SAMPLE_RATE)
            else:
                log.info("%s", found)


def list_microphones() -> list[str]:
    """Name PortAudio's input devices. Raises CaptureError without PyAudio."""

    def names() -> list[str]:
        audio = _pyaudio().PyAudio()
        try:
            return [str(device["name"]) for device in _inputs(audio)]
        finally:
            audio.terminate()

    return _PORTAUDIO.post(names).result()


@dataclass(frozen=True, slots=True)
class _Capture:
    """What one opening of the device holds."""

    audio: Any
    stream: Any
    inbox: Inbox
    sample_rate: int
    channels: int

    @property
    def active(self) -> bool:
        """Whether PortAudio still captures."""
        try:
            return bool(self.stream.is_active())
        except OSError:
            return False

    def shut(self) -> None:
        """Let go of the device."""
        # A stream whose device is gone may refuse to be closed; terminating lets go of it all the same.
        with contextlib.suppress(OSError):
            self.stream.close()
        self.audio.terminate()


def _inputs(audio: Any) -> list[Mapping[str, Any]]:
    devices = [audio.get_device_info_by_index(i) for i in range(audio.get_device_count())]
    return [device for device in devices if device["maxInputChannels"] > 0]


def _pyaudio() -> Any:
    try:
        import pyaudio
    except ImportError as error:
        raise CaptureError(
            f"microphone: PyAudio is not installed ({error}); run `apt install portaudio19-dev` and "
            f"`{sys.executable} -m pip install pyaudio`"
        ) from error
    _silence_libraries()
    return pyaudio


def _ignore(*_args: object) -> None:
    """Take the place of a library's error printer."""


_IGNORE_ALSA = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)(
    _ignore
)
_IGNORE_JACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(_ignore)
"""Kept here because the libraries hold only their addresses."""


def _silence_libraries() -> None:
    """Keep ALSA and JACK from printing, at every try, lookups that fail on every machine; PortAudio still reports."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_IGNORE_ALSA)
    with contextlib.suppress(OSError, AttributeError):
        jack = ctypes.CDLL("libjack.so.0", os.RTLD_NOLOAD | os.RTLD_LAZY)  # only if PortAudio uses it
        jack.jack_set_error_function(_IGNORE_JACK)
        jack.jack_set_info_function(_IGNORE_JACK)
