"""Publishes everything of one device: events by way of the outbox, everything else as it is now."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from affectd.config import Config, MqttConfig
from affectd.events import EmotionState, FaceReading, Person, VoiceReading
from affectd.publish.clock import stamp
from affectd.publish.connection_events import ReceivedMessage
from affectd.publish.discovery import discovery_document
from affectd.publish.documents import EmotionEvent, Origin, faces_json, people_json, state_json, voice_json
from affectd.publish.health_document import HealthDocument
from affectd.publish.info_document import info_document
from affectd.publish.retained_topics import RetainedTopics
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
        retained_topics: RetainedTopics | None = None,
    ) -> None:
        """Prepare; events go out at most `replay_per_s` a second.

        `on_privacy` is called with 'on' or 'off' as commanded, on the session's thread.
        """
        self.topics = Topics(config.base_topic, origin.device, config.discovery_prefix)
        self._ignored = 0
        self._last_ignored = ""
        self.origin = origin
        self._config, self._outbox = config, outbox
        self._device_name, self._version, self._on_privacy = device_name, version, on_privacy
        self._has: Sequence[str] = ()
        self._retained_topics = retained_topics or RetainedTopics(None)
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
        """Begin to connect; a broker that is away is waited for. What earlier runs left there is cleared."""
        self._session.clear(self._retained_topics.begin(self.topics.retained), self._retained_topics.cleared)
        self._session.start()

    def stop(self, flush_s: float) -> None:
        """Wait for events in flight for at most `flush_s`, publish `offline`, disconnect."""
        self._session.stop(flush_s)

    @property
    def status(self) -> SessionStatus:
        """How the session with the broker is."""
        status = self._session.status
        return replace(status, ignored=status.ignored + self._ignored)

    def publish_event(self, state: EmotionState) -> EmotionEvent:
        """Store the event, durably unless the outbox has a `fault`, and send it as soon as possible."""
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

    def publish_people(self, people: Sequence[Person], now: float) -> None:
        """Make this the retained list of everybody in view; `now` is on the clock of captured_at."""
        seen_at = now if people else time.monotonic()
        self._session.retain(self.topics.people, _encode(people_json(people, self.origin, stamp(seen_at), now=now)))

    def describe(self, config: Config, has: Sequence[str]) -> None:
        """Make the retained description of what stays the same; `has`: camera, microphone, thermometer."""
        self._has = has
        document = info_document(
            config,
            self.topics,
            self.origin,
            stamp(time.monotonic()),
            name=self._device_name,
            version=self._version,
            sources=[source for source in has if source != "thermometer"],
        )
        self._session.retain(self.topics.info, _encode(document))

    def publish_faces(self, reading: FaceReading) -> None:
        """Publish the per-face readings of a frame, if mqtt.faces is on."""
        if self._config.faces:
            document = faces_json(reading, self.origin, stamp(reading.captured_at))
            self._session.publish_at_most_once(self.topics.faces, _encode(document))

    def publish_voice(self, reading: VoiceReading) -> None:
        """Publish a voice reading, if mqtt.voice is on."""
        if self._config.voice:
            document = voice_json(reading, self.origin, stamp(reading.captured_at))
            self._session.publish_at_most_once(self.topics.voice, _encode(document))

    def publish_health(self, document: HealthDocument) -> None:
        """Make this the retained health."""
        self._session.retain(self.topics.health, _encode(document.to_json(self.origin, stamp(time.monotonic()))))

    def publish_privacy(self, on: bool) -> None:
        """Make this the retained state of the privacy switch."""
        self._session.retain(self.topics.privacy, b"on" if on else b"off")

    def _announce(self) -> None:
        if self._config.discovery_prefix:
            document = discovery_document(
                self.topics, self._config, device_name=self._device_name, version=self._version, has=self._has
            )
            self._session.retain(self.topics.discovery, _encode(document))

    def _on_message(self, message: ReceivedMessage) -> None:
        topic, payload = message.topic, message.payload
        if topic in {self.topics.home_assistant_status, self.topics.discovery_status}:
            if payload == b"online":
                self._announce()
            return
        if message.retained:
            # Obeyed at every connect, a forgotten 'off' would open a camera that was closed since.
            self._ignore(f"a retained message on {topic}: send commands without the retain flag")
            return
        command = payload[:LONGEST_COMMAND].decode("utf-8", "replace").strip().lower()
        if topic == self.topics.privacy_command and len(payload) <= LONGEST_COMMAND and command in {"on", "off"}:
            self._last_ignored = ""
            self._on_privacy(command)
            return
        self._ignore(f"{len(payload)} bytes on {topic}: only 'on' and 'off' are understood")

    def _ignore(self, what: str) -> None:
        """Count it, and log it once: whoever sends it may send it for ever."""
        self._ignored += 1
        if what != self._last_ignored:
            log.warning("ignored %s", what)
        self._last_ignored = what


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
