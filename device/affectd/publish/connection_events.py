"""The events of a connection to the broker."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker's answer to one publish."""

    mid: int
    refusal: str | None
    """Why the broker would not take it; None when it did."""


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message on a topic subscribed to."""

    topic: str
    payload: bytes
    retained: bool = False
    """The broker had kept it: it was said before we subscribed."""
    received: float = field(default_factory=time.time, compare=False)
    """Seconds since 1970 on this machine's clock."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection has ended."""

    reason: str
    complaint: bool = False
    """The broker said goodbye for a reason that may lie in what it was sent."""
    hung_up: bool = False
    """It ended without goodbye: the broker hung up or answered nonsense, or the network broke off. Not set when our
    keepalive ran out."""
    at: float = field(default_factory=time.monotonic)
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The broker would not let us subscribe."""

    topic: str
    reason: str


ConnectionEvent = Acknowledged | ReceivedMessage | Disconnected | SubscriptionRefused
