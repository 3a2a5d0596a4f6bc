"""Notifications to systemd: ready, status, stopping, and alive only while every component makes progress.

The protocol is sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names. Without it nothing is sent.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Mapping

from affectd.service.component_status import ComponentStatus

log = logging.getLogger(__name__)

SLOW_S = 10.0
"""A device that takes longer to deliver than this does not hold up the start: it may be frozen."""


class Notifier:
    """Sends to the service manager, or to nobody when there is none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._sentence = ""
        own = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "") if own else ""
        self.watchdog_s: float | None = int(microseconds) / 1e6 if microseconds.isdecimal() else None
        """How long the service manager waits for a sign of life; None: it does not."""

    def ready(self) -> None:
        """Report that the daemon has started."""
        self._send("READY=1")

    def extend_start(self, seconds: float) -> None:
        """Ask for so long, from now on, until the daemon is ready."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(1e6 * seconds)}")

    def status(self, sentence: str) -> None:
        """Show a line in `systemctl status`; sent when it is another than the last."""
        if sentence != self._sentence:
            self._sentence = sentence
            self._send("STATUS=" + " ".join(sentence.split()))

    def stopping(self) -> None:
        """Report that the daemon is about to end."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Reset the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.connect(self._address)
                channel.sendall(message.encode())
        except OSError as fault:
            log.debug("the service manager did not take %r: %s", message, fault)


def first_pass_made(statuses: Iterable[ComponentStatus], now: float) -> bool:
    """Whether fusion has been through once, and every other component has come up, failed, was left off, or is slow."""
    fused = False
    for status in statuses:
        progressed = status.last_progress is not None or status.state == "finished"
        if status.state == "starting" and not status.restarts and now - status.started_at < SLOW_S:
            return False
        fused = fused or (status.name == "fusion" and progressed)
    return fused


def stuck(statuses: Iterable[ComponentStatus], since: float) -> list[str]:
    """Name the components that gave no sign of life after `since` (monotonic) and are not excused.

    Excused are those that are off or finished, that wait for a restart, or that are replaced when they hang.
    One that does not stop when told to, hangs again and again, or is not restarted, counts as stuck.
    """
    names = []
    for status in statuses:
        excused = status.state in {"off", "finished", "waiting"} or status.deadline_s is not None
        if status.state == "failed" or not (excused or status.last_sign > since):
            names.append(status.name)
    return names


class Watchdog:
    """Passes the components' progress on to the service manager's watchdog; withholds it when one is stuck."""

    def __init__(self, notifier: Notifier, now: float) -> None:
        self._notifier = notifier
        self._period_s = None if notifier.watchdog_s is None else notifier.watchdog_s / 2
        self._last = now
        self._stuck: list[str] = []

    def tick(self, statuses: Iterable[ComponentStatus], now: float) -> None:
        """Ping when half the watchdog's time is over and all moved since the last ping; call it every second or so."""
        if self._period_s is None or now - self._last < self._period_s:
            return
        names = stuck(statuses, self._last)
        if names and names != self._stuck:
            log.error("%s made no progress for %.0f s", " and ".join(names), now - self._last)
        self._stuck = names
        if not names:
            self._notifier.alive()
            self._last = now
