"""The /info document: all that stays the same while the daemon runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from affectd.config import Config
from affectd.events import LABELS, VOICE_LABELS
from affectd.publish.documents import Origin, Stamp, head_json
from affectd.publish.topics import Topics


def info_document(
    config: Config, topics: Topics, origin: Origin, stamp: Stamp, *, name: str, version: str, sources: Sequence[str]
) -> dict[str, Any]:
    """Return the info document; `sources` are those of `camera` and `microphone` that are in use."""
    optional = {"faces": config.mqtt.faces, "voice": config.mqtt.voice}
    published = ("availability", "state", "people", "event", "faces", "voice", "health", "info", "privacy")
    return {
        **head_json(origin, stamp),
        "name": name,
        "version": version,
        "sources": list(sources),
        "models": dict(origin.models),
        "labels": list(LABELS),
        "voice_labels": list(VOICE_LABELS),
        "voice_activity": config.voice.activity if "voice" in origin.models else None,
        "strategy": config.fusion.strategy,
        "people": config.fusion.people,
        "picture": {"width": config.camera.width, "height": config.camera.height, "fps": config.camera.fps},
        "heartbeat_s": config.mqtt.heartbeat_s,
        "topics": {key: getattr(topics, key) for key in published if optional.get(key, True)},
    }
