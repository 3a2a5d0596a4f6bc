"""Home Assistant's device discovery: one retained message that describes every entity of the box."""

from __future__ import annotations

from typing import Any

from affectd.events import LABELS
from affectd.publish.topics import Topics

NOBODY = "none"
"""How a null emotion reads in Home Assistant."""
_EMOTIONS = [*LABELS, NOBODY]
_EMOTION = f"{{{{ value_json.emotion or '{NOBODY}' }}}}"


def discovery_document(topics: Topics, device_name: str, version: str) -> dict[str, Any]:
    """Give the payload for `topics.discovery`."""
    identifier = f"affectd_{topics.device_id}"
    components = {**_what_it_sees(topics), **_how_it_is(topics)}
    for key, component in components.items():
        component["unique_id"] = f"{identifier}_{key}"
    return {
        "device": {
            "identifiers": [identifier],
            "name": device_name,
            "manufacturer": "affectd",
            "model": "affectd",
            "sw_version": version,
        },
        "origin": {"name": "affectd", "sw_version": version},
        "availability_topic": topics.availability,
        "qos": 1,
        "components": components,
    }


def _what_it_sees(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "emotion": {
            "platform": "sensor",
            "name": "Emotion",
            "device_class": "enum",
            "options": _EMOTIONS,
            "state_topic": topics.state,
            "value_template": _EMOTION,
            "json_attributes_topic": topics.state,
            "json_attributes_template": (
                "{{ {'probabilities': value_json.probabilities, 'agreement': value_json.agreement, "
                "'strategy': value_json.strategy, 'held_s': value_json.held_s} | tojson }}"
            ),
            "icon": "mdi:emoticon-outline",
        },
        "confidence": {
            "platform": "sensor",
            "name": "Confidence",
            "state_topic": topics.state,
            "value_template": "{{ (value_json.confidence * 100) | round(0) }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
        },
        "change": {
            "platform": "event",
            "name": "Change of emotion",
            "event_types": _EMOTIONS,
            "state_topic": topics.event,
            "value_template": (
                f"{{{{ {{'event_type': value_json.emotion or '{NOBODY}', 'previous': value_json.previous, "
                "'confidence': value_json.confidence, 'id': value_json.id} | tojson }}"
            ),
        },
        "face": {
            "platform": "binary_sensor",
            "name": "Face",
            "device_class": "occupancy",
            "state_topic": topics.state,
            "value_template": "{{ 'ON' if value_json.face.present else 'OFF' }}",
        },
        "voice": {
            "platform": "binary_sensor",
            "name": "Voice",
            "device_class": "sound",
            "state_topic": topics.state,
            "value_template": "{{ 'ON' if value_json.voice.active else 'OFF' }}",
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
    }


def _how_it_is(topics: Topics) -> dict[str, dict[str, Any]]:
    def diagnostic(name: str, template: str, **more: Any) -> dict[str, Any]:
        return {
            "platform": "sensor",
            "name": name,
            "entity_category": "diagnostic",
            "state_topic": topics.health,
            "value_template": template,
            "state_class": "measurement",
            **more,
        }

    return {
        "frame_rate": diagnostic("Frame rate", "{{ value_json.frames_per_s }}", unit_of_measurement="fps"),
        "latency": diagnostic(
            "Event latency (p95)",
            "{{ value_json.latency.event.p95_ms if value_json.latency.event is defined else None }}",
            unit_of_measurement="ms",
            device_class="duration",
        ),
        "outbox": diagnostic("Events waiting", "{{ value_json.outbox_waiting }}"),
        "temperature": diagnostic(
            "Temperature",
            "{{ value_json.temperature_c }}",
            unit_of_measurement="°C",
            device_class="temperature",
        ),
    }
