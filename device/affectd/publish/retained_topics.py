"""Retained topics of earlier runs: what a box no longer publishes must not stand at the broker for ever."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)


class RetainedTopics:
    """Remembers, in a file beside the outbox, on which topics something may be retained.

    So another device.id, base topic or discovery prefix leaves no ghost behind. A file that cannot be read or
    written costs that, and nothing else.
    """

    def __init__(self, file: Path | None) -> None:
        """Read the file, unless it is None: then nothing is remembered."""
        self._file = file
        self._topics: set[str] = set()
        with suppress(OSError, ValueError, TypeError):
            if file is not None:
                self._topics = {str(topic) for topic in json.loads(file.read_bytes())}

    def begin(self, topics: Collection[str]) -> set[str]:
        """Take in the topics of this run; return those of earlier runs that are to be cleared."""
        stale = self._topics - set(topics)
        if not self._topics >= set(topics):
            self._topics |= set(topics)
            self._write()
        return stale

    def cleared(self, topic: str) -> None:
        """Forget a topic: the broker retains nothing there any more, or refuses to clear it."""
        self._topics.discard(topic)
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(sorted(self._topics)))
        except OSError as error:
            log.debug("%s cannot be written: %s", self._file, error)
