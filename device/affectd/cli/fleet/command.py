"""Show all boxes at a broker in one table: who is online, what is wrong, what is seen."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from affectd.cli.fleet.row import TOPICS, Row, make_row
from affectd.cli.fleet.table import Screen, lines
from affectd.cli.options import add_broker_options, add_config_option, load_client_config

if TYPE_CHECKING:
    from affectd.cli.subscriber import Subscriber
    from affectd.publish.connection_events import ReceivedMessage

HELP = "show all boxes in one table"
ONE_SHOT_S = 3.0
REDRAW_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd fleet`."""
    parser.add_argument("--json", action="store_true", help="one JSON line a box, once")
    parser.add_argument(
        "--for",
        type=float,
        metavar="SECONDS",
        dest="seconds",
        help=f"end after this long; without it: never on a terminal, else after {ONE_SHOT_S:g}",
    )
    add_config_option(parser, default=True)
    add_broker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Follow the boxes, on a terminal in a live table, else for a while and then once."""
    from affectd.cli.subscriber import Subscriber
    from affectd.service.log import set_up_logging

    live = sys.stdout.isatty() and not args.json
    set_up_logging("ERROR" if live else "WARNING")  # the table itself shows that the broker is away
    config = load_client_config(args)
    seconds = args.seconds if live or args.seconds is not None else ONE_SHOT_S
    end = float("inf") if seconds is None else time.monotonic() + seconds
    boxes = Boxes()
    topics = [f"{config.base_topic}/+/{topic}" for topic in TOPICS]
    with Subscriber(config, topics, patience_s=seconds) as subscriber:
        if live:
            _follow(subscriber, boxes, end)
        else:
            while boxes.take(subscriber, end):
                pass
    if args.json:
        for row in boxes.rows():
            print(json.dumps(row.to_json()))
    elif not live:
        print("\n".join(lines(boxes.rows())))
    return 0


def _follow(subscriber: Subscriber, boxes: Boxes, end: float) -> None:
    """Draw the table again, at most once in `REDRAW_S`, while there is time."""
    screen = Screen()
    while time.monotonic() < end:
        pause = min(end, time.monotonic() + REDRAW_S)
        while boxes.take(subscriber, pause):
            pass
        table = lines(boxes.rows())
        if not subscriber.connected:
            table[0] += " (the broker is away: as last received)"
        size = shutil.get_terminal_size()
        sys.stdout.write(screen.draw(table, size.columns, size.lines))
        sys.stdout.flush()


class Boxes:
    """The newest messages of every box, and the rows made of them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._messages: dict[str, dict[str, Any]] = {}
        self._rows: dict[str, Row] = {}
        """Rows of boxes without a message since."""

    def take(self, subscriber: Subscriber, end: float) -> bool:
        """Take in the next message; return False when none came until the monotonic second `end`."""
        message = subscriber.receive(end - time.monotonic())
        if message is None:
            return False
        self.update(message)
        return True

    def update(self, message: ReceivedMessage) -> None:
        """Take in a message; an empty one clears what was retained on its topic."""
        *_, box, topic = message.topic.split("/")
        messages = self._messages.setdefault(box, {})
        self._rows.pop(box, None)
        if message.payload:
            messages[topic] = _read(topic, message.payload)
        else:
            messages.pop(topic, None)
        if not messages:
            del self._messages[box]

    def rows(self) -> list[Row]:
        """Return a row for each box, those that need somebody first."""
        for box, messages in self._messages.items():
            if box not in self._rows:
                self._rows[box] = make_row(box, messages)
        return sorted(self._rows.values(), key=lambda row: row.rank)


def _read(topic: str, payload: bytes) -> Any:
    """Return a message's content; None when it is not affectd's."""
    try:
        return payload.decode("utf-8") if topic == "availability" else json.loads(payload)
    except (ValueError, RecursionError):
        return None
