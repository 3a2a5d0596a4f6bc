"""What the AsyncAPI document promises about each topic, and whether a message keeps it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from support.broker import Message
from support.message_schemas import FOLDER, REGISTRY, SCHEMAS


@dataclass(frozen=True)
class Channel:
    """One topic that affectd publishes to."""

    name: str
    pattern: re.Pattern[str]
    qos: int
    retain: bool
    text: bool
    """Plain text instead of JSON."""
    validator: Draft202012Validator

    def validate(self, message: Message) -> None:
        """Raise jsonschema's ValidationError when the message is not as declared."""
        self.validator.validate(message.payload.decode() if self.text else message.json)


def published_channels() -> list[Channel]:
    """Return every channel with an operation that sends."""
    document = json.loads((FOLDER / "asyncapi.json").read_text())
    channels = []
    for operation in document["operations"].values():
        if operation["action"] != "send":
            continue
        channel = follow(document, operation["channel"])
        (message,) = (follow(document, reference) for reference in channel["messages"].values())
        payload = message["payload"]
        channels.append(
            Channel(
                name=operation["channel"]["$ref"].rpartition("/")[2],
                pattern=re.compile(re.sub(r"\{\w+\}", "[^/]+", channel["address"])),
                qos=operation["bindings"]["mqtt"]["qos"],
                retain=operation["bindings"]["mqtt"]["retain"],
                text=message.get("contentType") == "text/plain",
                validator=Draft202012Validator(_schema(payload), registry=REGISTRY, format_checker=FormatChecker()),
            )
        )
    return channels


def _schema(payload: dict[str, Any]) -> Any:
    """Return the closed schema of a message's payload."""
    return SCHEMAS[payload["schema"]["$ref"]] if "schema" in payload else payload


def follow(document: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    """Return what a `$ref` into the same document names."""
    found: Any = document
    for part in reference["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found
