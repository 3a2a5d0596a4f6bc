"""The loop that fuses the readings of both modalities and publishes what changes."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from dataclasses import replace

from affectd.events import EmotionState, FaceReading, VoiceReading
from affectd.fusion.fuser import Fuser, Fusion
from affectd.publish.change_filter import ChangeFilter
from affectd.publish.publisher import Publisher
from affectd.service.component import Beat
from affectd.service.meters import Meters
from affectd.service.modalities import Modalities

IDLE_S = 0.25
"""How long the loop waits for a reading before it looks whether it is to stop."""
READINGS_WAITING = 64

Reading = FaceReading | VoiceReading


class FusionLoop:
    """Takes readings from the workers, in a bounded queue; one thread fuses and publishes them."""

    def __init__(
        self,
        fuser: Fuser,
        publisher: Publisher,
        modalities: Modalities,
        meters: Meters,
        *,
        heartbeat_s: float,
        lossless: bool,
    ) -> None:
        """Publish unchanged documents every `heartbeat_s`; `lossless`: time is that of a clip, which loses nothing."""
        self.working: set[str] = set()
        """Modalities that may still deliver readings."""
        self._fuser, self._publisher, self._modalities, self._meters = fuser, publisher, modalities, meters
        self._heartbeat_s, self._lossless = heartbeat_s, lossless
        self._queue: queue.Queue[tuple[Reading, float]] = queue.Queue(READINGS_WAITING)
        """Each with the instant at which work on it began."""
        self._unpublished: deque[EmotionState] = deque()
        """Events of which `publish_event` raised (no memory): published when the loop is started again."""

    @property
    def readings_waiting(self) -> int:
        """Readings that have not been fused yet."""
        return self._queue.qsize()

    def put(self, reading: Reading, began: float, stop: threading.Event, beat: Beat) -> None:
        """Enqueue a reading on which work began at `began`, monotonic; wait for room, beating, until `stop` is set."""
        while not stop.is_set():
            try:
                self._queue.put((reading, began), timeout=IDLE_S)
                return
            except queue.Full:
                beat()  # it is fusion that hangs

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Fuse and publish until stopped, or until no modality works any more; the body of a component."""
        newest = began = 0.0 if self._lossless else time.monotonic()
        changes = ChangeFilter(self._heartbeat_s)
        while not stop.is_set() and (self.working or not self._queue.empty()):
            try:
                reading, began = self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                if self._lossless:
                    beat()
                    continue
                newest = time.monotonic()
            else:
                newest = max(newest, reading.captured_at)
                self._feed_fuser(reading)
            fusion = self._step(newest)
            self._unpublished.extend(fusion.events)
            self._publish_events(began)
            if changes.state_is_due(fusion.state, newest):
                self._publisher.publish_state(fusion.state, newest)
            if changes.people_are_due(fusion.people, newest):
                self._publisher.publish_people(fusion.people, newest)
            beat()  # the first reports that the pipeline has made its first pass

    def _step(self, now: float) -> Fusion:
        """Fuse the newest readings; where nobody is seen or heard, replace the reason by its cause."""
        if self._modalities.private:
            self._fuser.forget(now)
        elif not self._lossless:
            if self._modalities.has_failed("face", now):
                self._fuser.end_face()
            if self._modalities.has_failed("voice", now):
                self._fuser.end_voice()
        fusion = self._fuser.step(now)
        if all(state.reason != "nobody" for state in (fusion.state, *fusion.events)):
            return fusion
        reason = self._modalities.why_nobody(now)

        def explained(state: EmotionState) -> EmotionState:
            return replace(state, reason=reason) if state.reason == "nobody" else state

        return replace(fusion, state=explained(fusion.state), events=tuple(map(explained, fusion.events)))

    def _publish_events(self, began: float) -> None:
        while self._unpublished:
            event = self._unpublished.popleft()
            try:
                self._publisher.publish_event(event)
            except Exception:
                self._unpublished.appendleft(event)
                raise
            # A clip played as fast as possible runs ahead of the clock: there it counts from when the work began.
            since = began if self._lossless else event.captured_at
            self._meters.took("event", max(0.0, time.monotonic() - since))

    def _feed_fuser(self, reading: Reading) -> None:
        if self._modalities.private:
            return
        if isinstance(reading, FaceReading):
            self._fuser.update_face(reading)
            self._publisher.publish_faces(reading)
            self._meters.tick("face_readings")
        else:
            self._fuser.update_voice(reading)
            self._publisher.publish_voice(reading)
            self._meters.tick("voice_readings")
