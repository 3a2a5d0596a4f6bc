"""Prove the Raspberry Pi camera's path on libcamera's virtual camera: python prove.py, inside the tree."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

HERE = Path(__file__).parent
STATE = Path("/var/tmp/affectd-state")
LOG = STATE / "log"
PATIENCE_S = 120
SETTINGS = {
    "AFFECTD_CAMERA_SOURCE": "picamera",
    "AFFECTD_CAMERA_WIDTH": "1024",
    "AFFECTD_CAMERA_HEIGHT": "768",
    "AFFECTD_CAMERA_TIMEOUT_S": "2",
    "AFFECTD_MICROPHONE_SOURCE": "off",
    "AFFECTD_DEVICE_ID": "pi",
    "AFFECTD_OUTBOX_PATH": str(STATE / "outbox.db"),
    "LIBCAMERA_LOG_LEVELS": "*:FATAL",
}


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


class Listener:
    """Keeps what the daemon publishes."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, Any]] = []
        self._changed = threading.Condition()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = self._keep
        self.client.connect("127.0.0.1")
        self.client.subscribe("affectd/pi/#", qos=1)
        self.client.loop_start()

    def _keep(self, _client: Any, _userdata: Any, message: Any) -> None:
        with self._changed:
            topic = message.topic.removeprefix("affectd/pi/")
            with contextlib.suppress(ValueError):
                self._messages.append((topic, json.loads(message.payload)))
            self._changed.notify_all()

    def forget(self) -> None:
        with self._changed:
            self._messages.clear()

    def wait_for(self, topic: str, wanted: Callable[[Any], bool]) -> Any:
        """Return the first message of a topic that is wanted."""
        found: list[Any] = []

        def look() -> bool:
            found[:] = [content for at, content in self._messages if at == topic and wanted(content)]
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(look, PATIENCE_S):
                sys.exit(f"nothing of the kind on {topic}; the log ends:\n{LOG.read_text()[-3000:]}")
        return found[0]


def is_shown(state: Any) -> bool:
    return bool(state["reason"] == "shown")


def affectd(*arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    with LOG.open("ab") as log:
        command = [sys.executable, str(HERE / "virtual_camera.py"), *arguments]
        return subprocess.Popen(command, env={**os.environ, **SETTINGS, **settings}, stdout=log, stderr=log)


@contextlib.contextmanager
def running(**settings: str) -> Iterator[subprocess.Popen[bytes]]:
    daemon = affectd("run", **settings)
    try:
        yield daemon
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)


def wait_for_log(text: str, after: int = 0) -> str:
    """Return the daemon's first line with this text, without its time, from the log's character `after` on."""
    gives_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < gives_up_at:
        for line in LOG.read_text()[after:].splitlines():
            if text in line:
                return line.split(maxsplit=2)[2]
        time.sleep(0.1)
    sys.exit(f"the log does not say {text!r}; it ends:\n{LOG.read_text()[-3000:]}")


def show_frames() -> None:
    say("picamera2 asked for YUV420 at 10 frames a second; NV12 is given, as fast as the virtual camera can")
    command = [sys.executable, str(HERE / "frames.py")]
    subprocess.run(command, env={**os.environ, "LIBCAMERA_LOG_LEVELS": "*:FATAL"}, check=True)


def show_event(listener: Listener) -> None:
    say("from picamera2 to an event, starved and recovered, closed and opened again")
    began_at = time.monotonic()
    with running() as daemon:
        event = listener.wait_for("event", lambda event: event["emotion"] == "happy")
        print(f"event after {time.monotonic() - began_at:.1f} s:", event["emotion"], event["confidence"])
        print("face:", {key: event["face"][key] for key in ("track", "quality", "box")})
        so_far, starved_at = len(LOG.read_text()), time.monotonic()
        daemon.send_signal(signal.SIGUSR1)
        print("starved of buffers:", wait_for_log("no picture for", so_far))
        print(f"after {time.monotonic() - starved_at:.1f} s:", wait_for_log("camera runs again", so_far))
        time.sleep(5)  # over which /health averages
        listener.forget()
        print(
            "frames a second in /health:",
            listener.wait_for("health", lambda health: health["frames_per_s"])["frames_per_s"],
        )
        for command, reason in (("on", "privacy"), ("off", "shown")):
            listener.forget()
            listener.client.publish("affectd/pi/command/privacy", command, qos=1)
            listener.wait_for("state", lambda state, reason=reason: state["reason"] == reason)
            print(f"privacy {command}: {reason}")
    print("status after SIGTERM:", daemon.returncode)


def show_end_inside(listener: Listener) -> None:
    say("libcamera ends the process: picamera2's own allocator on the preloaded memory")
    first = affectd("run", PICAMERA2_ALLOCATOR="dma")
    print("the first start ends with", first.wait(PATIENCE_S), "(SIGABRT)")
    listener.forget()
    with running(PICAMERA2_ALLOCATOR="dma") as second:
        listener.wait_for("state", lambda state: state["reason"] == "no_camera")
        print("the second start runs on:", second.poll() is None, "-", wait_for_log("ended inside libcamera"))
        listener.wait_for("health", lambda health: "ended inside libcamera" in json.dumps(health))
        print("and /health says so; it enters libcamera again after 10 s, and ends with", second.wait(PATIENCE_S))
    with running():
        listener.wait_for("state", is_shown)
        gone = not (STATE / "inside-camera-library.json").exists()
        print("a libcamera that works is taken after 40 s; the file that told of the ends is gone:", gone)


def main() -> None:
    STATE.mkdir(exist_ok=True)
    broker = subprocess.Popen(["mosquitto"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        show_frames()
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                listener = Listener()
                break
            time.sleep(0.1)
        show_event(listener)
        show_end_inside(listener)
    finally:
        broker.terminate()


if __name__ == "__main__":
    main()
