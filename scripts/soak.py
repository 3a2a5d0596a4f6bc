"""Run the daemon on a looping clip as fast as it can and watch what it holds: called by scripts/soak."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho

ROOT = Path(__file__).parents[1]
FPS = 10
WARM_UP = 0.25
"""Share of the run that memory may still settle in."""
GROWTH_MB = 8.0
"""Resident memory may differ by this much between the end and the end of the warm-up: noise of the allocator."""
CONFIG = """\
[device]
id = "soak"
[camera]
source = "{clip}"
fps = {fps}
[clip]
realtime = false
loop = true
[mqtt]
host = "127.0.0.1"
port = {port}
[outbox]
path = "{folder}/outbox.db"
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon holds at one moment."""

    wall_s: float
    media_h: float
    rss_mb: float
    descriptors: int
    threads: int
    event_p95_ms: float
    events: int
    outbox_waiting: int


class Subscriber:
    """Counts events by their seq, and adds up the frames that /health tells of."""

    def __init__(self, port: int) -> None:
        self.seqs: list[int] = []
        self.health: dict[str, object] = {}
        self.frames = 0.0
        self._heard_at = time.monotonic()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "soak-subscriber")
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe("affectd/soak/#", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/event"):
            self.seqs.append(json.loads(message.payload)["seq"])
        elif message.topic.endswith("/health"):
            self.health = json.loads(message.payload)
            now = time.monotonic()
            self.frames += float(self.health["frames_per_s"]) * (now - self._heard_at)  # type: ignore[arg-type]
            self._heard_at = now


def main() -> int:
    """Run, watch, write the results; give the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--media-hours", type=float, default=24.0)
    parser.add_argument("--clip", type=Path, default=ROOT / "scripts" / "demo.mp4")
    parser.add_argument("--every", type=float, default=10.0, metavar="S", help="seconds from one sample to the next")
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "proofs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, _broker(Path(temporary)) as port:
        subscriber = Subscriber(port)
        with _daemon(Path(temporary), options.clip, port) as process:
            samples = _watch(process, subscriber, options.media_hours, options.every)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "soak.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)
    _plot(samples, options.out / "soak.png")
    summary, sound = _summary(samples, subscriber.seqs)
    (options.out / "soak.txt").write_text(summary)
    print(summary, end="")
    return 0 if sound else 1


def _watch(process: subprocess.Popen[bytes], subscriber: Subscriber, hours: float, every_s: float) -> list[Sample]:
    began, samples = time.monotonic(), []
    while not samples or samples[-1].media_h < hours:
        time.sleep(every_s)
        if process.poll() is not None:
            sys.exit(f"soak: the daemon ended with {process.returncode}; its last lines stand above")
        status = Path(f"/proc/{process.pid}/status").read_text()
        held = {line.partition(":")[0]: line.split()[1] for line in status.splitlines() if len(line.split()) > 1}
        latency = subscriber.health.get("latency", {}).get("event", {})  # type: ignore[attr-defined]
        samples.append(
            Sample(
                wall_s=round(time.monotonic() - began, 1),
                media_h=round(subscriber.frames / FPS / 3600, 4),
                rss_mb=round(int(held["VmRSS"]) / 1024, 1),
                descriptors=len(list(Path(f"/proc/{process.pid}/fd").iterdir())),
                threads=int(held["Threads"]),
                event_p95_ms=float(latency.get("p95_ms", 0.0)),
                events=len(subscriber.seqs),
                outbox_waiting=int(subscriber.health.get("outbox_waiting", 0)),  # type: ignore[call-overload]
            )
        )
        if len(samples) % 30 == 1:
            print(samples[-1], flush=True)
    return samples


def _summary(samples: list[Sample], seqs: list[int]) -> tuple[str, bool]:
    """Give what came of it in words, and whether it is as it must be."""
    settled = samples[int(len(samples) * WARM_UP) :]
    third = max(len(settled) // 3, 1)
    before, after = (np.median([sample.rss_mb for sample in part]) for part in (settled[:third], settled[-third:]))
    slope = np.polyfit([sample.media_h for sample in settled], [sample.rss_mb for sample in settled], 1)[0] * 24
    lost = seqs[-1] - seqs[0] + 1 - len(set(seqs)) if seqs else -1
    last = samples[-1]
    pace = last.media_h * 3600 / last.wall_s
    lines = [
        f"media {last.media_h:.2f} h in {last.wall_s / 3600:.2f} h, {pace:.0f} times as fast as they last",
        f"memory {settled[0].rss_mb:.1f} MB after the warm-up, {last.rss_mb:.1f} MB at the end; "
        f"medians of the first and last third {before:.1f} and {after:.1f} MB, slope {slope:+.2f} MB a day of media",
        f"descriptors {min(s.descriptors for s in settled)} to {max(s.descriptors for s in settled)}, "
        f"threads {min(s.threads for s in settled)} to {max(s.threads for s in settled)}",
        f"event latency p95 {np.median([s.event_p95_ms for s in settled]):.1f} ms (median over the samples)",
        f"events {len(seqs)}, lost {lost}, repeated {len(seqs) - len(set(seqs))}, in order {seqs == sorted(seqs)}",
    ]
    return "\n".join(lines) + "\n", lost == 0 and seqs == sorted(seqs) and after - before < GROWTH_MB


def _plot(samples: list[Sample], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    names = {"rss_mb": "memory, MB", "descriptors": "descriptors", "threads": "threads"}
    names |= {"event_p95_ms": "event latency p95, ms", "events": "events"}
    for axes, (name, label) in zip(figure.subplots(len(names), 1, sharex=True), names.items(), strict=True):
        axes.plot([sample.media_h for sample in samples], [getattr(sample, name) for sample in samples])
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    axes.set_xlabel("hours of media")
    figure.savefig(path, dpi=110, format="png")


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen(["mosquitto", "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield port
        process.terminate()


@contextlib.contextmanager
def _daemon(folder: Path, clip: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    config = folder / "affectd.toml"
    config.write_text(CONFIG.format(clip=clip, fps=f"{FPS}.0", port=port, folder=folder))
    command = [Path(sys.executable).with_name("affectd"), "run", "--config", config]
    with subprocess.Popen(command, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}) as process:
        # What the daemon does at the last moment must be counted too.
        threading.Event().wait(1)
        yield process
        process.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
