"""Everything that goes to the broker: events, retained documents and readings, over one connection after the other."""

from __future__ import annotations

from affectd.publish.connection import Connection
from affectd.publish.connection_events import Acknowledged, Disconnected
from affectd.publish.document_sender import DocumentSender
from affectd.publish.event_sender import EventSender
from affectd.publish.in_flight import InFlight
from affectd.publish.topics import Topics
from affectd.store.outbox import Outbox

STALE_S = 86_400
"""Message expiry of retained documents: a box that is there publishes them anew long before."""
WITHOUT_DISCOVERY = 'without it Home Assistant does not see this box (mqtt.discovery_prefix = "" if it need not)'


class Outgoing:
    """The senders of events and documents, and what both of them have in flight."""

    def __init__(self, outbox: Outbox, topics: Topics, *, at_most_per_s: float) -> None:
        """Send at most so many events a second; nothing is sent without a connection."""
        self.in_flight = InFlight()
        self.documents = DocumentSender(
            (topics.availability, b"online"),
            self.in_flight,
            remarks={topics.discovery: WITHOUT_DISCOVERY},
            expires_s=dict.fromkeys((topics.state, topics.people, topics.health), STALE_S),
        )
        self.events = EventSender(outbox, topics.event, self.in_flight, at_most_per_s=at_most_per_s)

    @property
    def trouble(self) -> str | None:
        """What the broker does not take although there is a connection; None when it takes all."""
        return "; ".join(each for each in (self.events.trouble, self.documents.trouble) if each is not None) or None

    def begin(self, connection: Connection) -> None:
        """Start over with a new connection."""
        self.in_flight.begin(connection.round_trip_s, connection.unacknowledged_at_most)
        self.documents.begin()
        self.events.begin()

    def send(self, connection: Connection) -> float:
        """Send what may be sent now; return in how many seconds to call again at the latest."""
        if self.in_flight.limit.offer_again():
            self.documents.offer_again()
            self.events.offer_again()
        return min(self.documents.send(connection), self.events.send(connection))

    def settle(self, answer: Acknowledged) -> bool:
        """Take the broker's answer; return whether it was to an event or a document."""
        self.in_flight.settle(answer.mid)
        return self.documents.settle(answer) or self.events.settle(answer)

    def disconnected(self, event: Disconnected) -> str:
        """Hold the end of the connection against the message at which it ended, if there is one; return the reason."""
        sent = self.in_flight.ended(event)
        if sent is None:
            return event.reason
        if sent.mid is not None:
            self.events.blame(sent.mid)
        return f"{event.reason} when {sent.topic} ({sent.size} bytes) was sent"
