"""Clear what the broker keeps of a box that is gone: its retained messages and its entry in Home Assistant."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from affectd.cli.options import (
    add_broker_options,
    add_config_option,
    load_client_config,
    load_service_config,
    with_own_id,
)
from affectd.errors import BrokerError

if TYPE_CHECKING:
    from affectd.config import Config, MqttConfig
    from affectd.publish.topics import Topics

HELP = "clear what the broker keeps of a box that is gone"
WRONG_COMMAND_LINE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd forget`."""
    parser.add_argument("box", nargs="?", type=_box, metavar="BOX", help="device id; without it: this box itself")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--force", action="store_true", help="also a box that is online, and says it all again")
    add_config_option(parser, default=True)
    add_broker_options(parser)


def run(args: argparse.Namespace) -> int:
    """List what is kept, ask, clear it, and look whether it is gone."""
    from affectd.publish.topics import Topics

    if args.box is not None:
        config = load_client_config(args)
        return _forget(config, Topics(config.base_topic, args.box, config.discovery_prefix), (), args)
    own = with_own_id(load_service_config(args))
    config, box = own.mqtt, own.device.id
    topics = Topics(config.base_topic, box, config.discovery_prefix)
    if not args.force and (holder := _daemon(own)):
        return _refuse(f"affectd runs here ({holder}); stop it first, or add --force")
    try:
        # A box may write what it must not read: it clears unseen what it would publish.
        return _forget(config, topics, topics.retained, args)
    except BrokerError as error:
        later = f"affectd forget {box} --host {config.host} --port {config.port} --username OPERATOR"
        raise BrokerError(f"{error}; what the broker keeps of {box} stays; later, elsewhere: {later}") from error


def _forget(config: MqttConfig, topics: Topics, unseen: Collection[str], args: argparse.Namespace) -> int:
    """Clear what is kept, and also the topics `unseen`, on which something may be kept. Raises BrokerError."""
    from affectd.cli import retained

    box, who = topics.device_id, _who(config.username)
    found = retained.kept(config, topics)
    if not found and not unseen:
        print(f"{box}: the broker keeps nothing that {who} may read")
        return 0
    if found.get(topics.availability) == b"online" and not args.force:
        return _refuse(f"{box} is online; stop it first, or add --force")
    for topic in sorted(found):
        print(f"kept     {topic}  ({len(found[topic])} bytes)")
    to_clear = sorted({*found, *unseen})
    if not args.yes and not _agreed(len(to_clear)):
        return WRONG_COMMAND_LINE
    refusals = retained.clear(config, to_clear)
    left = {*refusals, *retained.kept(config, topics)}
    for topic in to_clear:
        if topic not in left:
            print(f"cleared  {topic}")
    if left:
        raise BrokerError(_refused(left, refusals, topics, who))
    return 0


def _box(text: str) -> str:
    """Return the device id. Raises ArgumentTypeError for what is none, above all for a wildcard."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no device id: letters, digits, - and _, at most 64")
    return text


def _daemon(own: Config) -> str | None:
    """Return who holds this box's outbox; None when nobody does, or that is not known."""
    from affectd.assembly import outbox_path
    from affectd.store.lock import LockedError, hold_without_trace

    outbox = outbox_path(own)
    try:
        with hold_without_trace(outbox.with_name(outbox.name + ".lock")):
            return None
    except LockedError as error:
        return str(error)
    except OSError:
        return None


def _refuse(why: str) -> int:
    print(f"affectd: {why}: nothing was cleared", file=sys.stderr)
    return WRONG_COMMAND_LINE


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
    topics_left = ", ".join(f"{topic} ({refusals.get(topic, 'without a word')})" for topic in sorted(left))
    rights = []
    if any(topic.startswith(f"{topics.root}/") for topic in left):
        rights.append(f"topic readwrite {topics.base}/+/#")
    if topics.discovery in left:
        rights.append(f"topic readwrite {topics.discovery_prefix}/device/+/config")
    return f"the broker refuses {who} to clear {topics_left}; its acl_file needs for that user: {'; '.join(rights)}"


def _who(username: str) -> str:
    return f"user {username!r}" if username else "a client without a user name"
