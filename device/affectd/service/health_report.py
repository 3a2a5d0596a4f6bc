"""Makes the health document of what the daemon's parts say of themselves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from affectd.capture.protocols import CameraMode
from affectd.inference.model import Model
from affectd.pipeline import Pipeline
from affectd.publish.clock import rfc3339
from affectd.publish.health_document import CameraHealth, ComponentHealth, HealthDocument, ModelHealth
from affectd.publish.session import SessionStatus
from affectd.service.board import Board
from affectd.service.component_status import ComponentStatus
from affectd.service.meters import Meters, rss_mb
from affectd.service.privacy import PrivacyState
from affectd.service.thermal_governor import ThermalGovernor
from affectd.store.outbox import Outbox
from affectd.version import version


class HealthReport:
    """Asks everything that /health tells of, at any time, from any thread."""

    def __init__(
        self,
        *,
        meters: Meters,
        pipeline: Pipeline,
        outbox: Outbox,
        models: Mapping[str, Model],
        board: Board,
        governor: ThermalGovernor,
    ) -> None:
        self._meters, self._pipeline, self._outbox, self._models = meters, pipeline, outbox, models
        self._board, self._governor = board, governor
        self._began = time.monotonic()

    def document(
        self,
        statuses: Sequence[ComponentStatus],
        session: SessionStatus,
        privacy: PrivacyState,
        *,
        phase: str | None = None,
    ) -> HealthDocument:
        """Return how the daemon is now; `phase` is 'starting' or 'offline' at its ends."""
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
        troubles = (*failing, *mute, session.last_error, session.subscription_error, self._outbox.fault)
        return next((trouble for trouble in troubles if trouble), None)


def _component_health(status: ComponentStatus, now: float) -> ComponentHealth:
    """Reckon the time of day back from now: the clock may have been set since."""
    since = datetime.now(timezone.utc) - timedelta(seconds=now - status.since)
    return ComponentHealth(status.state, rfc3339(since), status.restarts, status.last_error)


def _camera_health(mode: CameraMode | None) -> CameraHealth | None:
    return None if mode is None else CameraHealth(mode.format, mode.width, mode.height, mode.fps)


def _model_health(model: Model) -> ModelHealth:
    bundle, reason = model.bundle, model.delegate_reason or None
    return ModelHealth(bundle.name, bundle.version, model.kind, model.runtime, model.delegate, reason)
