"""One connection to the broker, from CONNECT to its end; a new object for every attempt.

paho's own queue is never relied on: what a connection has not acknowledged
when it ends is sent again over the next one.
"""

from __future__ import annotations

import functools
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from affectd.config import MqttConfig
from affectd.errors import BrokerError
from affectd.publish import tls
from affectd.publish.connect_errors import GARBAGE, HUNG_UP, SILENCE, network_sentence, refusal_sentence
from affectd.publish.connection_events import (
    Acknowledged,
    ConnectionEvent,
    Disconnected,
    ReceivedMessage,
    SubscriptionRefused,
)
from affectd.publish.paho_client import Client
from affectd.publish.password import read_password

CONNECT_S = 8.0
CONNACK_S = {MQTTProtocolVersion.MQTTv5: 3.0, MQTTProtocolVersion.MQTTv311: 8.0}
"""A broker that knows 3.1.1 alone may take a CONNECT of 5 with a will for one that goes on, and wait for the rest."""
KEEPALIVE_S = 10
"""A half-open connection is noticed after two of these of silence, by the broker after one and a half."""
_UNSENT_BYTES = 8192
"""What the kernel holds of a connection that is slower than we are: little, so that events do not queue behind it."""
_UNACKNOWLEDGED = 500
"""paho would keep back what goes beyond; more than we ever have on the way."""
_ANY_NUMBER = 65535
_PACKET_OVERHEAD = 48
"""Bytes of a PUBLISH besides topic and payload, at most: header, length, topic's length, mid, properties."""
_OTHER_VERSION = {"Unsupported protocol version", "Unacceptable protocol version", HUNG_UP}
"""Answers to CONNECT that call for the other version; old brokers just hang up."""
_KEEPALIVE_RAN_OUT = "Keep alive timeout"
_COMPLAINTS = {
    "Unspecified error",
    "Malformed packet",
    "Protocol error",
    "Implementation specific error",
    "Not authorized",
    "Topic name invalid",
    "Packet too large",
    "Payload format invalid",
}
"""Reasons of a broker's DISCONNECT that may mean what it was sent; others mean the broker, the client or the time."""


class TooLargeError(Exception):
    """The broker takes no message of this size."""


class OtherVersionError(BrokerError):
    """The broker does not speak this version of MQTT."""


class Connection:
    """Publishes and subscribes; what the broker does comes out of `events`, in order, for one thread to take."""

    def __init__(
        self,
        config: MqttConfig,
        *,
        client_id: str,
        version: MQTTProtocolVersion,
        will: tuple[str, bytes] | None,
        wake: Callable[[], None],
        largest_arriving: int | None = None,
    ) -> None:
        """Prepare; `will` is the topic and payload that the broker publishes, retained, if we vanish.

        A broker that speaks 5 keeps packets of more than `largest_arriving` bytes from us.
        """
        self.events: queue.SimpleQueue[ConnectionEvent] = queue.SimpleQueue()
        self.version = version
        self.round_trip_s = 0.0
        """How long CONNECT took to be answered."""
        self.unacknowledged_at_most = _ANY_NUMBER
        """So many messages with QoS 1 the broker wants to have to acknowledge at a time."""
        self._config = config
        self._wake = wake
        self._accepted: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._largest_arriving = largest_arriving
        self._largest: int | None = None
        """The broker's Maximum Packet Size, bytes; None: no limit."""
        self._subscribing: dict[int | None, str] = {}
        """mid to topic."""
        self._to_subscribe: deque[tuple[str, int]] = deque()
        """Topics and their QoS, each subscribed to after the SUBACK of the one before."""
        self._subscribing_lock = threading.Lock()  # the SUBACK may arrive before `subscribe` returns the mid
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=False
        )
        self._client.connect_timeout = CONNECT_S
        self._client.max_inflight_messages = _UNACKNOWLEDGED
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = lambda *_: self._accepted.put("the connection broke off")
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.on_garbage = self._on_garbage
        self._client.on_socket_open = _keep_little_unsent

    def open(self) -> None:
        """Connect and wait until the broker has accepted. Raises BrokerError saying what to do."""
        config = self._config
        if config.username:
            self._client.username_pw_set(config.username, read_password(config))
        if config.tls:
            self._client.tls_set_context(tls.make_context(config))
        try:
            self._client.connect(config.host, config.port, keepalive=KEEPALIVE_S, properties=self._properties())
        except (OSError, ValueError) as error:
            raise BrokerError(f"{self._place}: {network_sentence(error, config)}") from error
        began = time.monotonic()
        self._client.loop_start()
        try:
            refusal = self._accepted.get(timeout=CONNACK_S[self.version])
        except queue.Empty:
            refusal = SILENCE
        if refusal is None:
            self.round_trip_s = time.monotonic() - began
            return
        self.close()
        unanswered_5 = refusal in {SILENCE, GARBAGE} and self.version == MQTTProtocolVersion.MQTTv5
        kind = OtherVersionError if refusal in _OTHER_VERSION or unanswered_5 else BrokerError
        hung_up = config.tls and refusal == HUNG_UP and self.version == MQTTProtocolVersion.MQTTv311
        sentence = (tls.why_hung_up(config) if hung_up else None) or refusal_sentence(refusal, config)
        raise kind(f"{self._place}: {sentence}")

    @property
    def protocol(self) -> str:
        """'MQTT 5' or 'MQTT 3.1.1'."""
        return "MQTT 5" if self.version == MQTTProtocolVersion.MQTTv5 else "MQTT 3.1.1"

    @property
    def congested(self) -> bool:
        """Whether the network has not taken yet what was published before."""
        return self._client.want_write()

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expires_s: int | None = None
    ) -> int | None:
        """Hand a message to the socket; return its mid, or None when the connection is gone.

        A broker that speaks 5 forgets it after `expires_s`. Raises TooLargeError for a message that the broker
        would answer by hanging up.
        """
        size = len(payload) + len(topic.encode()) + _PACKET_OVERHEAD
        if self._largest is not None and size > self._largest:
            raise TooLargeError(f"larger than the {self._largest} bytes that the broker takes")
        if not self._client.is_connected():
            return None
        # Its return code does not count: the broker may have hung up at this very message by now.
        described = self._describe(payload, expires_s)
        return self._client.publish(topic, payload, qos=qos, retain=retain, properties=described).mid

    def subscribe(self, topic: str, *, qos: int = 1) -> None:
        """Subscribe to the topic; a refusal comes as `SubscriptionRefused`."""
        with self._subscribing_lock:
            _, mid = self._client.subscribe(topic, qos=qos)
            self._subscribing[mid] = topic

    def subscribe_in_turn(self, topics: Iterable[tuple[str, int]]) -> None:
        """Subscribe to these topics, each with its QoS, one after the SUBACK of the one before.

        Retained messages of one come before its SUBACK (mosquitto) or soon after: not all are queued at once.
        """
        self._to_subscribe.extend(topics)
        self._subscribe_next()

    def _subscribe_next(self) -> None:
        if self._to_subscribe:
            topic, qos = self._to_subscribe.popleft()
            self.subscribe(topic, qos=qos)

    def close(self) -> None:
        """End the connection in order (no last will) and release the socket; harmless when closed."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def _place(self) -> str:
        return f"broker {self._config.host}:{self._config.port}"

    def _describe(self, payload: bytes, expires_s: int | None) -> Properties | None:
        """Return the properties that describe a payload; None where the version of MQTT has none."""
        if self.version != MQTTProtocolVersion.MQTTv5 or not payload:
            return None
        return _description("application/json" if payload.startswith(b"{") else "text/plain", expires_s)

    def _properties(self) -> Properties | None:
        if self.version != MQTTProtocolVersion.MQTTv5 or self._largest_arriving is None:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = self._largest_arriving
        return properties

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Any) -> None:
        self._largest = getattr(properties, "MaximumPacketSize", None)
        self.unacknowledged_at_most = getattr(properties, "ReceiveMaximum", _ANY_NUMBER)
        self._accepted.put(str(code) if code.is_failure else None)

    def _on_disconnect(
        self, _client: Any, _data: Any, flags: Any, code: ReasonCode, _properties: Properties | None
    ) -> None:
        reason, spoken = str(code), flags.is_disconnect_packet_from_server
        complaint = spoken and reason in _COMPLAINTS
        hung_up = not spoken and code.is_failure and reason != _KEEPALIVE_RAN_OUT
        self._accepted.put(reason)  # before CONNACK: the broker hung up
        if reason == "Session taken over":
            reason = "another client has the same client id; give each device an id of its own (device.id)"
        elif not spoken and code.is_failure:
            reason = "the connection broke off"
        self._emit(Disconnected(reason, complaint, hung_up))

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        self._emit(Acknowledged(mid, str(code) if code.is_failure else None))

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self._emit(ReceivedMessage(message.topic, bytes(message.payload), message.retain))

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any) -> None:
        with self._subscribing_lock:
            topic = self._subscribing.pop(mid, None)
        if topic is not None and any(code.is_failure for code in codes):
            self._emit(SubscriptionRefused(topic, str(codes[0])))
        self._subscribe_next()

    def _on_garbage(self, error: Exception) -> None:
        self._accepted.put(GARBAGE)  # before CONNACK
        self._emit(Disconnected(f"the broker sent what is no MQTT ({type(error).__name__}: {error})", hung_up=True))

    def _emit(self, event: ConnectionEvent) -> None:
        self.events.put(event)
        self._wake()


def connect(
    config: MqttConfig,
    *,
    client_id: str,
    will: tuple[str, bytes] | None,
    wake: Callable[[], None],
    largest_arriving: int | None = None,
) -> Connection:
    """Open a connection with MQTT 5, or 3.1.1 where the broker knows no better. Raises BrokerError.

    5 is tried first every time: a broker that broke off once must not be kept at 3.1.1.
    """

    def opened(version: MQTTProtocolVersion) -> Connection:
        connection = Connection(
            config, client_id=client_id, version=version, will=will, wake=wake, largest_arriving=largest_arriving
        )
        connection.open()
        return connection

    try:
        return opened(MQTTProtocolVersion.MQTTv5)
    except OtherVersionError:
        return opened(MQTTProtocolVersion.MQTTv311)


@functools.cache
def _description(content_type: str, expires_s: int | None) -> Properties:
    """Return the properties of a message; they are the same for all of a kind, and paho takes its time to make them."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = content_type
    properties.PayloadFormatIndicator = 1
    if expires_s is not None:
        properties.MessageExpiryInterval = expires_s
    return properties


def _keep_little_unsent(_client: Any, _data: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
