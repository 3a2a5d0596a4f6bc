"""Play a clip, or look and listen live, through the whole pipeline, and show what an MQTT client receives."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from affectd.cli.exit_monitor import ExitMonitor
from affectd.cli.options import existing_clip
from affectd.config import Config
from affectd.config.file import load

if TYPE_CHECKING:
    from affectd.cli.message_lines import MessageFormatter
    from affectd.cli.subscriber import Subscriber
    from affectd.publish.connection_events import ReceivedMessage

HELP = "show the whole pipeline at work, with a broker of its own"
LOOPBACK = "127.0.0.1"
LINGER_S = 1.0
"""How long to listen on after the pipeline has ended."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd demo`."""
    parser.add_argument("--video", type=Path, metavar="FILE", help="your own clip instead of the bundled one")
    parser.add_argument("--camera", action="store_true", help="the real camera instead of a clip")
    parser.add_argument("--microphone", action="store_true", help="the real microphone instead of a clip's sound")
    parser.add_argument("--for", type=float, metavar="SECONDS", dest="seconds", help="end after this long")


def run(args: argparse.Namespace) -> int:
    """Run the pipeline against an embedded broker and show its events; 0 if at least one emotion arrived."""
    from affectd import assembly
    from affectd.cli.embedded_broker import EmbeddedBroker
    from affectd.cli.message_lines import MessageFormatter
    from affectd.cli.subscriber import Subscriber
    from affectd.daemon import Daemon
    from affectd.service.log import set_up_logging

    monitor = ExitMonitor()
    set_up_logging("WARNING")
    live = args.camera or args.microphone
    clip = None if live and args.video is None else existing_clip(args.video, option="--video")
    privacy = assembly.privacy_sources(load(None, os.environ)) if live else None

    def go_on() -> bool:
        """Whether real devices may stay open. Raises CaptureError while privacy is on."""
        if privacy is None:
            return True
        privacy.require_off()
        return monitor.exit_reason() is None

    go_on()
    formatter = MessageFormatter(colours=sys.stdout.isatty())
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="affectd-demo-") as folder, EmbeddedBroker() as broker:
        config = _demo_config(args, clip, folder, broker.port)
        topics = [
            f"{config.mqtt.base_topic}/{config.device.id}/{topic}" for topic in ("availability", "state", "event")
        ]
        _print_start(config)
        with Subscriber(config.mqtt, topics) as subscriber, ThreadPoolExecutor(1) as executor:
            stop = threading.Event()
            daemon = executor.submit(Daemon(config, privacy=assembly.own_privacy(config)).run, stop)
            try:
                _show(subscriber, formatter, tally, daemon, args.seconds, go_on=go_on)
            except KeyboardInterrupt:
                print()
            finally:
                stop.set()
            daemon.result()
    print(tally.summary())
    return 0 if tally.emotions else 1


@dataclass
class Tally:
    """What the subscriber received."""

    events: int = 0
    emotions: int = 0
    """Events that name an emotion; the others have none."""
    latencies_ms: list[float] = field(default_factory=list)
    """From the capture of the newest evidence to the subscriber."""

    def count(self, message: ReceivedMessage) -> None:
        """Take in a message of any topic."""
        if not message.topic.endswith("/event"):
            return
        event = json.loads(message.payload)
        stamped = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()
        self.events += 1
        self.emotions += event["emotion"] is not None
        self.latencies_ms.append(event["latency_ms"] + 1000 * (time.time() - stamped))

    def summary(self) -> str:
        """Return the closing lines."""
        if not self.emotions:
            return (
                f"{self.events} events received, none with an emotion: no face seen, nobody heard speaking; "
                "'affectd check' looks at camera and microphone"
            )
        median, worst = statistics.median(self.latencies_ms), max(self.latencies_ms)
        return (
            f"{self.events} events received over MQTT, {self.emotions} of them with an emotion; "
            f"from capture to subscriber {median:.0f} ms median, {worst:.0f} ms at most"
        )


def _show(
    subscriber: Subscriber,
    formatter: MessageFormatter,
    tally: Tally,
    daemon: Future[None],
    seconds: float | None,
    *,
    go_on: Callable[[], bool],
) -> None:
    """Print what arrives until the pipeline has ended, or for `seconds`, and only while `go_on` returns true."""
    end = math.inf if seconds is None else time.monotonic() + seconds
    while time.monotonic() < end and go_on():
        if daemon.done():
            end = min(end, time.monotonic() + LINGER_S)
        message = subscriber.receive(0.2)
        if message is not None:
            tally.count(message)
            line = formatter.line(message)
            if line:
                print(line, flush=True)


def _demo_config(args: argparse.Namespace, clip: Path | None, folder: str, port: int) -> Config:
    """Return settings that leave nothing behind: the embedded broker, an outbox in a temporary folder."""
    environ = {
        **os.environ,
        "AFFECTD_DEVICE_ID": "demo",
        "AFFECTD_CAMERA_SOURCE": "auto" if args.camera or clip else "off",
        "AFFECTD_MICROPHONE_SOURCE": "default" if args.microphone else "auto" if clip else "off",
        "AFFECTD_MQTT_HOST": LOOPBACK,
        "AFFECTD_MQTT_PORT": str(port),
        "AFFECTD_OUTBOX_PATH": str(Path(folder) / "outbox.db"),
    }
    config = load(None, environ)
    if clip is None:
        return config
    # Not through the environment: a file's name need not be text.
    return dataclasses.replace(config, camera=dataclasses.replace(config.camera, source=str(clip.absolute())))


def _print_start(config: Config) -> None:
    ending = "; Ctrl-C ends" if config.camera.source in ("auto", "off") else ""
    print(f"camera: {config.camera.source}, microphone: {config.microphone.source}{ending}")
    print(f"broker: embedded, {config.mqtt.host}:{config.mqtt.port}; an MQTT client of its own shows what arrives:")
