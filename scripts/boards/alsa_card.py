"""The part of scripts/boards/alsa that runs inside the virtual machine, as root."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.capture.microphone import portaudio
from affectd.capture.microphone.pyaudio_microphone import PyAudioMicrophone
from affectd.errors import CaptureError

FORMATS = {"S16_LE": 16, "S24_3LE": 24, "S32_LE": 32}
CHANNELS = (1, 2, 6, 8)
RATES = (44_100, 48_000, 96_000)
PLAYED, HEARD = "hw:0,1", "hw:0,0"
QUIET, LOUD = 0.003, 0.1
"""Amplitudes, of full scale."""
CARD = "/sys/bus/platform/drivers/snd_aloop"
SETTINGS = """\
[device]
id = "box"
[camera]
source = "off"
[microphone]
source = "Loopback: PCM"
channel = "loudest"
timeout_s = 5.0
[inference]
face = "off"
[fusion]
strategy = "voice"
[mqtt]
host = "127.0.0.1"
health_s = 2.0
[outbox]
path = "/tmp/outbox.db"
"""


class Player:
    """Plays a tone of its own to each channel of the card's other end, one of them loud, until it is closed."""

    def __init__(self, sample_format: str, channels: int, rate: int, loud: int) -> None:
        levels = np.where(np.arange(channels) == loud - 1, LOUD, QUIET)
        seconds = np.arange(rate) / rate
        tones = np.stack([levels[i] * np.sin(2 * np.pi * hertz(i + 1) * seconds) for i in range(channels)], axis=1)
        self._second = as_bytes(tones, FORMATS[sample_format])
        command = ["aplay", "-q", "-D", PLAYED, "-t", "raw", "-f", sample_format, "-c", str(channels), "-r", str(rate)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        threading.Thread(target=self._feed, daemon=True).start()
        time.sleep(1)  # until the card has taken the format
        assert self._process.poll() is None, f"aplay does not play {sample_format}, {channels} channels, {rate} Hz"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _feed(self) -> None:
        assert self._process.stdin is not None
        try:
            while True:
                self._process.stdin.write(self._second)
        except (BrokenPipeError, ValueError):
            return


def hertz(channel: int) -> int:
    return 250 + 100 * channel


def as_bytes(samples: NDArray[np.float64], bits: int) -> bytes:
    whole = np.rint(samples * 2.0 ** (bits - 1)).astype("<i4")
    if bits == 24:
        return whole.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    return whole.astype(f"<i{bits // 8}").tobytes()


@contextmanager
def playing(*layout: str | int) -> Iterator[None]:
    player = Player(*layout)  # type: ignore[arg-type]
    try:
        yield
    finally:
        player.close()


def hear(channel: str) -> tuple[int, float, str]:
    """Return the pitch and the level (dBFS) that a microphone of this `channel` hears, and how it was opened."""
    microphone = PyAudioMicrophone(HEARD, timeout_s=15, channel=channel)
    microphone.open()
    try:
        chunks, lost = [], 0
        while sum(chunk.size for chunk in chunks) < 20_000:
            chunk = microphone.read()
            chunks.append(chunk.samples)
            lost += chunk.lost
        layout = microphone._layout
    finally:
        microphone.close()
    samples = np.concatenate(chunks)[-16_000:].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    level = 20 * np.log10(np.sqrt(2 * np.mean(samples**2)) / 32_768)
    opened = f"{layout.rate} Hz, {layout.channels} channels, {layout.sample_type}" + (f", {lost} lost" if lost else "")
    return int(np.argmax(spectrum)), float(level), opened


def try_every_format() -> int:
    """Print a row for each layout of the card, and return how many were wrong."""
    wrong = 0
    for sample_format, channels, rate in product(FORMATS, CHANNELS, RATES):
        loud, quiet = min(channels, 5), min(channels, 2)
        with playing(sample_format, channels, rate, loud):
            row = []
            for choice, expected in ((str(quiet), quiet), ("loudest", loud)):
                amplitude = LOUD if expected == loud else QUIET
                try:
                    pitch, level, opened = hear(choice)
                except CaptureError as error:
                    row.append(f"{choice}: {error}")
                    wrong += 1
                    continue
                right = abs(pitch - hertz(expected)) <= 2 and abs(level - 20 * np.log10(amplitude)) < 1
                wrong += not right
                row.append(f"{choice}: {pitch} Hz {level:.0f} dB{'' if right else ' WRONG'} ({opened})")
        print(f"{sample_format:8} {channels} ch {rate:6} Hz  " + "; ".join(row), flush=True)
    return wrong


def show(*command: str) -> str:
    print(f"\n$ {' '.join(command)}", flush=True)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    print(ended.stdout + ended.stderr + f"(exit code {ended.returncode})", flush=True)
    return ended.stdout


def newest_health() -> dict[str, object]:
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-t", "affectd/box/health", "-C", "1", "-W", "20"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return dict(json.loads(answer)) if answer else {}


def wait_for(what: str, holds: Callable[[dict[str, object]], bool]) -> None:
    began = time.monotonic()
    while time.monotonic() - began < 180:
        health = newest_health()
        if health and holds(health):
            microphone = health["components"]["microphone"]  # type: ignore[index]
            print(
                f"{time.monotonic() - began:5.1f} s until {what}: {health['microphone_level_db']} dB, {microphone}",
                flush=True,
            )
            return
        time.sleep(1)
    raise SystemExit(f"{what} did not come within 180 s: {health}")


def is_heard(health: dict[str, object]) -> bool:
    return state(health) == "running" and float(str(health["microphone_level_db"] or -100)) > -30


def state(health: dict[str, object]) -> str:
    return str(health["components"]["microphone"]["state"])  # type: ignore[index]


def unplug_and_plug_in() -> None:
    settings = Path("/tmp/affectd.toml")
    settings.write_text(SETTINGS)
    broker = subprocess.Popen(["mosquitto"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with playing("S32_LE", 6, 48_000, 4):
        show("affectd", "microphones", "--no-config", "--for", "2", HEARD)
        show("affectd", "check", "--config", str(settings))
        daemon = subprocess.Popen(["affectd", "run", "--config", str(settings)], stderr=sys.stdout)
        wait_for("the array is heard", is_heard)
        Path(CARD, "unbind").write_text("snd_aloop.0")
        print("unplugged", flush=True)
        wait_for("the loss is told", lambda h: state(h) != "running")
    Path(CARD, "bind").write_text("snd_aloop.0")
    print("plugged in", flush=True)
    time.sleep(10)
    with playing("S32_LE", 8, 16_000, 2):  # what the daemon, which opens it first, asks for
        wait_for("it is heard again", is_heard)
    daemon.terminate()
    print(f"affectd run ended with {daemon.wait(60)}", flush=True)
    broker.terminate()


def main() -> None:
    Path("/dev/shm").mkdir(exist_ok=True)  # libjack looks there
    subprocess.run(["modprobe", "snd-aloop", "index=0", "pcm_substreams=1"], check=True)
    time.sleep(2)
    print("inputs:", ", ".join(device.name for device in portaudio.list_inputs()), flush=True)
    wrong = try_every_format()
    print(f"{wrong} wrong of {len(FORMATS) * len(CHANNELS) * len(RATES)} layouts, each at a number and as the loudest")
    unplug_and_plug_in()
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
