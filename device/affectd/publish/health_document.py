"""The /health document, with a schema of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from affectd.publish.documents import Origin, Stamp, head_json


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One supervised component."""

    state: str
    """starting, running, waiting, finished, off or failed."""
    since: str
    """RFC 3339 UTC."""
    restarts: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles over the newest measurements, milliseconds."""

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """The pictures that the camera's driver agreed to send."""

    format: str
    width: int
    height: int
    fps: float | None


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """One model in use."""

    name: str
    version: str
    variant: str
    runtime: str
    delegate: str
    labels: tuple[str, ...]
    """Those that it knows: it has no opinion on the others."""
    not_numbers: int
    """Answers that were NaN or infinite, and are not read."""
    delegate_reason: str | None
    """Why it is not the configured one, or why `auto` took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthDocument:
    """Everything that /health reports of the daemon."""

    version: str
    status: str
    """`ok`, `degraded` while something fails or is away, `starting`, or `offline` after a clean end."""
    problem: str | None
    """What is wrong, in a sentence; None while nothing is."""
    uptime_s: float
    privacy: bool
    privacy_notice: str | None
    frames_per_s: float
    face_readings_per_s: float
    voice_readings_per_s: float
    camera_notice: str | None
    """What is wrong with the pictures: grey, where the model wants colour."""
    microphone_level_db: float | None
    """Of full scale, over the newest 10 s; None while no sound comes."""
    microphone_notice: str | None
    """What is wrong with the sound: dead or overdriven."""
    latency: dict[str, Latency]
    """By stage: face, voice, event; a stage not run yet is absent."""
    frames_dropped: int
    samples_lost: int
    readings_waiting: int
    outbox_waiting: int
    outbox_unstored: int
    outbox_dropped: int
    outbox_damaged: int
    outbox_error: str | None
    events_sent: int
    events_denied: int
    commands_ignored: int
    """Messages to the device that were not obeyed: not understood, retained, or overtaken in a flood."""
    broker_protocol: str | None
    broker_reconnects: int
    broker_error: str | None
    """Why the last connection ended or failed."""
    temperature_c: float | None
    throttled: bool | None
    """Whether the board slows itself down."""
    thermal_notice: str | None
    """What the daemon does so that it need not."""
    rss_mb: float
    camera: CameraHealth | None
    """What the camera agreed to send; None while it is closed, and where nothing is agreed."""
    components: dict[str, ComponentHealth]
    models: dict[str, ModelHealth]

    def to_json(self, origin: Origin, stamp: Stamp) -> dict[str, Any]:
        """Return the health document."""
        document: dict[str, Any] = {**head_json(origin, stamp), **asdict(self)}
        for name, digits in (
            ("uptime_s", 1),
            ("frames_per_s", 2),
            ("face_readings_per_s", 2),
            ("voice_readings_per_s", 2),
            ("microphone_level_db", 1),
            ("temperature_c", 1),
            ("rss_mb", 1),
        ):
            if document[name] is not None:
                document[name] = round(document[name], digits)
        for latency in document["latency"].values():
            latency.update({name: round(value, 2) for name, value in latency.items()})
        return document
