"""How the daemon is, asked of all its parts: the health document, and one line for the service manager."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from affectd.capture.protocols import CameraMode
from affectd.inference.model import Model
from affectd.pipeline import Pipeline
from affectd.publish.clock import rfc3339
from affectd.publish.health_document import CameraHealth, ComponentHealth, HealthDocument, ModelHealth
from affectd.publish.publisher import Publisher
from affectd.publish.session import SessionStatus
from affectd.service.board import Board
from affectd.service.component_status import ComponentStatus, State
from affectd.service.meters import Meters, rss_mb
from affectd.service.privacy import PrivacySwitch
from affectd.service.supervisor import Supervisor
from affectd.service.thermal_governor import ThermalGovernor
from affectd.store.outbox import Outbox
from affectd.version import version

CONNECTING_S = 180.0
"""Name servers and addresses that do not answer may keep the publisher from going round for this long."""


class HealthReport:
    """Asks every part of the daemon, at any time, from any thread."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        publisher: Publisher,
        privacy: PrivacySwitch,
        pipeline: Pipeline,
        outbox: Outbox,
        models: Mapping[str, Model],
        meters: Meters,
        board: Board,
        governor: ThermalGovernor,
    ) -> None:
        self._supervisor, self._publisher, self._privacy = supervisor, publisher, privacy
        self._pipeline, self._outbox, self._models = pipeline, outbox, models
        self._meters, self._board, self._governor = meters, board, governor
        self._began = time.monotonic()

    def statuses(self) -> list[ComponentStatus]:
        """Return how each supervised component is, and the publisher, which looks after itself."""
        return [*self._supervisor.statuses(), _publisher_status(self._publisher.status, time.monotonic())]

    def sentence(self, statuses: Sequence[ComponentStatus]) -> str:
        """Describe in one sentence how the daemon is."""
        session, privacy = self._publisher.status, self._privacy.state
        off = {"off"} if privacy.on else set()
        away = [f"{s.name} {s.state}" for s in statuses if s.state not in {"running", *off} and s.name != "publisher"]
        parts = [", ".join(away) or ("privacy is on" if privacy.on else "all parts running")]
        parts.append("broker connected" if session.connected else f"broker away: {session.last_error}")
        parts.append(f"{self._outbox.depth} events waiting")
        if self._outbox.fault is not None:
            parts.append(self._outbox.fault)
        return "; ".join(parts)

    def document(self, *, phase: str | None = None) -> HealthDocument:
        """Return the health document; `phase` is 'starting' or 'offline' at the daemon's ends."""
        statuses, session, privacy = self.statuses(), self._publisher.status, self._privacy.state
        now = time.monotonic()
        meters, sound = self._meters, self._pipeline.sound_check
        heard = sound.loudness
        latency = {name: meters.percentiles(name) for name in ("face", "voice", "event")}
        problem = self._problem(statuses, session)
        return HealthDocument(
            version=version(),
            status=phase or ("ok" if problem is None else "degraded"),
            problem=None if phase else problem,
            uptime_s=now - self._began,
            privacy=privacy.closed,
            privacy_notice=privacy.notice or session.subscription_error,
            frames_per_s=meters.rate("frames"),
            face_readings_per_s=meters.rate("face_readings"),
            voice_readings_per_s=meters.rate("voice_readings"),
            camera_notice=self._pipeline.camera_notice,
            microphone_level_db=None if heard is None else heard.level_db,
            microphone_notice=sound.notice,
            latency={name: taken for name, taken in latency.items() if taken is not None},
            frames_dropped=self._pipeline.frames_dropped,
            samples_lost=self._pipeline.samples_lost,
            readings_waiting=self._pipeline.readings_waiting,
            outbox_waiting=self._outbox.depth,
            outbox_unstored=self._outbox.unstored,
            outbox_dropped=self._outbox.dropped,
            outbox_damaged=self._outbox.damaged_files,
            outbox_error=self._outbox.fault,
            events_sent=session.sent,
            events_denied=session.denied,
            commands_ignored=session.ignored,
            broker_protocol=session.protocol,
            broker_reconnects=session.reconnects,
            broker_error=session.last_error,
            temperature_c=self._board.temperature_c(),
            throttled=self._board.throttled(),
            thermal_notice=self._governor.notice,
            rss_mb=rss_mb(),
            camera=_camera_health(self._pipeline.camera_mode),
            components={status.name: _component_health(status, now) for status in statuses},
            models={task: _model_health(model) for task, model in self._models.items()},
        )

    def _problem(self, statuses: Sequence[ComponentStatus], session: SessionStatus) -> str | None:
        """Return the first thing that somebody should look at."""
        sound = self._pipeline.sound_check
        mute = [sound.notice] if sound.trouble == "dead" else []
        failing = (status.trouble for status in statuses)
        wrong = (model.trouble for model in self._models.values())
        troubles = (*failing, *wrong, *mute, session.last_error, session.subscription_error, self._outbox.fault)
        return next((trouble for trouble in troubles if trouble), None)


def _publisher_status(session: SessionStatus, now: float) -> ComponentStatus:
    if session.connected:
        state: State = "running"
    else:
        state = "waiting" if now - session.last_progress < CONNECTING_S else "failed"
    return ComponentStatus(
        "publisher", state, session.since, session.reconnects, session.last_error, session.last_progress
    )


def _component_health(status: ComponentStatus, now: float) -> ComponentHealth:
    """Reckon the time of day back from now: the clock may have been set since."""
    since = datetime.now(timezone.utc) - timedelta(seconds=now - status.since)
    return ComponentHealth(status.state, rfc3339(since), status.restarts, status.last_error)


def _camera_health(mode: CameraMode | None) -> CameraHealth | None:
    return None if mode is None else CameraHealth(mode.format, mode.width, mode.height, mode.fps)


def _model_health(model: Model) -> ModelHealth:
    return ModelHealth(
        name=model.bundle.name,
        version=model.bundle.version,
        variant=model.kind,
        runtime=model.runtime,
        delegate=model.delegate,
        labels=model.labels,
        not_numbers=model.not_numbers,
        delegate_reason=model.delegate_reason or None,
    )
