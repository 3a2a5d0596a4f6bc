"""Log lines for a person at a terminal, or with journald's priorities when systemd reads them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class JournalFormatter(logging.Formatter):
    """Puts sd-daemon(3)'s `<N>` before every line, so that a traceback keeps its priority too."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines, each with its priority; the journal adds the time."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def set_up_logging(level: str = "INFO", environment: Mapping[str, str] = os.environ) -> None:
    """Log to standard error from now on, at `level` and above."""
    handler = logging.StreamHandler(sys.stderr)
    if _is_journal(environment.get("JOURNAL_STREAM", "")):
        handler.setFormatter(JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _is_journal(stream: str) -> bool:
    """Return whether standard error is the stream (device:inode) that systemd.exec(5) names."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"
