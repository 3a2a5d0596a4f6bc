"""What the whole daemon costs: a process of its own plays a clip in real time against a broker."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from affectd.capture.clip import Clip
from affectd.capture.protocols import EndOfClipError
from affectd.cli.subscriber import Subscriber
from affectd.config import MqttConfig
from affectd.errors import AffectdError

DEVICE = "affectd-bench"
SILENCE_S = 30.0
"""A daemon that publishes nothing for this long has failed."""
STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class DaemonCost:
    """What was measured."""

    start_s: float
    """From starting the process to `online` at the subscriber."""
    latency_median_ms: float
    latency_p95_ms: float
    """From a capture to its reading, state or event at the subscriber."""
    messages: int
    face_rate: float
    voice_rate: float
    cpu_percent: float
    """Of one core, from `online` to the clip's end."""
    decoding_percent: float
    """The part of it that decoding the clip takes, which a camera and a microphone do not need."""
    memory_mb: float
    """The most that was resident."""

    def to_json(self) -> dict[str, float]:
        """Return the numbers, two decimals."""
        return {name: round(value, 2) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class _Usage:
    at: float
    cpu_s: float
    peak_mb: float


def decoding_percent(clip: Clip) -> float:
    """Return the share of one core that a clip, opened to be played as fast as possible, takes to be decoded."""
    if clip.camera is not None:
        clip.camera.colour = False  # as the daemon takes it for a model for grey; colour costs more
    began, times = time.process_time(), [0.0]
    for track in (clip.camera, clip.microphone):
        if track is not None:
            track.open()
            with suppress(EndOfClipError):
                first = track.read().captured_at
                while True:
                    times.append(track.read().captured_at - first)
            track.close()
    return 100 * (time.process_time() - began) / max(times) if max(times) else 0.0


def measure_daemon(config: Path | None, clip: Path, mqtt: MqttConfig, decoding: float) -> DaemonCost:
    """Run `affectd run --clip` and receive all its messages. Raises BrokerError, or AffectdError when the daemon fails.

    `decoding` is what decoding the clip takes, percent of a core.
    """
    settings = dataclasses.asdict(dataclasses.replace(mqtt, faces=True, voice=True, discovery_prefix=""))
    command = [sys.executable, "-m", "affectd.cli.main", "run", "--clip", str(clip), "--log-level", "ERROR"]
    if config is not None:
        command += ["--config", str(config)]
    with tempfile.TemporaryDirectory(prefix="affectd-bench-") as folder, _subscriber(mqtt) as subscriber:
        environ = {
            **os.environ,
            **{f"AFFECTD_MQTT_{name.upper()}": str(value) for name, value in settings.items()},
            "AFFECTD_DEVICE_ID": DEVICE,
            "AFFECTD_OUTBOX_PATH": str(Path(folder) / "outbox.db"),
        }
        began = time.monotonic()
        process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)  # noqa: S603
        try:
            return _receive_all(subscriber, process, began, decoding)
        finally:
            process.terminate()
            process.wait(STOP_S)


def _subscriber(mqtt: MqttConfig) -> Subscriber:
    topics = ("availability", "event", "state", "faces", "voice")
    return Subscriber(mqtt, [f"{mqtt.base_topic}/{DEVICE}/{topic}" for topic in topics])


def _receive_all(subscriber: Subscriber, process: subprocess.Popen[str], began: float, decoding: float) -> DaemonCost:
    counts: Counter[str] = Counter()
    latencies: list[float] = []
    online: _Usage | None = None
    newest: _Usage | None = None
    while (message := subscriber.receive(SILENCE_S)) is not None:
        now = time.time()
        topic = message.topic.rpartition("/")[2]
        usage = _usage(process.pid)
        if topic == "availability":
            if online is not None:
                break
            if message.payload == b"online":
                online = usage
        elif online is not None:
            newest = usage or newest
            counts[topic] += 1
            latencies.append(_latency_ms(message.payload, now))
    if online is None or newest is None or not latencies:
        process.terminate()
        said = (process.communicate(timeout=STOP_S)[1] or "it said nothing").strip().splitlines()[-1]
        raise AffectdError(f"the daemon could not be measured: {said}")
    span = newest.at - online.at
    median, p95 = np.percentile(latencies, (50, 95))
    return DaemonCost(
        start_s=online.at - began,
        latency_median_ms=float(median),
        latency_p95_ms=float(p95),
        messages=len(latencies),
        face_rate=counts["faces"] / span,
        voice_rate=counts["voice"] / span,
        cpu_percent=100 * (newest.cpu_s - online.cpu_s) / span,
        decoding_percent=decoding,
        memory_mb=newest.peak_mb,
    )


def _latency_ms(payload: bytes, now: float) -> float:
    """Return the time from the capture to now: up to the daemon's stamp by its `latency_ms`, and since the stamp."""
    document = json.loads(payload)
    stamped = datetime.fromisoformat(document["time"].replace("Z", "+00:00")).timestamp()
    return float(document["latency_ms"]) + 1000 * (now - stamped)


def _usage(pid: int) -> _Usage | None:
    """Read a process's CPU seconds and peak of resident memory; None when it has ended."""
    folder = Path("/proc") / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(") ")[2].split()
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        peak_kib = int(status["VmHWM"].split()[0])
    except (OSError, KeyError):
        return None
    ticks = int(fields[11]) + int(fields[12])  # utime and stime of proc(5), counted from the state
    return _Usage(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), peak_kib * 1024 / 1e6)
