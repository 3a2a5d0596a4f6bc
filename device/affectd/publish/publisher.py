"""What the pipeline publishes through: events by way of the outbox, everything else as it is now."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from affectd.config import MqttConfig
from affectd.events import SCHEMA, EmotionEvent, EmotionState, FaceReading, Origin, VoiceReading, state_json
from affectd.publish.clock import stamp
from affectd.publish.discovery import discovery_document
from affectd.publish.happenings import Arrived
from affectd.publish.health_document import HealthDocument
from affectd.publish.session import Session, SessionStatus
from affectd.publish.topics import Topics
from affectd.store.outbox import Outbox

log = logging.getLogger(__name__)

LONGEST_COMMAND = 16
"""Bytes; the known ones are `on` and `off`."""


class Publisher:
    """Publishes for one device. Its methods may be called from any thread and never wait for the broker."""

    def __init__(
        self,
        config: MqttConfig,
        *,
        origin: Origin,
        device_name: str,
        version: str,
        outbox: Outbox,
        replay_per_s: float,
        on_privacy: Callable[[str], None],
    ) -> None:
        """Prepare; events go out at most `replay_per_s` a second.

        `on_privacy` is called with 'on' or 'off' as commanded, on the session's thread.
        """
        self.topics = Topics(config.base_topic, origin.device, config.discovery_prefix)
        self.commands_ignored = 0
        self._ignored = ""
        """What was ignored last."""
        self.origin = origin
        self._config, self._outbox = config, outbox
        self._device_name, self._version, self._on_privacy = device_name, version, on_privacy
        self._session = Session(
            config,
            self.topics,
            outbox,
            replay_per_s=replay_per_s,
            client_id=f"affectd-{origin.device}",
            on_message=self._on_message,
            on_connected=self._announce,
        )

    def start(self) -> None:
        """Begin to connect; a broker that is away is waited for."""
        self._session.start()

    def stop(self, flush_s: float) -> None:
        """Wait for events on their way for at most `flush_s`, say `offline`, disconnect."""
        self._session.stop(flush_s)

    @property
    def status(self) -> SessionStatus:
        """How the session with the broker is."""
        return self._session.status

    def publish_event(self, state: EmotionState) -> EmotionEvent:
        """Store the event, durably unless the outbox's `fault` says otherwise, and send it as soon as may be."""
        stamped = stamp(state.captured_at)
        built: list[EmotionEvent] = []

        def build(seq: int, event_id: str) -> bytes:
            built.append(EmotionEvent(event_id, seq, self.origin, stamped, state))
            return _encode(built[0].to_json())

        self._outbox.append(build)
        self._session.wake()
        return built[0]

    def publish_state(self, state: EmotionState, now: float) -> None:
        """Make this the retained state; `now` is on the clock of captured_at."""
        document = state_json(state, self.origin, stamp(state.captured_at), now=now)
        self._session.retain(self.topics.state, _encode(document))

    def publish_faces(self, reading: FaceReading) -> None:
        """Publish the per-face readings of a frame, if that is asked for."""
        if self._config.faces:
            faces = [face.to_json() for face in reading.faces]
            self._session.pass_on(self.topics.faces, self._passing(reading.captured_at, {"faces": faces}))

    def publish_voice(self, reading: VoiceReading) -> None:
        """Publish a voice reading, if that is asked for."""
        if self._config.voice:
            self._session.pass_on(self.topics.voice, self._passing(reading.captured_at, reading.to_json()))

    def publish_health(self, document: HealthDocument) -> None:
        """Make this the retained health."""
        self._session.retain(self.topics.health, _encode(document.to_json()))

    def publish_privacy(self, on: bool) -> None:
        """Make this the retained state of the privacy switch."""
        self._session.retain(self.topics.privacy, b"on" if on else b"off")

    def _passing(self, captured_at: float, content: dict[str, Any]) -> bytes:
        stamped = stamp(captured_at)
        head = {"schema": SCHEMA, "device": self.origin.device, "time": stamped.time}
        return _encode({**head, "latency_ms": round(stamped.latency_ms, 1), **content})

    def _announce(self) -> None:
        if self._config.discovery_prefix:
            document = discovery_document(self.topics, self._device_name, self._version)
            self._session.retain(self.topics.discovery, _encode(document))

    def _on_message(self, message: Arrived) -> None:
        topic, payload = message.topic, message.payload
        if topic == self.topics.home_assistant_status:
            if payload == b"online":
                self._announce()
            return
        if message.retained:
            # Obeyed at every connect, a forgotten 'off' would open a camera that was closed since.
            self._ignore(f"a retained message on {topic}: send commands without the retain flag")
            return
        command = payload[:LONGEST_COMMAND].decode("utf-8", "replace").strip().lower()
        if topic == self.topics.privacy_command and len(payload) <= LONGEST_COMMAND and command in {"on", "off"}:
            self._ignored = ""
            self._on_privacy(command)
            return
        self._ignore(f"{len(payload)} bytes on {topic}: only 'on' and 'off' are understood")

    def _ignore(self, what: str) -> None:
        """Count it, and say it once: whoever sends it may send it for ever."""
        self.commands_ignored += 1
        if what != self._ignored:
            log.warning("ignored %s", what)
        self._ignored = what


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
