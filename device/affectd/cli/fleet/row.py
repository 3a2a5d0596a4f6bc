"""One box as a row of `affectd fleet`, made of its retained messages alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

TOPICS = ("availability", "info", "health", "state", "people")
"""In the order in which they are subscribed to."""
SILENT = "silent"
"""Status of a box of which only the availability is there."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one box; None where the box does not publish it, or is offline and it no longer holds."""

    box: str
    online: bool
    version: str | None
    status: str
    """`offline`, or the status of /health."""
    problem: str | None
    since: str | None
    """RFC 3339, UTC, by the box's clock: offline: last word; a part is down: since then; else the daemon's start."""
    emotion: str | None
    reason: str | None
    people: int | None
    waiting: int | None
    """Events that the broker has not acknowledged; of a box that is offline, by its last word."""

    @property
    def rank(self) -> tuple[bool, str]:
        """Orders rows: what needs somebody first, then by name."""
        return self.status == "ok", self.box

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON object."""
        return asdict(self)


def make_row(box: str, messages: Mapping[str, Any]) -> Row:
    """Return the row of a box from its newest messages by topic; foreign ones count as not there."""
    info, health, state, people = (_table(messages.get(topic)) for topic in TOPICS[1:])
    online = messages.get("availability") == "online"
    return Row(
        box=box,
        online=online,
        version=_text(info.get("version")) or _text(health.get("version")),
        status=(_text(health.get("status")) or SILENT) if online else "offline",
        problem=_text(health.get("problem")) if online else None,
        since=_since(health) if online else _last_seen(info, health, state, people),
        emotion=_text(state.get("emotion")) if online else None,
        reason=_text(state.get("reason")) if online else None,
        people=_number(people.get("count")) if online else None,
        waiting=_number(health.get("outbox_waiting")),
    )


def _since(health: Mapping[str, Any]) -> str | None:
    """Return since when the first of its parts is down; else when the daemon started."""
    parts = [_table(part) for part in _table(health.get("components")).values()]
    down = [_text(part.get("since")) for part in parts if part.get("state") in ("waiting", "failed")]
    known = sorted(since for since in down if since)
    if known:
        return known[0]
    try:
        now = datetime.fromisoformat(str(health["time"]).replace("Z", "+00:00"))
        began = (now - timedelta(seconds=float(health["uptime_s"]))).astimezone(timezone.utc)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return began.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _last_seen(*documents: Mapping[str, Any]) -> str | None:
    times = (_text(document.get("time")) for document in documents)
    return max((time for time in times if time), default=None)


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
