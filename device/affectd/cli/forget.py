"""Clear what the broker keeps of a box that is gone: its retained messages and its entry in Home Assistant."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from affectd.cli.options import add_broker_options, add_config_option, load_service_config
from affectd.errors import BrokerError

if TYPE_CHECKING:
    from affectd.publish.topics import Topics

HELP = "clear what the broker keeps of a box that is gone"
WRONG_COMMAND_LINE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd forget`."""
    parser.add_argument("box", type=_box, metavar="BOX", help="device id")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--force", action="store_true", help="also a box that is online, and says it all again")
    add_config_option(parser, default=True)
    add_broker_options(parser)


def run(args: argparse.Namespace) -> int:
    """List what is kept, ask, clear it, and look whether it is gone."""
    from affectd.cli import retained
    from affectd.publish.topics import Topics

    config = load_service_config(args).mqtt
    topics = Topics(config.base_topic, args.box, config.discovery_prefix)
    found = retained.kept(config, topics)
    if not found:
        print(f"{args.box}: the broker keeps nothing that {_who(config.username)} may read")
        return 0
    if found.get(topics.availability) == b"online" and not args.force:
        print(f"affectd: {args.box} is online; stop it first, or add --force: nothing was cleared", file=sys.stderr)
        return WRONG_COMMAND_LINE
    for topic in sorted(found):
        print(f"kept     {topic}  ({len(found[topic])} bytes)")
    if not args.yes and not _agreed(len(found)):
        return WRONG_COMMAND_LINE
    refusals = retained.clear(config, sorted(found))
    left = retained.kept(config, topics)
    for topic in sorted(found.keys() - left.keys()):
        print(f"cleared  {topic}")
    if left:
        raise BrokerError(_refused(left.keys(), refusals, topics, _who(config.username)))
    return 0


def _box(text: str) -> str:
    """Return the device id. Raises ArgumentTypeError for what is none, above all for a wildcard."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no device id: letters, digits, - and _, at most 64")
    return text


def _agreed(count: int) -> bool:
    """Ask whether to clear so many; without a terminal the answer is no."""
    if not sys.stdin.isatty():
        print("affectd: nothing was cleared; add --yes to clear it", file=sys.stderr)
        return False
    if input(f"clear these {count}? [y/N] ").strip().lower() in ("y", "yes"):
        return True
    print("affectd: nothing was cleared", file=sys.stderr)
    return False


def _refused(left: Collection[str], refusals: dict[str, str], topics: Topics, who: str) -> str:
    """Return a sentence on what is still kept, and the lines that the broker's rules lack."""
    told = ", ".join(f"{topic} ({refusals.get(topic, 'without a word')})" for topic in sorted(left))
    rights = []
    if any(topic.startswith(f"{topics.root}/") for topic in left):
        rights.append(f"topic readwrite {topics.base}/+/#")
    if topics.discovery in left:
        rights.append(f"topic readwrite {topics.discovery_prefix}/device/+/config")
    return f"the broker refuses {who} to clear {told}; its acl_file needs for that user: {'; '.join(rights)}"


def _who(username: str) -> str:
    return f"user {username!r}" if username else "a client without a user name"
