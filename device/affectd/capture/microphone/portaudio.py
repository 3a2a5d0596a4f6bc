"""PortAudio's input devices through PyAudio: which there are, and a stream of one in the first format that it takes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any

from affectd.capture.driver_thread import DriverThread
from affectd.capture.microphone.block_queue import QUEUE_S, BlockQueue
from affectd.errors import CaptureError
from affectd.resample import SAMPLE_RATE

PORTAUDIO = DriverThread("PortAudio")
"""PortAudio must not be called from two threads at once, whatever the number of microphones."""
SAMPLE_TYPES = ("int32", "int16", "int24", "float32")
"""Formats requested of a stream, best first: as 32 bits PortAudio passes on a card's 16, 24 or 32 in full."""
_TYPE_REFUSED, _RATE_REFUSED = -9994, -9997
"""paSampleFormatNotSupported, paInvalidSampleRate."""


@dataclass(frozen=True, slots=True)
class InputDevice:
    """An input device of PortAudio."""

    index: int
    name: str
    channels: int
    """Its channels at most; a sound server offers more than its card has."""
    default_rate: int
    """Hz."""

    @property
    def alsa_name(self) -> str:
        """The card as ALSA calls it, such as 'hw:1,0'; empty for a sound server and for ALSA's own plugins."""
        found = re.search(r"\((hw:\d+,\d+)\)$", self.name)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """How samples come from a stream."""

    rate: int
    """Frames a second."""
    channels: int
    sample_type: str = "int16"
    """One of SAMPLE_TYPES."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What one opening of a device holds."""

    audio: Any
    stream: Any
    queue: BlockQueue
    device: InputDevice
    layout: StreamFormat

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


def load() -> Any:
    """Return PyAudio, with its libraries kept from printing. Raises CaptureError where it is not installed."""
    try:
        import pyaudio
    except ImportError as error:
        raise CaptureError(
            f"microphone: PyAudio is not installed ({error}); run `apt install portaudio19-dev` and "
            f"`{sys.executable} -m pip install pyaudio`"
        ) from error
    _silence_libraries()
    return pyaudio


def list_inputs() -> list[InputDevice]:
    """Return the input devices that are there now. Raises CaptureError without PyAudio."""

    def fresh_list() -> list[InputDevice]:
        # PortAudio lists devices once, at its start: a fresh one sees what was plugged in since.
        audio = load().PyAudio()
        try:
            return inputs_of(audio)
        finally:
            audio.terminate()

    return PORTAUDIO.post(fresh_list).result()


def inputs_of(audio: Any) -> list[InputDevice]:
    """Return the input devices that this PortAudio has found."""
    found = [audio.get_device_info_by_index(index) for index in range(audio.get_device_count())]
    return [_described(each) for each in found if each["maxInputChannels"] > 0]


def find_input(audio: Any, name: str) -> InputDevice | None:
    """Return the default input for 'default', else the device of this name, else the first whose name contains it."""
    if name == "default":
        with contextlib.suppress(OSError):
            return _described(audio.get_default_input_device_info())
    return named(inputs_of(audio), name)


def named(devices: Sequence[InputDevice], name: str) -> InputDevice | None:
    """Return the device of this name, else the first whose name contains it, else None; letters' case is ignored."""
    for device in devices:
        if device.name == name:
            return device
    return next((device for device in devices if name.lower() in device.name.lower()), None)


def source_name(device: InputDevice, devices: Sequence[InputDevice]) -> str:
    """Return what to write as `microphone.source` for one of `devices`: without the card's number, which may change.

    With it where another device, such as a second card of the same make, would be found instead.
    """
    stable = re.sub(r"\s*\(hw:\d+,\d+\)$", "", device.name)
    return stable if stable and named(devices, stable) == device else device.name


def open_stream(library: Any, audio: Any, device: InputDevice, channels: Iterable[int], *, chunk_s: float) -> Capture:
    """Open the device in the first (rate, channels, sample type) that it takes, best first.

    Asking first (is_format_supported) would hold Python's lock for as long as a server that hangs likes. Raises
    OSError, or what PyAudio raises, of the last attempt.
    """
    refusal: Exception | None = None
    tries = list(product(dict.fromkeys((SAMPLE_RATE, device.default_rate)), dict.fromkeys(channels), SAMPLE_TYPES))
    while tries:
        rate, count, sample_type = tries.pop(0)
        queue = BlockQueue(ceil(QUEUE_S / chunk_s), rate, library.paInputOverflow)
        try:
            stream = audio.open(
                rate=rate,
                channels=count,
                format=getattr(library, f"pa{sample_type.capitalize()}"),
                input=True,
                input_device_index=device.index,
                frames_per_buffer=round(rate * chunk_s),
                stream_callback=queue.on_audio,
            )
        except (OSError, ValueError) as error:
            refusal = error
            tries = _left(tries, rate, count, error)
        else:
            return Capture(audio, stream, queue, device, StreamFormat(rate, count, sample_type))
    raise OSError(str(refusal))


def _left(tries: list[tuple[int, int, str]], rate: int, count: int, refusal: Exception) -> list[tuple[int, int, str]]:
    """Return what is worth trying after a refusal of a rate and a channel count: PortAudio prints lines at each."""
    code = refusal.args[0] if refusal.args else None
    if code == _RATE_REFUSED:
        return [each for each in tries if each[0] != rate]
    return tries if code == _TYPE_REFUSED else [each for each in tries if each[:2] != (rate, count)]


def _described(device: Any) -> InputDevice:
    return InputDevice(
        int(device["index"]), str(device["name"]), int(device["maxInputChannels"]), int(device["defaultSampleRate"])
    )


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
