"""Store the events of all boxes in SQLite: each once, in order for every box, with what is missing noted.

    python3 ordered_events.py --host broker.lan --database events.db

Needs paho-mqtt 2 and Python 3.10 or newer, and nothing of affectd. What it has stored:

    sqlite3 events.db "SELECT * FROM ordered_event"
    sqlite3 events.db "SELECT * FROM gap"
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sqlite3
import ssl
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

KNOWN_SCHEMA = 1
"""Events with another number mean something else: they are set aside unread."""
SESSION_S = 14 * 24 * 3600
"""How long the broker keeps events for us while we are away, seconds."""
LATE_S = 3.0
"""A gap is told after so long, seconds: with a shared subscription events overtake each other."""
RECONNECT_S = 2.0
"""Between two attempts to reach the broker, seconds."""

TABLES = """
CREATE TABLE IF NOT EXISTS event (
    device TEXT NOT NULL,
    id TEXT NOT NULL,            -- the same in every copy of an event; a seq may be used again, see numbering
    numbering INTEGER NOT NULL,  -- 1; one more each time that the box began to count anew, with a new outbox
    seq INTEGER NOT NULL,
    run TEXT NOT NULL,
    received TEXT NOT NULL,
    payload TEXT NOT NULL,       -- as it came: fields that we do not know yet are kept
    PRIMARY KEY (device, id)
);
CREATE INDEX IF NOT EXISTS event_order ON event (device, numbering, seq);
CREATE INDEX IF NOT EXISTS event_run ON event (device, run);
CREATE TABLE IF NOT EXISTS gap (device TEXT NOT NULL, numbering INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS unread (topic TEXT NOT NULL, received TEXT NOT NULL, why TEXT NOT NULL, payload BLOB);
CREATE VIEW IF NOT EXISTS ordered_event AS
    SELECT device, seq, json_extract(payload, '$.time') AS time, json_extract(payload, '$.previous') AS previous,
        json_extract(payload, '$.emotion') AS emotion, json_extract(payload, '$.reason') AS reason
    FROM event ORDER BY device, numbering, seq;
"""


class UnreadableError(Exception):
    """A message that is no event of ours."""


class Store:
    """Events in a SQLite file, which several of these may share. For one thread. Methods raise sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a commit is on disk when it returns, power cut or not
        self._db.executescript(TABLES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def is_empty(self) -> bool:
        """Whether no event was ever stored."""
        return self._db.execute("SELECT 1 FROM event LIMIT 1").fetchone() is None

    def keep(self, topic: str, payload: bytes) -> None:
        """Store what came, durably, unless it is there already; what is no event is set aside."""
        received = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        # Immediate: what is read here must still hold when it is written, beside another process with this file.
        self._db.execute("BEGIN IMMEDIATE")
        try:
            try:
                self._keep_event(topic, payload, received)
            except UnreadableError as error:
                self._db.execute("INSERT INTO unread VALUES (?, ?, ?, ?)", (topic, received, str(error), payload))
                print(f"{topic}: set aside, {error}", file=sys.stderr, flush=True)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def gaps(self, older_than_s: float) -> list[tuple[str, int, int]]:
        """Return (device, first, last) of what has been missing for so long."""
        query = "SELECT device, first, last FROM gap WHERE since <= ? ORDER BY device, numbering, first"
        return self._db.execute(query, (time.time() - older_than_s,)).fetchall()

    def _keep_event(self, topic: str, payload: bytes, received: str) -> None:
        event_id, seq, text = read_event(payload)
        # One row that SQLite takes for no JSON, such as one with NaN, would be the end of every query of the view.
        if not self._db.execute("SELECT json_valid(?)", (text,)).fetchone()[0]:
            raise UnreadableError("no strict JSON")
        # Not the one in the payload: the broker's rules say who may publish on a topic, not what stands in it.
        device = topic.split("/")[-2]
        if self._db.execute("SELECT 1 FROM event WHERE device = ? AND id = ?", (device, event_id)).fetchone():
            return
        run = event_id.split("-")[0]
        numbering = self._numbering(device, run, seq)
        self._note_gaps(device, numbering, seq)
        row = (device, event_id, numbering, seq, run, received, text)
        self._db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _numbering(self, device: str, run: str, seq: int) -> int:
        """Return which numbering the event belongs to: the newest, unless its run was seen in an older one.

        A box whose card was replaced counts from 1 again. Only an unknown run can begin that, with a number that
        is neither new at the top nor missing below it.
        """
        known = self._db.execute("SELECT numbering FROM event WHERE device = ? AND run = ? LIMIT 1", (device, run))
        if row := known.fetchone():
            return int(row[0])
        newest = self._db.execute("SELECT MAX(numbering) FROM event WHERE device = ?", (device,)).fetchone()[0]
        if newest is None:
            return 1
        _, last = self._range(device, newest)
        if seq > last or self._gap_around(device, newest, seq):
            return int(newest)
        print(f"{device}: numbers its events anew, from {seq}", file=sys.stderr, flush=True)
        return int(newest) + 1

    def _note_gaps(self, device: str, numbering: int, seq: int) -> None:
        """Note what is missing between this event and the others, or that it is missing no longer."""
        first, last = self._range(device, numbering)
        if first is None:
            missing = []  # whatever was before it was before our time
        elif seq > last:
            missing = [(last + 1, seq - 1)]
        elif seq < first:
            missing = [(seq + 1, first - 1)]
        elif gap := self._gap_around(device, numbering, seq):
            self._db.execute("DELETE FROM gap WHERE rowid = ?", (gap[0],))
            missing = [(gap[1], seq - 1), (seq + 1, gap[2])]
        else:
            missing = []
        for begin, end in missing:
            if begin <= end:
                row = (device, numbering, begin, end, time.time())
                self._db.execute("INSERT INTO gap VALUES (?, ?, ?, ?, ?)", row)

    def _range(self, device: str, numbering: int) -> Any:
        query = "SELECT MIN(seq), MAX(seq) FROM event WHERE device = ? AND numbering = ?"
        return self._db.execute(query, (device, numbering)).fetchone()

    def _gap_around(self, device: str, numbering: int, seq: int) -> Any:
        query = "SELECT rowid, first, last FROM gap WHERE device = ? AND numbering = ? AND ? BETWEEN first AND last"
        return self._db.execute(query, (device, numbering, seq)).fetchone()


def read_event(payload: bytes) -> tuple[str, int, str]:
    """Return id, seq and text of an event, heedless of fields that it may have gained. Raises UnreadableError."""
    try:
        text = payload.decode()
        event = json.loads(text)
        schema, event_id, seq = event["schema"], event["id"], event["seq"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UnreadableError("no event in JSON") from None
    if schema != KNOWN_SCHEMA:
        raise UnreadableError(f"schema {schema}, and this program knows {KNOWN_SCHEMA}")
    if not (isinstance(event_id, str) and re.fullmatch(r"[0-9a-f]{8}-[0-9]{1,19}", event_id)):
        raise UnreadableError("its id is none")
    if type(seq) is not int or not 0 < seq < 2**63:
        raise UnreadableError("its seq is none")
    return event_id, seq, text


class Consumer:
    """Takes events from the broker into the file, all in the thread that calls `run`."""

    def __init__(self, args: argparse.Namespace, store: Store) -> None:
        """Prepare; nothing connects yet. Raises OSError when the password or the CA file cannot be read."""
        self._args, self._store = args, store
        self._broker = f"{args.host}:{args.port}"
        self._stopping = threading.Event()
        self._said = ""
        self._gaps_told: set[tuple[str, int, int]] = set()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=args.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,  # an event is the broker's until it is on our disk: see _on_message
        )
        if args.username:
            password = args.password_file.read_text().rstrip("\r\n") if args.password_file else None
            self._client.username_pw_set(args.username, password)
        if args.tls or args.ca_file:
            self._client.tls_set_context(ssl.create_default_context(cafile=args.ca_file))
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect

    def run(self) -> None:
        """Take events until `stop`, coming back whenever the broker does. Raises sqlite3.Error."""
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = SESSION_S
        # No clean start: what came while we were away, or was not acknowledged, comes now.
        self._client.connect_async(
            self._args.host, self._args.port, keepalive=30, clean_start=False, properties=session
        )
        self._reconnect()
        while not self._stopping.is_set():
            # Not sooner: a broker that refuses us would be asked as fast as it can answer.
            if self._client.loop(1.0) != mqtt.MQTT_ERR_SUCCESS and not self._stopping.wait(RECONNECT_S):
                self._reconnect()
            self._tell_gaps()
        # In order, so that the broker knows at once that we are away; it keeps for us what comes now.
        self._client.disconnect()
        self._client.loop(1.0)

    def stop(self, *_: object) -> None:
        """Let `run` return within a second or so; safe in a signal handler."""
        self._stopping.set()

    def _reconnect(self) -> None:
        try:
            self._client.reconnect()
        except OSError as error:
            self._say(f"{self._broker} cannot be reached ({error}); trying again")

    def _on_connect(
        self, client: mqtt.Client, _data: object, flags: mqtt.ConnectFlags, reason: ReasonCode, _more: object
    ) -> None:
        if reason.is_failure:
            self._say(f"{self._broker} refuses us: {reason}; trying again")
            return
        if not flags.session_present and not self._store.is_empty:
            self._say("the broker has forgotten our session: what came while we were away may be lost")
        prefix = f"$share/{self._args.share}/" if self._args.share else ""
        client.subscribe(f"{prefix}{self._args.base}/+/event", qos=1)

    def _on_subscribe(self, _client: object, _data: object, _mid: int, reasons: list[ReasonCode], *_: object) -> None:
        self._say(f"the broker refuses the subscription: {reasons[0]}" if reasons[0].is_failure else "listening")

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        # Killed before the second line, the event comes again, and `keep` knows its id. Killed before the first one
        # is through, or with a disk that refuses it, the event comes again and is stored then.
        self._store.keep(message.topic, bytes(message.payload))
        client.ack(message.mid, message.qos)

    def _on_disconnect(self, _c: object, _d: object, _f: object, reason: ReasonCode, _p: object) -> None:
        if not self._stopping.is_set():
            rival = f"if that goes on, is another client called {self._args.client_id!r} too?"
            self._say(f"{self._broker} is lost ({reason}); trying again; {rival}")

    def _tell_gaps(self) -> None:
        gaps = set(self._store.gaps(LATE_S))
        for device, first, last in sorted(gaps - self._gaps_told):
            print(f"{device}: events {first} to {last} are missing", file=sys.stderr, flush=True)
        self._gaps_told = gaps

    def _say(self, sentence: str) -> None:
        """Print it, once and not at each attempt."""
        if sentence != self._said:
            print(sentence, file=sys.stderr, flush=True)
        self._said = sentence


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, help="default: 1883, with TLS 8883")
    parser.add_argument("--username", default="")
    parser.add_argument("--password-file", type=Path, metavar="FILE")
    parser.add_argument("--tls", action="store_true", help="encrypted; implied by --ca-file")
    parser.add_argument("--ca-file", metavar="FILE", help="of an authority that the system does not know")
    parser.add_argument("--base", default="affectd", help="mqtt.base_topic of the boxes")
    parser.add_argument("--database", type=Path, default=Path("events.db"), metavar="FILE")
    parser.add_argument("--client-id", default="ordered-events", help="names our session; each consumer needs its own")
    parser.add_argument("--share", default="", metavar="GROUP", help="share the events with the others of this group")
    args = parser.parse_args()
    args.port = args.port or (8883 if args.tls or args.ca_file else 1883)
    return args


def main() -> int:
    """Run until Ctrl-C or SIGTERM; return the exit code."""
    args = arguments()
    try:
        store = Store(args.database)
        try:
            consumer = Consumer(args, store)
            signal.signal(signal.SIGTERM, consumer.stop)
            signal.signal(signal.SIGINT, consumer.stop)
            consumer.run()
        finally:
            store.close()
    except sqlite3.Error as error:
        print(f"{args.database}: {error}", file=sys.stderr)
    except OSError as error:  # the password or the CA file
        print(error, file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
