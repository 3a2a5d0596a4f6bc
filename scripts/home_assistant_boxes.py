"""What a Home Assistant is shown in its proof: a broker, two boxes, and what stands before one of them."""

from __future__ import annotations

import itertools
import signal
import subprocess
import wave
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from e2e.program import CLIP, Affectd, command, environment
from support.broker import Mosquitto
from support.scenes import scene
from support.sound_server import SoundServer
from support.stream_server import VARIANTS, StreamServer

USER, PASSWORD = "operator", "Secret7"
"""The camera's."""


class Room(StreamServer):
    """A camera on the network before which somebody stands, or nobody."""

    somebody = False

    def _parts(self) -> Iterator[bytes]:
        for number in itertools.count():
            picture = _picture(self.somebody, number % VARIANTS)
            yield f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
            yield picture + b"\r\n"


class Boxes:
    """The kiosk, called Hall, with camera, microphone and thermometer, and the lobby, with a clip alone.

    All run from `start` until it is left.
    """

    def __init__(self, folder: Path) -> None:
        self.broker, self.room = Mosquitto(folder), Room()
        self._sound = SoundServer()
        self._running = ExitStack()
        self._folder = folder
        self._noise = _noise(folder / "noise.wav")
        self.kiosk = self._kiosk()
        self.lobby = Affectd(
            folder / "lobby",
            self.broker,
            device={"id": "Front-Door"},
            camera={"source": str(CLIP)},
            clip={"loop": True},
            microphone={"source": "off"},
        )
        self.lobby.started_through = _with_thermometers(folder / "no-thermometer")

    def __enter__(self) -> Boxes:
        for part in (self.broker, self.room, self._sound):
            self._running.enter_context(part)
        self._sound.play(self._noise)
        return self

    def __exit__(self, *_: object) -> None:
        self.kiosk.kill()
        self.lobby.kill()
        self._running.close()

    def change_kiosk(self, device: str = "kiosk", **settings: str) -> None:
        """Stop the kiosk in order, and start it with other settings; what lies beside its outbox stays."""
        self.stop_kiosk()
        self.kiosk = self._kiosk(device, **settings)
        self.kiosk.start()

    def stop_kiosk(self) -> None:
        """Stop it in order; harmless when it does not run."""
        if self.kiosk.runs:
            self.kiosk.send(signal.SIGTERM)
            self.kiosk.wait()

    def forget_kiosk(self) -> list[str]:
        """Stop the kiosk, call `affectd forget` for it, and return what that says it has cleared."""
        self.stop_kiosk()
        settings = ["--config", str(self.kiosk.settings_file)]
        told = subprocess.run(
            command("forget", "kiosk", "--yes", *settings),
            env=environment(),
            capture_output=True,
            check=True,
            text=True,
        )
        return [line for line in told.stdout.splitlines() if line.startswith("cleared")]

    def kill_sound(self) -> None:
        """Let the sound server die, and the kiosk's microphone with it."""
        self._sound.kill()

    def restart_sound(self) -> None:
        """Bring the kiosk's microphone back."""
        self._sound.restart()
        self._sound.play(self._noise)

    def _kiosk(
        self, device: str = "kiosk", *, microphone: str = "default", discovery_prefix: str = "homeassistant"
    ) -> Affectd:
        box = Affectd(
            self._folder / "kiosk",
            device={"id": device, "name": "Hall"},
            mqtt={"host": "localhost", "port": self.broker.port, "discovery_prefix": discovery_prefix},
            camera={"source": self.room.url.replace("//", f"//{USER}:{PASSWORD}@"), "timeout_s": 1.0},
            microphone={"source": microphone, "timeout_s": 2.0},
            fusion={"strategy": "face"},
        )
        box.started_through = _with_thermometers(self._folder / "thermometer", 48_300)
        return box


@cache
def _picture(somebody: bool, variant: int) -> bytes:
    noise = np.random.default_rng(variant).integers(0, 6, (480, 640, 3), np.uint8)
    faces = [(320.0, 220.0, 170.0)] if somebody else []
    return cv2.imencode(".jpg", cv2.add(scene(*faces), noise))[1].tobytes()


def _noise(path: Path) -> Path:
    """Write an hour of what a working microphone gives in a quiet room."""
    second = np.random.default_rng(0).normal(0, 20, 16_000).astype(np.int16).tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(second * 3600)
    return path


def _with_thermometers(folder: Path, *millidegrees: int) -> list[str]:
    """Return a command that executes another one on a board with thermal zones of these temperatures."""
    folder.mkdir(exist_ok=True)
    for number, temperature in enumerate(millidegrees):
        zone = folder / f"thermal_zone{number}"
        zone.mkdir(exist_ok=True)
        (zone / "temp").write_text(f"{temperature}\n")
    script = f"mount --bind '{folder}' /sys/class/thermal && exec \"$@\""
    return ["unshare", "--mount", "sh", "-c", script, "-"]
