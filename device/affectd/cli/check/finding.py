"""What a probe of `affectd check` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found."""

    part: str
    state: Literal["ok", "warning", "failed", "off"]
    found: str
    advice: str = ""
    """What to do about it, where `found` does not name it."""
    exit_code: int = 0
    """Of the command, when this is the first part that failed."""

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return asdict(self)
