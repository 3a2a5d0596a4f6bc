"""How large a message the broker takes, found out the hard way: some hang up at larger ones instead of refusing them."""

from __future__ import annotations

import time

TRIES = 3
"""So many connections must have ended at a message before it is held to be the cause."""
AGAIN_S, AGAIN_AT_MOST_S = 60.0, 3600.0
"""What is withheld is offered again after the first, then after twice as long each time, up to the second."""


class SizeLimit:
    """Learns from the messages that ended a connection while they were alone on their way.

    Three of them, each larger than everything that was taken over the same connection, set the limit, and one more
    lowers it. One that is no larger than what was taken is withheld for its topic alone. What is withheld is offered
    again now and then, the smallest first and as long as the broker takes it, for its limit may have been raised: a
    limit that still holds costs one connection each time.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.doubtful_from: int | None = None
        """Bytes of the smallest message that the broker is known to hang up at; None: none known."""
        self._limit: int | None = None
        """Withheld from so many bytes on: above `doubtful_from` while something larger is tried."""
        self._needed = TRIES
        self._ended_at: list[int] = []
        """Bytes of what ended a connection, and nothing larger was taken."""
        self._times: dict[str, int] = {}
        """Topic to how many connections its messages ended although larger ones are taken."""
        self._withheld: dict[str, int] = {}
        """Topic to bytes of its smallest message that the limit withholds."""
        self._wait_s, self._again_at, self._tried_at = AGAIN_S, 0.0, 0.0

    def withholds(self, topic: str, size: int) -> bool:
        """Whether the broker would hang up at a message for its size."""
        if self._limit is None or size < self._limit:
            return False
        self._withheld[topic] = min(size, self._withheld.get(topic, size))
        return True

    def bars(self, topic: str) -> bool:
        """Whether the broker hung up at this topic's messages again and again, and takes larger ones."""
        return self._times.get(topic, 0) >= TRIES

    def took(self, topic: str, size: int) -> None:
        """The broker took a message."""
        self._times.pop(topic, None)
        self._ended_at = [ended for ended in self._ended_at if ended > size]
        if self.doubtful_from is not None and size >= self.doubtful_from:
            self.doubtful_from = size + 1
            self._wait_s, self._again_at = AGAIN_S, 0.0  # it has been raised: the next larger one at once

    def ended(self, topic: str, size: int, largest_taken: int) -> None:
        """A message ended the connection over which up to `largest_taken` bytes were taken."""
        if size <= largest_taken:
            self._times[topic] = self._times.get(topic, 0) + 1
            if self._times[topic] == TRIES:
                self._wait()
            return
        self._ended_at.append(size)
        if len(self._ended_at) >= self._needed:
            self._limit = self.doubtful_from = min(self._ended_at)
            self._ended_at.clear()
            self._needed = 1
            self._wait()

    def lost_otherwise(self) -> None:
        """No message ended the connection: perhaps the broker was restarted with another limit, so try again soon."""
        self._again_at = min(self._again_at, self._tried_at + AGAIN_S)

    def offer_again(self) -> bool:
        """Whether the time has come to offer again what is withheld; then the smallest of it is not withheld now."""
        barred = [topic for topic, times in self._times.items() if times >= TRIES]
        if (self._limit is None and not barred) or time.monotonic() < self._again_at:
            return False
        self._wait_s = min(AGAIN_AT_MOST_S, 2 * self._wait_s)
        self._wait()
        self._times |= dict.fromkeys(barred, TRIES - 1)
        self._limit = min(self._withheld.values()) + 1 if self._withheld else None
        if self._limit is None:
            self.doubtful_from = None
        self._withheld.clear()
        return True

    def _wait(self) -> None:
        self._tried_at = time.monotonic()
        self._again_at = self._tried_at + self._wait_s
