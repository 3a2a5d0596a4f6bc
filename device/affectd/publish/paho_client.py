"""paho's client, taught what it does not know: every reason of a refusal, and to end when the broker sends no MQTT."""

from __future__ import annotations

from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

_FIRST_REFUSAL = 0x80


def _understand_every_refusal() -> None:
    """Let paho know each reason of a refusal in each kind of packet.

    The standard has some of them in some packets alone, and paho closes the connection at another, such as mosquitto's
    `Packet too large` in PUBACK.
    """
    answers = (PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.SUBACK, PacketTypes.DISCONNECT)
    for code, names in ReasonCode.names.items():
        if code >= _FIRST_REFUSAL:
            known = {kind for kinds in names.values() for kind in kinds}
            next(iter(names.values())).extend(kind for kind in answers if kind not in known)


_understand_every_refusal()


class Client(paho.Client):
    """paho's client, whose thread ends with a call of `on_garbage` when the broker sends what it cannot parse."""

    on_garbage: Callable[[Exception], None]

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Do the network's work until the connection ends; `loop_start` runs this in a thread."""
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:
            self.on_garbage(error)
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
