"""The events of a connection to the broker."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The PUBACK of one message; with QoS 0, that it has left."""

    mid: int
    refusal: str | None
    """The reason code in words, when the broker refused it; None when it took it."""


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message on a topic subscribed to."""

    topic: str
    payload: bytes
    retained: bool = False
    """The retain flag: it was published before we subscribed."""
    received: float = field(default_factory=time.time, compare=False)
    """Seconds since 1970 on this machine's clock."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection has ended."""

    reason: str
    complaint: bool = False
    """The broker sent DISCONNECT for a reason that may lie in what it was sent."""
    hung_up: bool = False
    """It ended without DISCONNECT: the broker hung up or answered nonsense, or the network broke off. Not set when our
    keepalive ran out."""
    at: float = field(default_factory=time.monotonic)
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The SUBACK refused the subscription."""

    topic: str
    reason: str


ConnectionEvent = Acknowledged | ReceivedMessage | Disconnected | SubscriptionRefused
