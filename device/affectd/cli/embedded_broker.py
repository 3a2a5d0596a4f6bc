"""A small MQTT broker inside this process, for the demo: loopback only, a free port, nothing kept."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
from types import TracebackType

from affectd.errors import BrokerError

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 15.0


class EmbeddedBroker:
    """A context manager: the broker listens on `port` inside. It speaks MQTT 3.1.1."""

    def __init__(self) -> None:
        """Choose a free port."""
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.port: int = probe.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker", daemon=True)

    def __enter__(self) -> EmbeddedBroker:
        """Start listening. Raises BrokerError when amqtt is not installed or does not start."""
        try:
            from amqtt.broker import Broker
        except ImportError:
            raise BrokerError(
                f"the embedded broker needs amqtt; run `{sys.executable} -m pip install 'amqtt<0.13'`"
            ) from None
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(Broker), self._loop).result(START_TIMEOUT_S)
        except Exception as error:
            raise BrokerError(f"the embedded broker does not start on {LOOPBACK}:{self.port}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop).result(START_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_TIMEOUT_S)

    async def _start(self, broker_class: type) -> None:
        settings = {
            "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{self.port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        self._broker = broker_class(settings)
        await self._broker.start()
