"""One PortAudio device as it is, read by callback so that nothing blocks on a dead one."""

from __future__ import annotations

import logging
import queue
import time
from concurrent.futures import TimeoutError as FutureTimeoutError

from affectd.capture.microphone import portaudio
from affectd.capture.microphone.block_queue import Block
from affectd.capture.microphone.channels import counts_to_try
from affectd.capture.microphone.portaudio import PORTAUDIO, Capture, StreamFormat
from affectd.errors import CaptureError
from affectd.resample import SAMPLE_RATE

log = logging.getLogger(__name__)

POLL_S = 0.25
"""How often a waiting read() looks whether the stream is still active."""
START_S = 3.0
"""Opening and the first block may take this much longer than a block in between: a sound server takes its time."""
CLOSE_S = 1.5

_FORMATS_SAID: set[str] = set()


class InputStream:
    """An input device of PortAudio: 'default', one by its name, or the first whose name contains `device_name`.

    16 kHz and the channels that the choice needs are requested; a device that refuses is opened as it likes.
    A sound server that hangs, in whatever call, costs the time that `timeout_s` allows.
    """

    def __init__(self, device_name: str, *, timeout_s: float, channel: str, chunk_s: float) -> None:
        """Prepare; `channel` is as in `counts_to_try`, and a block of sound `chunk_s` long."""
        self._device_name = device_name
        self._timeout_s = timeout_s
        self._channel = channel
        self._chunk_s = chunk_s
        self._capture: Capture | None = None
        self._first_by: float | None = None
        """Until when the first block may come; None once it has."""
        self.name = f"microphone {device_name}"

    def open(self) -> StreamFormat:
        """Open the device and start capturing; return how its samples come. Raises CaptureError."""
        self.close()
        patience_s = self._timeout_s + START_S
        self._first_by = time.monotonic() + patience_s
        opening = PORTAUDIO.post(self._start)
        try:
            self._capture = opening.result(patience_s)
        except FutureTimeoutError:
            if not opening.cancel():  # it may yet succeed
                PORTAUDIO.post(lambda: opening.result().shut())
            raise CaptureError(
                f"{self.name}: the sound system has not answered for {patience_s:g} s; does the sound server hang?"
            ) from None
        return self._capture.layout

    def read(self) -> Block:
        """Wait for the next block. Raises CaptureError."""
        if self._capture is None:
            raise CaptureError(f"{self.name}: not open")
        return self._next_block(self._capture)

    def close(self) -> None:
        """Release the device; harmless when not open. From now on its sound is discarded."""
        capture, self._capture = self._capture, None
        if capture is None:
            return
        capture.queue.closed = True
        try:
            PORTAUDIO.post(capture.shut).result(CLOSE_S)
        except FutureTimeoutError:
            log.warning("%s: is closed as soon as the sound system answers again; its sound is discarded", self.name)

    def _next_block(self, capture: Capture) -> Block:
        deadline = self._first_by or time.monotonic() + self._timeout_s
        while True:
            try:
                block = capture.queue.blocks.get(timeout=POLL_S)
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

    def _start(self) -> Capture:
        library = portaudio.load()
        audio = None
        try:
            # PortAudio lists devices once, at its start: a fresh one sees what was plugged in since.
            audio = library.PyAudio()
            capture = self._open_device(library, audio)
        except (OSError, CaptureError) as error:
            if audio is not None:
                audio.terminate()
            if isinstance(error, CaptureError):
                raise
            raise CaptureError(f"{self.name}: the sound system cannot be used ({error}); is it running?") from error
        self._log_format(capture)
        return capture

    def _open_device(self, library: object, audio: object) -> Capture:
        device = portaudio.find_input(audio, self._device_name)
        if device is None:
            seen = ", ".join(each.name for each in portaudio.inputs_of(audio)) or "none"
            raise CaptureError(
                f"{self.name}: not found; inputs seen: {seen}; is it plugged in, is the sound server running, and is "
                "the user in the group 'audio'? see README, Microphones"
            )
        counts = counts_to_try(self._channel, device.channels)
        if not counts:
            raise CaptureError(
                f"{self.name}: microphone.channel is {self._channel}, but '{device.name}' has {device.channels}; "
                "`affectd microphones` shows what comes on each"
            )
        try:
            return portaudio.open_stream(library, audio, device, counts, chunk_s=self._chunk_s)
        except OSError as error:
            raise CaptureError(
                f"{self.name}: '{device.name}' cannot be opened at {SAMPLE_RATE} Hz, nor at its own "
                f"{device.default_rate} Hz ({error}); is it plugged in, is the sound server running, or does another "
                "program hold it?"
            ) from error

    def _log_format(self, capture: Capture) -> None:
        """Log what was opened, once: the default may be another than the one meant."""
        layout = capture.layout
        used = "" if layout.channels == 1 else f" ({self._channels_used(layout.channels)})"
        found = f"{self.name}: opened '{capture.device.name}', {layout.rate} Hz, {layout.channels} channel(s){used}"
        if found not in _FORMATS_SAID:
            _FORMATS_SAID.add(found)
            if layout.rate < SAMPLE_RATE:
                log.warning("%s; the voice model expects %d Hz and is less sure of duller sound", found, SAMPLE_RATE)
            else:
                log.info("%s", found)

    def _channels_used(self, channels: int) -> str:
        if self._channel == "auto":
            return "their mean" if channels <= 2 else "the first is used; microphone.channel chooses another"
        return {"mean": "their mean", "loudest": "the loudest"}.get(self._channel, f"number {self._channel}")
