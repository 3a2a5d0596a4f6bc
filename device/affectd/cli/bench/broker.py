"""The broker to measure against: the configured one, else a mosquitto of our own where it is installed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affectd.config import MqttConfig
from affectd.errors import BrokerError

LOOPBACK = "127.0.0.1"
START_S = 10.0


@contextmanager
def bench_broker(config: MqttConfig, *, given: bool) -> Iterator[MqttConfig | None]:
    """Return the settings of the broker to use; None when none is configured and mosquitto is not installed."""
    # Debian keeps daemons out of an ordinary user's PATH.
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if given:
        yield config
    elif program is None:
        yield None
    else:
        with tempfile.TemporaryDirectory(prefix="affectd-bench-") as folder:
            port = _free_port()
            settings = Path(folder) / "mosquitto.conf"
            settings.write_text(f"listener {port} {LOOPBACK}\nallow_anonymous true\npersistence false\n")
            command = [program, "-c", str(settings)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
            try:
                _wait_until_open(port)
                yield dataclasses.replace(MqttConfig(), host=LOOPBACK, port=port)
            finally:
                process.terminate()
                process.wait(START_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_open(port: int) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            socket.create_connection((LOOPBACK, port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BrokerError(f"mosquitto did not start on {LOOPBACK}:{port} within {START_S:g} s")
