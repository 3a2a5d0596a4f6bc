"""Home Assistant's device discovery: one retained message that describes every entity of the box."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, get_args

from affectd.config import MqttConfig
from affectd.events import LABELS, Reason
from affectd.publish.topics import Topics

NO_EMOTION = [reason for reason in get_args(Reason) if reason != "shown"]
"""What stands for the emotion where none is named."""
NEEDS = {
    "people": "camera",
    "face": "camera",
    "frame_rate": "camera",
    "voice": "microphone",
    "temperature": "thermometer",
}
"""What a box must have for an entity; the others are always there."""
MISSED = 4
"""After so many periods without a message an entity is unavailable: a broker that died with the box never says that
the box is offline."""


def discovery_document(
    topics: Topics, config: MqttConfig, *, device_name: str, version: str, has: Collection[str]
) -> dict[str, Any]:
    """Return the payload for `topics.discovery`; `has`: which of camera, microphone and thermometer there are."""
    identifier = f"affectd_{topics.device_id}"
    slug = identifier.lower().replace("-", "_")
    components = {**_what_it_sees(topics), **_how_it_is(topics)}
    for key, component in components.items():
        platform = component["platform"]
        if key in NEEDS and NEEDS[key] not in has:
            components[key] = {"platform": platform}  # removes what an earlier run announced; leaving it out does not
            continue
        component["unique_id"] = f"{identifier}_{key}"
        component["default_entity_id"] = f"{platform}.{slug}_{key}"
        if component["state_topic"] in {topics.state, topics.people}:
            component["availability"] = [*_once_told(topics, component), *component.pop("availability", [])]
            component["availability_mode"] = "all"
            component["expire_after"] = math.ceil(MISSED * config.heartbeat_s)
        elif component["state_topic"] == topics.health:
            component["expire_after"] = math.ceil(MISSED * config.health_s)
    return {
        "device": {
            "identifiers": [identifier],
            "name": device_name,
            "manufacturer": "affectd",
            "model": "affectd",
            "sw_version": version,
        },
        "origin": {"name": "affectd", "sw_version": version},
        "availability": [{"topic": topics.availability}],  # a component's own replaces it: it needs the same key
        "qos": 1,
        "components": components,
    }


def _what_it_sees(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "emotion": {
            "platform": "sensor",
            "name": "Emotion",
            "device_class": "enum",
            "options": list(LABELS),
            "state_topic": topics.state,
            "value_template": _of("value_json.emotion"),  # null reads None there: unknown
            "icon": "mdi:emoticon-outline",
        },
        "reason": {
            "platform": "sensor",
            "name": "Reason",
            "device_class": "enum",
            "options": list(get_args(Reason)),
            "state_topic": topics.state,
            "value_template": _of("value_json.reason"),
            "icon": "mdi:help-circle-outline",
        },
        "confidence": {
            "platform": "sensor",
            "name": "Confidence",
            "state_topic": topics.state,
            "value_template": _of("(value_json.confidence * 100) | round(0) if value_json.emotion else None"),
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "icon": "mdi:percent-outline",
        },
        "change": {
            "platform": "event",
            "name": "Change of emotion",
            "event_types": [*LABELS, *NO_EMOTION],
            "state_topic": topics.event,
            "value_template": (
                # Events stored by a version that knew neither reason nor person may still come.
                "{{ {'event_type': value_json.emotion or value_json.reason | default('unsure'), "
                "'previous': value_json.previous, 'confidence': value_json.confidence, "
                "'person': value_json.person | default(none), 'id': value_json.id} | tojson }}"
            ),
            "icon": "mdi:emoticon-happy-outline",
        },
        "privacy": {
            "platform": "switch",
            "name": "Privacy",
            "icon": "mdi:eye-off",
            "state_topic": topics.privacy,
            "command_topic": topics.privacy_command,
            "payload_on": "on",
            "payload_off": "off",
            "optimistic": False,
        },
        "people": {
            "platform": "sensor",
            "name": "People",
            "state_topic": topics.people,
            "value_template": _of("value_json.count"),
            "state_class": "measurement",
            "icon": "mdi:account-multiple",
            **_while_running(topics, "camera"),
        },
        "face": {
            "platform": "binary_sensor",
            "name": "Face",
            "device_class": "occupancy",
            "state_topic": topics.state,
            "value_template": _of("'ON' if value_json.face.present else 'OFF'"),
            **_while_running(topics, "camera"),
        },
        "voice": {
            "platform": "binary_sensor",
            "name": "Voice",
            "device_class": "sound",
            "state_topic": topics.state,
            "value_template": _of("'ON' if value_json.voice.active else 'OFF'"),
            **_while_running(topics, "microphone"),
        },
    }


def _of(value: str, cleared: str = "None") -> str:
    """Return a template of the value; `cleared` once the topic is: Home Assistant reads that message too."""
    return f"{{{{ ({value}) if value_json is defined else {cleared} }}}}"


def _once_told(topics: Topics, component: dict[str, Any]) -> list[dict[str, str]]:
    """Return when an entity may be available: the box is online, and what it shows has come.

    Otherwise it would be unknown between the two when Home Assistant starts, as if somebody had gone and come.
    """
    available = "{{ 'online' if value_json is defined else 'offline' }}"
    return [{"topic": topics.availability}, {"topic": component["state_topic"], "value_template": available}]


def _while_running(topics: Topics, source: str) -> dict[str, Any]:
    """Make an entity unavailable while the device that it goes by is away or closed."""
    state = f"value_json.components.get('{source}', {{}}).get('state')"  # absent from a box that no longer has it
    template = _of(f"'online' if {state} == 'running' else 'offline'", "'offline'")
    return {"availability": [{"topic": topics.health, "value_template": template}]}


def _how_it_is(topics: Topics) -> dict[str, dict[str, Any]]:
    def diagnostic(name: str, value: str, **more: Any) -> dict[str, Any]:
        return {
            "platform": "sensor",
            "name": name,
            "entity_category": "diagnostic",
            "enabled_by_default": False,  # each would fill the recorder
            "state_topic": topics.health,
            "value_template": _of(value),
            "state_class": "measurement",
            **more,
        }

    return {
        "problem": {
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": topics.health,
            "value_template": _of("'ON' if value_json.status == 'degraded' else 'OFF'"),
            "json_attributes_topic": topics.health,
            "json_attributes_template": _of("{'problem': value_json.problem} | tojson", "'{}'"),
        },
        "outbox": diagnostic(
            "Events waiting", "value_json.outbox_waiting", icon="mdi:tray-full", enabled_by_default=True
        ),
        "latency": diagnostic(
            "Event latency (p95)",
            "value_json.latency.event.p95_ms if value_json.latency.event is defined else None",
            unit_of_measurement="ms",
            device_class="duration",
        ),
        "frame_rate": diagnostic(
            "Frame rate", "value_json.frames_per_s", unit_of_measurement="fps", icon="mdi:speedometer"
        ),
        "temperature": diagnostic(
            "Temperature", "value_json.temperature_c", unit_of_measurement="°C", device_class="temperature"
        ),
    }
