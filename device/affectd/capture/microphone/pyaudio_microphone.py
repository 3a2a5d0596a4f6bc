"""A microphone through PyAudio (PortAudio): one of its devices as mono sound at 16 kHz."""

from __future__ import annotations

from affectd.capture.microphone.conversion import Conversion
from affectd.capture.microphone.portaudio import StreamFormat
from affectd.capture.microphone.stream import InputStream
from affectd.events import AudioChunk
from affectd.resample import SAMPLE_RATE


class PyAudioMicrophone:
    """The device that `device_name` names (see InputStream), converted from however it likes to be opened."""

    def __init__(
        self,
        device_name: str,
        *,
        timeout_s: float,
        channel: str = "auto",
        gain_db: float = 0.0,
        high_pass_hz: float = 0.0,
        chunk_s: float = 0.1,
    ) -> None:
        """Prepare; `channel` is 'auto', 'mean', 'loudest' or a number from 1, a `high_pass_hz` of 0 filters nothing."""
        self._stream = InputStream(device_name, timeout_s=timeout_s, channel=channel, chunk_s=chunk_s)
        self._channel, self._gain_db, self._high_pass_hz = channel, gain_db, high_pass_hz
        self._layout = StreamFormat(SAMPLE_RATE, 1)
        self._conversion = self._new_conversion()
        self.name = self._stream.name

    def open(self) -> None:
        """Open the device and start capturing. Raises CaptureError."""
        self._layout = self._stream.open()
        self._conversion = self._new_conversion()

    def read(self) -> AudioChunk:
        """Wait for the next chunk; (n,) int16 mono at 16 kHz. Raises CaptureError."""
        block = self._stream.read()
        lost = round(block.lost * SAMPLE_RATE / self._layout.rate)
        if lost:
            self._conversion.skip()
        return AudioChunk(self._conversion.process(block.data), SAMPLE_RATE, block.captured_at, lost)

    def close(self) -> None:
        """Release the device; harmless when not open. From now on its sound is discarded."""
        self._stream.close()

    def _new_conversion(self) -> Conversion:
        return Conversion(self._layout, channel=self._channel, gain_db=self._gain_db, high_pass_hz=self._high_pass_hz)
