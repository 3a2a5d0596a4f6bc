"""Sends what waits in the outbox: in order, at a bounded rate, and past an event that the broker never takes."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from affectd.backoff import Backoff
from affectd.errors import OutboxError
from affectd.publish.connection import Connection, TooLargeError
from affectd.publish.connection_events import Acknowledged
from affectd.publish.in_flight import InFlight
from affectd.publish.replay_rate import MOST, ReplayRate
from affectd.store.event_file import Stored
from affectd.store.outbox import Outbox

log = logging.getLogger(__name__)

TRIES = 3
"""So often an event is offered that the broker refuses although it took a later one; then it is dropped."""
RETRY = Backoff(first_s=1.0, longest_s=30.0)
"""When a refused event is offered again, after so many rounds in which none was taken: an ACL may deny them all."""
OUTBOX_WAIT_S = 2.0
"""An outbox that could not be read is tried again this much later."""
_IDLE_S = 1.0
_BATCH_S = 0.1


class EventSender:
    """Takes events from the outbox to one connection after the other, and out of it with their PUBACK.

    A refusal ends a round: what is in flight is waited for, and a little later all that wait are offered
    again, in order. Where the broker takes none, none is dropped: that is an ACL to be mended, not an event.
    Some brokers hang up instead of refusing: after a connection that broke off, events go one by one until
    they are taken again. One at which the broker hung up `TRIES` times while it was alone on its way is passed
    over, offered once more when a later one was taken, and dropped if the broker hangs up at it again. One that is
    as large as what the broker is known to hang up at stays in the outbox and is not sent until that is tried again.
    """

    def __init__(self, outbox: Outbox, topic: str, in_flight: InFlight, *, at_most_per_s: float) -> None:
        """Send to `topic` so many a second at most; touches nothing yet."""
        self.sent = 0
        """Events acknowledged by the broker."""
        self.denied = 0
        """Times that the broker would not take an event."""
        self.trouble: str | None = None
        """Why events wait although there is a connection; None when they flow."""
        self._outbox, self._topic = outbox, topic
        self._openings = outbox.openings
        self._refused_times: dict[int, int] = {}
        self._shared = in_flight
        """What is on its way, documents too."""
        self._rate = ReplayRate(at_most_per_s)
        self._offer_again = False
        self._accepted_up_to = 0
        """The highest seq that the broker ever took."""
        self._fruitless_rounds = 0
        self._at_once = MOST
        self._hung_up_times: dict[int, int] = {}
        self._last_chance: set[int] = set()
        self._in_flight: dict[int, tuple[int, float]] = {}
        """mid to seq and when it was sent, oldest first."""
        self._begin_round()

    def begin(self) -> None:
        """Start over with a new connection: what the last one left unacknowledged is sent again."""
        if self._in_flight:
            self._at_once = 1
        self._in_flight.clear()
        self._rate.begin()
        self._begin_round()

    def blame(self, mid: int) -> None:
        """Hold the end of the connection against the event with this mid, if it is one."""
        with suppress(KeyError):
            seq, _ = self._in_flight[mid]
            self._hung_up_times[seq] = self._hung_up_times.get(seq, 0) + 1

    def offer_again(self) -> None:
        """Try what was too large once more: the broker's limit may have been raised."""
        self._offer_again = True

    def _begin_round(self) -> None:
        self._sent_up_to = 0
        self._fruitless = True
        self._refused: set[int] = set()
        self._passed_over: dict[int, str] = {}
        """Not sent at all, and why."""
        self._withheld = False
        """Whether events were left out that are too large for the broker."""
        self._offer_again = False
        self._resume_at: float | None = None

    @property
    def oldest_sent_at(self) -> float | None:
        """When the event was sent that has waited longest for its PUBACK; None while none waits."""
        return next((sent_at for _, sent_at in self._in_flight.values()), None)

    def settle(self, answer: Acknowledged) -> bool:
        """Process an acknowledgement; return whether it was for an event."""
        seq, sent_at = self._in_flight.pop(answer.mid, (None, 0.0))
        if seq is None:
            return False
        self._rate.acknowledged(time.monotonic() - sent_at)
        if answer.refusal is not None:
            self._refuse(seq, answer.refusal)
        else:
            self._accept(seq)
        return True

    def _accept(self, seq: int) -> None:
        self._outbox.acknowledge(seq)
        self.sent += 1
        self._at_once = min(MOST, 2 * self._at_once)
        self._forget_faults(seq)
        self._accepted_up_to = max(self._accepted_up_to, seq)
        self._fruitless = False
        for passed in [passed for passed in self._passed_over if passed < seq]:
            self._decide(passed, self._passed_over.pop(passed))
        if not (self._refused or self._passed_over or self._withheld):
            self.trouble = None
            self._fruitless_rounds = 0

    def send(self, connection: Connection) -> float:
        """Send what may be sent now; return in how many seconds to call again at the latest."""
        now = time.monotonic()
        if self._refused and self._resume_at is None:
            if self._in_flight:
                return _IDLE_S
            self._end_round(now)
        if self._outbox.openings != self._openings or self._offer_again:
            if self._in_flight:
                return _IDLE_S
            self._openings = self._outbox.openings
            self._begin_round()
        if self._resume_at is not None:
            if now < self._resume_at:
                return min(_IDLE_S, self._resume_at - now)
            self._begin_round()
        allowed = min(min(self._at_once, self._rate.window) - len(self._in_flight), self._rate.allowed())
        if allowed < 1:
            return _BATCH_S
        try:
            waiting = self._outbox.pending(self._sent_up_to, allowed)
        except OutboxError as error:
            self._complain(str(error))
            self._resume_at = now + OUTBOX_WAIT_S
            return _IDLE_S
        for event in waiting:
            if not self._send_one(connection, event, now):
                return _BATCH_S
        if len(waiting) < allowed:
            return _IDLE_S
        self._rate.held_back()
        return _BATCH_S

    def _send_one(self, connection: Connection, event: Stored, now: float) -> bool:
        """Send an event, or pass over one that the broker hangs up at; false when it must wait."""
        hung_up = self._hung_up_times.get(event.seq, 0)
        if hung_up > TRIES or (hung_up == TRIES and event.seq not in self._last_chance):
            self._sent_up_to = event.seq
            self._pass_over(event.seq, f"it hung up {hung_up} times when it was sent event {event.seq}")
            return True
        size = len(event.payload)
        if event.seq not in self._last_chance and self._shared.limit.withholds(self._topic, size):
            self._sent_up_to = event.seq
            self._withhold()
            return True
        if self._shared.full or not self._shared.may_send(self._topic, size):
            return False
        self._sent_up_to = event.seq
        self._rate.spend()
        try:
            mid = connection.publish(self._topic, event.payload, qos=1, retain=False)
        except TooLargeError as error:
            self._pass_over(event.seq, f"event {event.seq} is {error}")
            return True
        if mid is not None:
            self._in_flight[mid] = (event.seq, now)
            self._shared.sent(mid, self._topic, size)
        return mid is not None

    def _withhold(self) -> None:
        """Leave an event in the outbox that the broker would hang up at for its size."""
        self._withheld = True
        self._complain(
            f"the broker hangs up at messages of {self._shared.limit.doubtful_from} bytes, and events are as large; "
            "raise its limit (mosquitto: message_size_limit)"
        )

    def _pass_over(self, seq: int, reason: str) -> None:
        """Leave out an event that would cost the connection, until a later one is taken."""
        self.denied += 1
        self._passed_over[seq] = reason
        self._complain(f"the broker does not take an event: {reason}")

    def _decide(self, seq: int, reason: str) -> None:
        """The broker works: offer once more what was passed over, for it may have been the network, or drop it."""
        if self._hung_up_times.get(seq) == TRIES:
            self._last_chance.add(seq)
            self._refused.add(seq)  # ends the round; the next begins with this one
        else:
            self._drop(seq, reason)

    def _refuse(self, seq: int, reason: str) -> None:
        self.denied += 1
        self._refused.add(seq)
        self._complain(f"the broker does not take events on {self._topic}: {reason}; see its ACL and its limits")

    def _end_round(self, now: float) -> None:
        """Count who was refused although a later event was taken, drop whom that befell too often, and wait."""
        for seq in sorted(self._refused):
            if seq > self._accepted_up_to:
                continue
            self._refused_times[seq] = times = self._refused_times.get(seq, 0) + 1
            if times >= TRIES:
                self._drop(seq, f"the broker refused it {times} times")
        self._fruitless_rounds = self._fruitless_rounds + 1 if self._fruitless else 0
        self._resume_at = now + RETRY.delay_s(self._fruitless_rounds + 1)

    def _drop(self, seq: int, reason: str) -> None:
        log.error("event %d is dropped, for the broker takes others: %s", seq, reason)
        self._outbox.drop(seq)
        self._forget_faults(seq)

    def _forget_faults(self, seq: int) -> None:
        self._refused_times.pop(seq, None)
        self._hung_up_times.pop(seq, None)
        self._last_chance.discard(seq)

    def _complain(self, sentence: str) -> None:
        if sentence != self.trouble:
            log.error("%s; events stay in the outbox", sentence)
        self.trouble = sentence
