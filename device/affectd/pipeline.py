"""The whole flow: camera and microphone, to face and voice readings, to one emotion, to MQTT."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from affectd.capture.buffers import AudioQueue, LatestFrame
from affectd.capture.frame_rate_limiter import FrameRateLimiter
from affectd.capture.protocols import Camera, CameraMode, EndOfClipError, Microphone
from affectd.config import Config
from affectd.face.reader import FaceReader
from affectd.fusion.fuser import Fuser
from affectd.fusion_loop import FusionLoop
from affectd.publish.publisher import Publisher
from affectd.resample import SAMPLE_RATE
from affectd.service.component import Beat, Component
from affectd.service.meters import Meters
from affectd.service.modalities import Modalities
from affectd.service.pool import Pool
from affectd.voice.reader import VoiceReader
from affectd.voice.sound_check import SoundCheck

IDLE_S = 0.25
"""How long a loop waits for work before it looks whether it is to stop."""
LOSSLESS_CHUNKS = 5
"""Sound that waits for the voice worker when a clip is played as fast as possible: more, and the face would run ahead
of it by so much that what was heard is too old when it is fused."""
WORKER_DEADLINE_S = 20.0
"""A worker that hangs in one frame or in half a second of sound for this long, in its accelerator, is replaced."""
DEVICE_GRACE_S = 5.0
"""What a device may take beyond its own timeouts before it is replaced."""


class Pipeline:
    """The flow's components; whoever builds it starts and supervises them.

    One thread a device, one a modality, one that fuses and publishes; every hand-over is bounded. A frame
    that comes too late is dropped, sound is never dropped unsaid, an event is never dropped.
    """

    def __init__(
        self,
        config: Config,
        *,
        camera: Pool[Camera] | None,
        microphone: Pool[Microphone] | None,
        face: Pool[FaceReader] | None,
        voice: Pool[VoiceReader] | None,
        fuser: Fuser,
        publisher: Publisher,
        meters: Meters,
        clip: bool,
    ) -> None:
        """Take the parts; a modality runs when both its device and its reader are there.

        A `clip` that fails is not opened again. One played as fast as possible loses nothing: its tracks
        wait for the workers, and time is the clip's.
        """
        lossless = clip and not config.clip.realtime
        self._meters = meters
        self._clip = clip
        self._lossless = lossless
        self._frames = LatestFrame(lossless=lossless)
        self._sound = AudioQueue(capacity=LOSSLESS_CHUNKS, lossless=True) if lossless else AudioQueue()
        self._fps_limit: float | None = None
        self._thinning: FrameRateLimiter | None = None
        self._camera: Camera | None = None
        """While it is open."""
        self.sound_check = SoundCheck(SAMPLE_RATE)
        """How loud the microphone is, and what is wrong with that."""
        self.camera_notice: str | None = None
        """What is wrong with the pictures for the model that reads them; None: nothing."""
        self.components: list[Component] = []
        """In the order of the flow: stopping them in it drains each into the next."""
        self.devices: list[str] = []
        """Names of the components that hold a device: what the privacy switch closes."""
        self._modalities = Modalities(config.fusion.strategy, config.fusion.absent_s, clip=clip)
        self._fusion = FusionLoop(
            fuser, publisher, self._modalities, meters, heartbeat_s=config.mqtt.heartbeat_s, lossless=lossless
        )
        if camera is not None and face is not None:
            self._add_modality(
                "face",
                self._device("camera", camera.lend(self._capture_video), config.camera.timeout_s),
                Component("face", face.lend(self._read_faces), deadline_s=WORKER_DEADLINE_S),
            )
        if microphone is not None and voice is not None:
            self._add_modality(
                "voice",
                self._device("microphone", microphone.lend(self._capture_audio), config.microphone.timeout_s),
                Component("voice", voice.lend(self._read_voice), deadline_s=WORKER_DEADLINE_S),
            )
        self.components.append(Component("fusion", self._fusion.run))

    def _device(self, name: str, run: Callable[[threading.Event, Beat], None], timeout_s: float) -> Component:
        """A clip is not opened again, and may be held up by its workers for as long as they like."""
        if self._clip:
            return Component(name, run, restart=False)
        return Component(name, run, deadline_s=2 * timeout_s + DEVICE_GRACE_S)  # opening and the first picture

    def _add_modality(self, name: str, device: Component, worker: Component) -> None:
        self._fusion.working.add(name)
        self.devices.append(device.name)
        self.components += [device, worker]
        self._modalities.add(name, device, worker)

    def keep_private(self, private: bool) -> None:
        """Forget at once what was seen and heard, and take in nothing, until it is called with false."""
        self._modalities.private = private

    def limit_frames(self, fps: float | None) -> None:
        """Work on so many frames a second from now on, for the board's sake; None: on all that the camera delivers."""
        if fps != self._fps_limit:
            self._fps_limit, self._thinning = fps, None if fps is None else FrameRateLimiter(fps)

    @property
    def frames_dropped(self) -> int:
        """Frames that a newer one replaced before the face worker took them."""
        return self._frames.dropped

    @property
    def camera_mode(self) -> CameraMode | None:
        """What the camera agreed to send; None while it is closed, and where nothing is agreed."""
        camera = self._camera
        return None if camera is None else camera.mode

    @property
    def samples_lost(self) -> int:
        """Samples missing at the microphone or fallen out before the voice worker took them."""
        return self._meters.total("samples_lost") + self._sound.lost_samples

    @property
    def readings_waiting(self) -> int:
        """Readings that fusion has not taken yet."""
        return self._fusion.readings_waiting

    # Devices: read, hand over.

    def _capture_video(self, camera: Camera, stop: threading.Event, beat: Beat) -> None:
        segment = self._frames.begin()
        try:
            camera.open()
            self._camera = camera
            while not stop.is_set():
                frame = camera.read()
                if stop.is_set():
                    break  # what came after the order to stop, or to a thread left behind, is nobody's business
                thinning = self._thinning
                if thinning is None or self._lossless or thinning.take(frame.captured_at):
                    self._frames.put(frame)
                    self._meters.tick("frames")
                beat()
        except EndOfClipError:
            self._frames.close()
        except Exception:
            if self._clip:
                self._frames.close()
            raise
        finally:
            self._frames.end(segment)
            if self._camera is camera:
                self._camera = None
            camera.close()

    def _capture_audio(self, microphone: Microphone, stop: threading.Event, beat: Beat) -> None:
        segment = self._sound.begin()
        try:
            microphone.open()
            while not stop.is_set():
                chunk = microphone.read()
                if stop.is_set():
                    break
                self._meters.add("samples_lost", chunk.lost)
                if not self._clip:
                    self.sound_check.take(microphone.name, chunk.samples)
                self._sound.put(chunk)
                beat()
        except EndOfClipError:
            self._sound.close()
        except Exception:
            if self._clip:
                self._sound.close()
            raise
        finally:
            self._sound.end(segment)
            microphone.close()
            self.sound_check.reset()

    # Workers: perceive. What one has of a segment is forgotten with the segment.

    def _read_faces(self, reader: FaceReader, stop: threading.Event, beat: Beat) -> None:
        known: int | None = None
        while not (stop.is_set() or self._frames.finished):
            segment, frame = self._frames.take(IDLE_S)
            if segment != known:
                reader.reset()
                known = segment
            if frame is not None:
                began = time.monotonic()
                reading = reader.read(frame)
                self.camera_notice = reader.notice
                self._meters.took("face", time.monotonic() - began)
                self._fusion.put(reading, began, stop, beat)
            beat()
        if self._frames.finished:
            self._fusion.working.discard("face")

    def _read_voice(self, reader: VoiceReader, stop: threading.Event, beat: Beat) -> None:
        known: int | None = None
        while not (stop.is_set() or self._sound.finished):
            segment, chunk = self._sound.take(IDLE_S)
            if segment != known:
                reader.reset()
                known = segment
            if chunk is not None:
                began = time.monotonic()
                readings = reader.feed(chunk)
                if readings:
                    self._meters.took("voice", time.monotonic() - began)
                for reading in readings:
                    self._fusion.put(reading, began, stop, beat)
            beat()
        if self._sound.finished:
            self._fusion.working.discard("voice")
