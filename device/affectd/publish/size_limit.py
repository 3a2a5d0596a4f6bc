"""How large a message the broker takes, for those that hang up at a larger one instead of refusing it."""

from __future__ import annotations

import time

from affectd.backoff import Backoff

TRIES = 3
"""So many connections must have ended at a message before it is held to be the cause."""
RETRY = Backoff(first_s=60.0, longest_s=3600.0)
"""When what is withheld is offered again."""


class SizeLimit:
    """Learns from the messages that ended a connection while they were alone on their way.

    Three of them, each larger than everything that was taken over the same connection, set the limit, and one more
    lowers it. One that is no larger than what was taken is withheld for its topic alone. What is withheld is offered
    again now and then, for the limit may have been raised: the smallest document or the oldest event, and everything
    up to twice its size when that is taken. A limit that still holds costs one connection each time.
    """

    def __init__(self) -> None:
        """Begin without any limit."""
        self.doubtful_from: int | None = None
        """Bytes of the smallest message that the broker is known to hang up at; None: none known."""
        self._limit: int | None = None
        """Withheld from so many bytes on: above `doubtful_from` while something larger is tried."""
        self._needed = TRIES
        self._ended_at: list[int] = []
        """Bytes of what ended a connection, and nothing larger was taken."""
        self._times: dict[str, int] = {}
        """Topic to how many connections its messages ended."""
        self._barred: set[str] = set()
        """Topics whose messages end connections over which larger ones are taken."""
        self._withheld: dict[str, int] = {}
        """Topic to bytes of its oldest message that the limit withholds."""
        self._raised = False
        """Whether the broker took what it had hung up at."""
        self._offers, self._again_at, self._tried_at = 0, 0.0, 0.0

    def withholds(self, topic: str, size: int) -> bool:
        """Whether the broker would hang up at a message for its size."""
        if self._limit is None or size < self._limit:
            return False
        self._withheld.setdefault(topic, size)
        return True

    def bars(self, topic: str) -> bool:
        """Whether the broker hung up at this topic's messages again and again, and takes larger ones."""
        return topic in self._barred

    def took(self, topic: str, size: int) -> None:
        """The broker took a message."""
        self._times.pop(topic, None)
        self._ended_at = [ended for ended in self._ended_at if ended > size]
        if self.doubtful_from is not None and size >= self.doubtful_from:
            self.doubtful_from = size + 1
            self._raised, self._offers, self._again_at = True, 0, 0.0

    def ended(self, topic: str, size: int, largest_taken: int) -> None:
        """A message ended the connection over which up to `largest_taken` bytes were taken."""
        self._times[topic] = self._times.get(topic, 0) + 1
        if size <= largest_taken:
            if self._times[topic] >= TRIES:
                self._barred.add(topic)
                self._wait()
            return
        self._ended_at.append(size)
        if len(self._ended_at) >= self._needed:
            self._limit = self.doubtful_from = min(self._ended_at)
            self._ended_at.clear()
            self._needed = 1
            self._withheld.setdefault(topic, size)
            self._wait()

    def lost_otherwise(self) -> None:
        """No message ended the connection: what came before may have been the network, or the broker had other trouble.

        It may also have been restarted with another limit, so it is tried again soon.
        """
        self._ended_at.clear()
        self._times.clear()
        self._again_at = min(self._again_at, self._tried_at + RETRY.first_s)

    def offer_again(self) -> bool:
        """Whether the time has come to offer again what is withheld; then some of it is withheld no more."""
        if (self._limit is None and not self._barred) or time.monotonic() < self._again_at:
            return False
        self._offers += 1
        self._wait()
        self._barred.clear()  # the next time bars it again
        if not self._withheld:
            self._limit = self.doubtful_from = None
            self._needed = TRIES
        else:
            assert self.doubtful_from is not None
            self._limit = max(min(self._withheld.values()) + 1, 2 * self.doubtful_from if self._raised else 0)
        self._raised = False
        self._withheld.clear()
        return True

    def _wait(self) -> None:
        self._tried_at = time.monotonic()
        self._again_at = self._tried_at + RETRY.delay_s(self._offers + 1)
