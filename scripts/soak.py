"""Run the daemon on a looping clip as fast as it can and watch what it holds: called by scripts/soak."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import soak_clip

ROOT = Path(__file__).parents[1]
FPS = 5
HOP_S = 0.5
WARM_UP = 0.25
"""Share of the run that memory may still settle in."""
GROWTH_MB = 8.0
"""Resident memory may differ by this much between the end and the end of the warm-up: noise of the allocator."""
WHAT = (
    f"ten minutes before a kiosk:\n{soak_clip.SIZE[0]}x{soak_clip.SIZE[1]}, {FPS} frames a second; "
    "five visits of 24 s, one of them unheard and one unseen, and else nobody;"
)
CHECKPOINT_S = 120.0
"""The results so far are written this often, so that a run that is cut short has some."""
SETTINGS = """\
[device]
id = "soak"
[camera]
source = "{clip}"
fps = {fps}
[clip]
realtime = false
loop = true
[face]
min_size = {min_size}
[voice]
hop_s = {hop_s}
[mqtt]
host = "127.0.0.1"
port = {port}
voice = true
health_s = 5
[outbox]
path = "{folder}/outbox.db"
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon holds at one moment."""

    wall_s: float
    media_h: float
    """Of sound: voice readings that arrived, a hop each."""
    cpu_s: float
    rss_mb: float
    descriptors: int
    threads: int
    event_p95_ms: float
    """From when work began on the picture or sound that changed the emotion, until the event is stored."""
    face_p95_ms: float
    voice_p95_ms: float
    face_readings_per_s: float
    events: int
    outbox_waiting: int


class Subscriber:
    """Counts what arrives over MQTT."""

    def __init__(self, port: int) -> None:
        self.seqs: list[int] = []
        self.health: dict[str, Any] = {}
        self.voices = self.unwell = 0
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "soak-subscriber")
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe("affectd/soak/#", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        kind = message.topic.rpartition("/")[2]
        if kind == "voice":
            self.voices += 1
        elif kind == "event":
            self.seqs.append(json.loads(message.payload)["seq"])
        elif kind == "health":
            self.health = json.loads(message.payload)
            self.unwell += self.health["status"] != "ok"

    def p95_ms(self, stage: str) -> float:
        """Return the newest 95th percentile of a stage's latency; 0 before the first."""
        return float(self.health.get("latency", {}).get(stage, {}).get("p95_ms", 0.0))


def main() -> int:
    """Run, watch, write the results; give the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--media-hours", type=float, default=24.0)
    parser.add_argument("--min-size", type=float, default=0.2, help="face.min_size (default %(default)s)")
    parser.add_argument("--every", type=float, default=10.0, metavar="S", help="seconds from one sample to the next")
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "proofs")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, _broker(Path(temporary)) as port:
        folder = Path(temporary)
        clip = soak_clip.build(folder / "kiosk.mp4", ROOT / "scripts" / "demo.mp4", FPS)
        subscriber = Subscriber(port)
        settings = SETTINGS.format(
            clip=clip.resolve(), fps=f"{FPS}.0", min_size=options.min_size, hop_s=HOP_S, port=port, folder=folder
        )
        with _daemon(folder, settings) as process:
            sound = _watch(process, subscriber, options.media_hours, options.every, options.out)
    print((options.out / "soak.txt").read_text(), end="")
    return 0 if sound else 1


def _watch(process: subprocess.Popen[bytes], subscriber: Subscriber, hours: float, every_s: float, out: Path) -> bool:
    """Take samples until so many hours of media are through; gives whether all is as it must be."""
    began, samples, written_at = time.monotonic(), list[Sample](), time.monotonic()
    with (out / "soak.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Sample)], lineterminator="\n")
        writer.writeheader()
        while not samples or samples[-1].media_h < hours:
            time.sleep(every_s)
            if process.poll() is not None:
                sys.exit(f"soak: the daemon ended with {process.returncode}; its last lines stand above")
            samples.append(_sample(process.pid, subscriber, time.monotonic() - began))
            writer.writerow(asdict(samples[-1]))
            if time.monotonic() - written_at > CHECKPOINT_S:
                stream.flush()
                written_at = time.monotonic()
                _write(samples, subscriber, out)
                print(samples[-1], flush=True)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    time.sleep(1)  # what the daemon did at the last moment must be counted too
    return _write(samples, subscriber, out)


def _sample(pid: int, subscriber: Subscriber, wall_s: float) -> Sample:
    folder = Path(f"/proc/{pid}")
    held = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    ticks = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
    return Sample(
        wall_s=round(wall_s, 1),
        media_h=round(subscriber.voices * HOP_S / 3600, 4),
        cpu_s=round(sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), 1),
        rss_mb=round(int(held["VmRSS"].split()[0]) / 1024, 1),
        descriptors=len(list((folder / "fd").iterdir())),
        threads=int(held["Threads"]),
        event_p95_ms=subscriber.p95_ms("event"),
        face_p95_ms=subscriber.p95_ms("face"),
        voice_p95_ms=subscriber.p95_ms("voice"),
        face_readings_per_s=float(subscriber.health.get("face_readings_per_s", 0.0)),
        events=len(subscriber.seqs),
        outbox_waiting=int(subscriber.health.get("outbox_waiting", 0)),
    )


def _write(samples: list[Sample], subscriber: Subscriber, out: Path) -> bool:
    """Write the summary and the plot of what came so far; gives whether it is as it must be."""
    _plot(samples, out / "soak.png")
    summary, sound = _summary(samples, subscriber)
    (out / "soak.txt").write_text(summary)
    return sound


def _summary(samples: list[Sample], subscriber: Subscriber) -> tuple[str, bool]:
    """Return what came of it in words, and whether it is as it must be."""
    seqs, last = list(subscriber.seqs), samples[-1]
    settled = samples[int(len(samples) * WARM_UP) :]
    third = max(len(settled) // 3, 1)
    before, after = (np.median([sample.rss_mb for sample in part]) for part in (settled[:third], settled[-third:]))
    slope = np.polyfit([sample.media_h for sample in settled], [sample.rss_mb for sample in settled], 1)[0] * 24
    lost = seqs[-1] - seqs[0] + 1 - len(set(seqs)) if seqs else -1
    latency = {name: [getattr(s, f"{name}_p95_ms") for s in settled] for name in ("event", "face", "voice")}
    health = subscriber.health
    restarts = sum(part["restarts"] for part in health["components"].values())
    lines = [
        f"scripts/soak {' '.join(sys.argv[1:])}".rstrip(),
        _system(),
        "`affectd run` with face, voice, fusion and outbox, to a mosquitto, in a loop over " + WHAT,
        "played as fast as the daemon can (clip.realtime = false): it drops nothing, and time is the clip's",
        "",
        f"media {last.media_h:.2f} h in {last.wall_s / 60:.1f} min: {last.media_h * 3600 / last.wall_s:.1f} times as "
        f"fast as it lasts, with {100 * last.cpu_s / last.wall_s:.0f} % of a core "
        f"({last.media_h * 3600 / last.cpu_s:.1f} times with a whole one)",
        f"memory {settled[0].rss_mb:.1f} MB after the warm-up (a quarter of the run), {last.rss_mb:.1f} MB at the "
        f"end;\nmedians of the first and the last third after it {before:.1f} and {after:.1f} MB; "
        f"slope {slope:+.2f} MB a day of media",
        f"descriptors {min(s.descriptors for s in settled)} to {max(s.descriptors for s in settled)}, "
        f"threads {min(s.threads for s in settled)} to {max(s.threads for s in settled)}",
        "latency p95, median and highest of the samples: "
        + ", ".join(f"{name} {np.median(values):.1f} and {max(values):.1f} ms" for name, values in latency.items()),
        f"events {len(seqs)}, lost {lost}, repeated {len(seqs) - len(set(seqs))}, in order {seqs == sorted(seqs)}; "
        f"at most {max(s.outbox_waiting for s in samples)} waited",
        f"frames dropped {health['frames_dropped']}, samples lost {health['samples_lost']}, restarts of components "
        f"{restarts}, reconnects {health['broker_reconnects']}, health other than ok {subscriber.unwell} times",
    ]
    sound = lost == 0 and seqs == sorted(seqs) and after - before < GROWTH_MB and max(latency["event"]) > 0
    return "\n".join(lines) + "\n", bool(sound)


def _system() -> str:
    """Name the machine."""
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    names = (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines())
    model = next((name for name in names if "CPU" in name or "EPYC" in name), platform.machine())
    return f"{release}, {os.cpu_count()} cores of {model}, Python {platform.python_version()}"


def _plot(samples: list[Sample], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    names = {"rss_mb": "memory, MB", "descriptors": "descriptors", "threads": "threads"}
    names |= {"event_p95_ms": "event latency p95, ms", "events": "events"}
    for axes, (name, label) in zip(figure.subplots(len(names), 1, sharex=True), names.items(), strict=True):
        values = [getattr(sample, name) for sample in samples]
        axes.plot([sample.media_h for sample in samples], values)
        axes.set_ylabel(label)
        axes.set_ylim(0, 1.15 * max(values) + 1)
        axes.grid(alpha=0.3)
    axes.set_xlabel("hours of media")
    figure.savefig(path, dpi=90, format="png")


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen(["mosquitto", "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 10
        while not _answers(port) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield port
        process.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def _daemon(folder: Path, settings: str) -> Iterator[subprocess.Popen[bytes]]:
    config = folder / "affectd.toml"
    config.write_text(settings)
    command = [Path(sys.executable).with_name("affectd"), "run", "--config", config]
    with subprocess.Popen(command, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}) as process:
        try:
            yield process
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
