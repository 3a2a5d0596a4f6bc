"""What is fuzzed: every parser of data that comes from outside, bytes in, and the errors it may answer with.

A target returns, or raises an AffectdError of one line; all else is a finding. `scripts/fuzz` drives them with a
coverage-guided fuzzer, tests/device/test_fuzz.py with the kept corpus and mutations of it.
"""

from __future__ import annotations

import atexit
import hashlib
import itertools
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.capture.clip_file import probe_clip
from affectd.cli import listen as listen_command
from affectd.cli.message_lines import MessageFormatter
from affectd.config import MqttConfig
from affectd.config.file import load
from affectd.config.keys import ENVIRONMENT_PREFIX
from affectd.errors import AffectdError
from affectd.events import LABELS, VOICE_LABELS, AudioChunk, Frame
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import FacePreprocessing
from affectd.face.reader import FaceReader
from affectd.inference.bundle import MANIFEST, Bundle
from affectd.inference.flatbuffer import check_model
from affectd.inference.golden import Golden
from affectd.publish.connection_events import ReceivedMessage
from affectd.publish.documents import Origin
from affectd.publish.publisher import Publisher
from affectd.service.board import Board
from affectd.service.privacy import PrivacySwitch
from affectd.service.privacy_sources import PrivacySources
from affectd.store.outbox import Outbox
from affectd.voice.features import VoiceFeatures
from affectd.voice.reader import VoiceReader
from affectd.voice.silero_activity import SileroActivity

MODELS = Path(__file__).parents[2] / "models"
CORPUS = Path(__file__).parent / "corpus"
DECODED = 8
"""Pictures and blocks of sound that are decoded of a clip."""
HEARD = 24_000
"""Samples that a voice reader is given: enough for two readings."""


class UnclearAnswerError(Exception):
    """A parser answered with what a user cannot mend."""


def config(data: bytes) -> None:
    """Read a configuration file, as every subcommand does first."""
    path = _file("affectd.toml", data)
    _checked(lambda: load(path, {}))


def environment(data: bytes) -> None:
    """Read settings from the environment, a variable in every line; values need not be UTF-8."""
    lines = data.decode("utf-8", "surrogateescape").splitlines()
    pairs = [line.partition("=")[::2] for line in lines]
    _checked(lambda: load(None, {ENVIRONMENT_PREFIX + name: value for name, value in pairs}))


def manifest(data: bytes) -> None:
    """Open a bundle whose manifest.json holds `data`, its model and golden samples too."""
    folder = _bundle()
    genuine = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(data)

    def open_it() -> None:
        bundle = Bundle.load(folder)
        for kind in bundle.variants:
            bundle.model_file(kind)
        bundle.golden()

    try:
        _checked(open_it)
    finally:
        (folder / MANIFEST).write_bytes(genuine)


def golden(data: bytes) -> None:
    """Read golden samples."""
    path = _file("golden.npz", data)
    _checked(lambda: Golden.load(path, input_shape=(48, 48, 1), outputs=7))


def model(data: bytes) -> None:
    """Look at a model's layout, and open a variant that holds `data` under the checksum of another.

    A layout may pass or be refused; of the variant, nothing but the refusal may come.
    """
    try:
        check_model(data)
    except ValueError as error:
        if not str(error).isprintable():
            raise UnclearAnswerError(f"a refusal of more than a line of print: {str(error)[:200]!r}") from error
    folder = _bundle()
    bundle = Bundle.load(folder)
    variant = bundle.variants["int8"]
    if hashlib.sha256(data).hexdigest() == variant.sha256:
        return
    (folder / variant.file).write_bytes(data)
    try:
        bundle.model_file("int8")
    except AffectdError:
        return
    finally:
        shutil.copyfile(MODELS / folder.name / variant.file, folder / variant.file)
    raise UnclearAnswerError(f"{variant.file}: opened with a wrong checksum")


def command(data: bytes) -> None:
    """Send the privacy switch a payload, as the session hands it on."""
    switch = _privacy_switch()
    switch.command(data.decode("utf-8", "replace"))
    switch.poll()
    if switch.state.on != (data.decode("utf-8", "replace").strip().lower() == "on"):
        raise UnclearAnswerError(f"privacy is {switch.state.on} after {data[:40]!r}")


def clip(data: bytes) -> None:
    """Probe a clip and decode the beginning of its tracks."""
    path = _file("clip.mp4", data)

    def play() -> None:
        found = probe_clip(path)
        for track, there in ((found.pictures, found.has_video), (found.sound, found.has_audio)):
            if there:
                list(itertools.islice(track(0.0), DECODED))

    _checked(play)


def message(data: bytes) -> None:
    """Send the daemon a message: a byte for topic and retain flag, then the payload."""
    publisher, obeyed = _publisher()
    obeyed.clear()
    kind, payload = data[0] if data else 0, data[1:]
    topics = publisher.topics
    topic = (topics.privacy_command, topics.home_assistant_status, topics.privacy_command + "/x")[kind // 2 % 3]
    publisher._on_message(ReceivedMessage(topic, payload, retained=kind % 2 == 1))
    may = topic == topics.privacy_command and kind % 2 == 0
    if obeyed and not (may and obeyed[0] in {"on", "off"} and obeyed[0] == payload.decode().strip().lower()):
        raise UnclearAnswerError(f"obeyed {payload[:40]!r} on {topic}")


def listen(data: bytes) -> None:
    """Show a person a message of another device: device and kind in the first line, then the payload."""
    topic, _, payload = data.partition(b"\n")
    arrived = ReceivedMessage(
        "affectd/" + topic.decode("utf-8", "replace").replace("/", "", topic.count(b"/") - 1), payload
    )
    if arrived.topic.count("/") != 2:  # what `affectd listen` subscribes to has two
        return
    line = MessageFormatter(colours=False).line(arrived)
    if line is not None and not line.isprintable():
        raise UnclearAnswerError(f"shows what steers the terminal: {line[:200]!r}")
    if "\n" in (text := listen_command._as_json(arrived)) or json.loads(text)["topic"] != arrived.topic:
        raise UnclearAnswerError(f"not a line of JSON: {text[:200]!r}")


def switch(data: bytes) -> None:
    """Read the privacy switch's file: it opens nothing unless it says 0."""
    file = _file("switch", data)
    privacy = _privacy_switch(file)
    privacy.poll()
    if not privacy.state.on and data.decode("utf-8-sig", "replace").strip() != "0":
        raise UnclearAnswerError(f"privacy is off while the switch says {data[:40]!r}")


def board(data: bytes) -> None:
    """Read the kernel's files about temperature and throttling."""
    root = _folder() / "board"
    zone, firmware = root / "sys/class/thermal/thermal_zone0", root / "sys/devices/platform/soc/soc:firmware"
    for folder in (zone, firmware, root / "proc/device-tree"):
        folder.mkdir(parents=True, exist_ok=True)
    for file in (
        zone / "temp",
        zone / "trip_point_0_temp",
        firmware / "get_throttled",
        root / "proc/device-tree/model",
    ):
        file.write_bytes(data)
    (zone / "trip_point_0_type").write_text("passive\n")
    read = Board(root)
    read.throttled()
    heat = read.heat()
    for celsius in (read.temperature_c(), None if heat is None else heat.room_c):
        if celsius is not None and not math.isfinite(celsius):
            raise UnclearAnswerError(f"a temperature of {celsius}")


def outbox(data: bytes) -> None:
    """Open an outbox whose file holds `data`; an event kept in it must come out, in bytes, after all others."""
    folder = _folder() / "outbox"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "outbox.db").write_bytes(data)

    box = Outbox(folder / "outbox.db", max_events=100, max_bytes=100_000, lock_wait_s=0)  # may not raise
    try:
        seq = box.append(lambda seq, event_id: json.dumps({"seq": seq, "id": event_id}).encode())
        waiting = box.pending(0, 200)
        if not waiting or waiting[-1].seq != seq or not all(isinstance(event.payload, bytes) for event in waiting):
            raise UnclearAnswerError(f"event {seq} is not the last of {waiting[-3:]}")
        box.acknowledge(seq)
        if box.fault is not None or box.depth + box.dropped < 0:
            raise UnclearAnswerError(f"{box.depth} events wait, {box.dropped} dropped, {box.fault}")
    finally:
        box.close()


def sound(data: bytes) -> None:
    """Hear these bytes over and over as samples of a microphone."""
    samples = np.frombuffer(data[: len(data) & ~1], np.int16)
    if not samples.size:
        return
    reader = _voice_reader()
    reader.reset()
    for reading in reader.feed(AudioChunk(np.resize(samples, HEARD), 16_000, 1.0, lost=data[0])):
        if not (math.isfinite(reading.quality) and math.isfinite(reading.snr_db or 0.0)):
            raise UnclearAnswerError(f"a voice reading of {reading}")


def picture(data: bytes) -> None:
    """See these bytes over and over as the pixels of a picture: two for its size, then BGR."""
    if len(data) < 3:
        return
    reader, shape = _face_reader(), (1 + data[0], 1 + data[1], 3)
    pixels = np.resize(np.frombuffer(data[2:], np.uint8), shape)
    reader.reset()
    for number in range(2):  # a face counts when two pictures have shown it
        for face in reader.read(Frame(pixels, number / 10, number)).faces:
            inside = all(0.0 <= value <= 1.0 for value in (face.box.x, face.box.y, face.box.width, face.box.height))
            if not (inside and 0.0 <= face.quality <= 1.0):
                raise UnclearAnswerError(f"a face of {face}")


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "config": config,
    "manifest": manifest,
    "golden": golden,
    "model": model,
    "command": command,
    "clip": clip,
    "environment": environment,
    "message": message,
    "listen": listen,
    "switch": switch,
    "board": board,
    "outbox": outbox,
    "sound": sound,
    "picture": picture,
}


def seeds(name: str) -> list[bytes]:
    """Return the kept corpus of a target, smallest first."""
    files = sorted((CORPUS / name).iterdir(), key=lambda file: (file.stat().st_size, file.name))
    return [file.read_bytes() for file in files if file.is_file()]


def _checked(parse: Callable[[], object]) -> None:
    try:
        parse()
    except AffectdError as error:
        if not str(error) or not str(error).isprintable():
            raise UnclearAnswerError(f"an error of more than a line of print: {str(error)[:200]!r}") from error


@cache
def _folder() -> Path:
    """Return a folder of this process's own, in memory where there is such."""
    memory = "/dev/shm"
    folder = tempfile.mkdtemp(prefix="affectd-fuzz-", dir=memory if os.access(memory, os.W_OK) else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _privacy_switch(switch_file: Path | None = None) -> PrivacySwitch:
    """Return the switch of a box to which no command was sent yet."""
    command_file = _folder() / "privacy"
    command_file.unlink(missing_ok=True)
    sources = PrivacySources(command_file, switch_file)
    return PrivacySwitch(sources, close=list, open_again=lambda: None, on_change=lambda _: None)


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


@cache
def _bundle() -> Path:
    """Copy the smallest shipped bundle."""
    folder = _folder() / "voice-cnn-lstm"
    shutil.copytree(MODELS / "voice-cnn-lstm", folder, ignore=shutil.ignore_patterns("training", "*.md"))
    return folder


@cache
def _publisher() -> tuple[Publisher, list[str]]:
    """Return a publisher that never connects, and the commands that it handed on."""
    obeyed: list[str] = []
    box = Outbox(_folder() / "unused.db", max_events=100, max_bytes=100_000)
    origin = Origin("box", "boot", "0badcafe", {})
    publisher = Publisher(
        MqttConfig(),
        origin=origin,
        device_name="box",
        version="0",
        outbox=box,
        replay_per_s=50.0,
        on_privacy=obeyed.append,
    )
    return publisher, obeyed


class _Even:
    """Stands in for both classifiers; refuses an input that is not finite."""

    def __init__(self, answers: int) -> None:
        self._answer = (1 / answers,) * answers

    def probabilities(self, x: NDArray[np.float32]) -> tuple[float, ...]:
        if not np.isfinite(x).all():
            raise UnclearAnswerError("a model is given what is no number")
        return self._answer


@cache
def _voice_reader() -> VoiceReader:
    features = VoiceFeatures.from_manifest(Bundle.load(MODELS / "voice-cnn-lstm").features)
    return VoiceReader(_Even(len(VOICE_LABELS)), features, SileroActivity())


@cache
def _face_reader() -> FaceReader:
    preprocessing = FacePreprocessing.from_manifest(Bundle.load(MODELS / "face-vgg16").preprocessing)
    return FaceReader.create(_Even(len(LABELS)), preprocessing, HaarDetector())
