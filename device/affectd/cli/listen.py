"""Subscribe to one or all devices and show their messages, live."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from affectd.cli.options import add_broker_options, add_config_option, load_client_config

if TYPE_CHECKING:
    from affectd.cli.subscriber import Subscriber
    from affectd.publish.connection_events import ReceivedMessage

HELP = "show events live as they arrive over MQTT"
TOPICS = ("event", "state", "people", "availability", "health", "info", "privacy", "faces", "voice")
DEFAULT_TOPICS = TOPICS[:5]
POLL_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd listen`."""
    parser.add_argument("device", nargs="?", default="+", help="device id; without it: all devices")
    parser.add_argument("--json", action="store_true", help="a JSON line a message: received, topic, retained, payload")
    parser.add_argument(
        "--topic",
        action="append",
        choices=TOPICS,
        metavar="NAME",
        dest="topics",
        help=f"only these, again for more: {', '.join(TOPICS)}; without it: the first {len(DEFAULT_TOPICS)}",
    )
    parser.add_argument("--count", type=int, metavar="N", help="end after N events")
    parser.add_argument("--for", type=float, metavar="SECONDS", dest="seconds", help="end after this long")
    add_config_option(parser, default=True)
    add_broker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Show messages until told to end."""
    from affectd.cli.message_lines import MessageFormatter
    from affectd.cli.subscriber import Subscriber
    from affectd.service.log import set_up_logging

    set_up_logging("WARNING")
    config = load_client_config(args)
    formatter = MessageFormatter(colours=sys.stdout.isatty())
    end = float("inf") if args.seconds is None else time.monotonic() + args.seconds
    topics = [f"{config.base_topic}/{args.device}/{topic}" for topic in args.topics or DEFAULT_TOPICS]
    with Subscriber(config, topics, patience_s=args.seconds) as subscriber:
        if not args.json and sys.stdout.isatty():
            print(f"listening at {config.host}:{config.port} to {config.base_topic}/{args.device} (Ctrl-C ends)")
        for message in _until(subscriber, args.count, end):
            line = _as_json(message) if args.json else formatter.line(message)
            if line:
                print(line, flush=True)
    return 0


def _until(subscriber: Subscriber, count: int | None, end: float) -> Iterator[ReceivedMessage]:
    """Yield messages until `count` events came or the monotonic second `end` is there; None means without end."""
    while (count is None or count > 0) and (left := end - time.monotonic()) > 0:
        message = subscriber.receive(min(POLL_S, left))
        if message is None:
            continue
        yield message
        if count is not None and message.topic.endswith("/event"):
            count -= 1


def _as_json(message: ReceivedMessage) -> str:
    at = datetime.fromtimestamp(message.received, timezone.utc).isoformat(timespec="milliseconds")
    line = {"received": at.replace("+00:00", "Z"), "topic": message.topic, "retained": message.retained}
    text = message.payload.decode("utf-8", errors="replace")
    try:
        return json.dumps({**line, "payload": json.loads(text)}, allow_nan=False)
    except (ValueError, RecursionError):  # no JSON: NaN and the like are none either
        return json.dumps({**line, "payload": text})
