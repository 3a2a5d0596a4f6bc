"""One probe for each part that `affectd check` tries, each with a deadline."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import numpy as np
from numpy.typing import NDArray

from affectd import assembly
from affectd.capture.clip import Clip
from affectd.capture.protocols import EndOfClipError
from affectd.cli.aiming import BLOCK_S, judge_sound
from affectd.cli.check.camera_probe import probe_camera
from affectd.cli.check.finding import Finding
from affectd.cli.subscriber import Subscriber
from affectd.config import Config, MqttConfig
from affectd.errors import AffectdError, BrokerError, CaptureError, ModelError, OutboxError
from affectd.events import AudioChunk
from affectd.face.crop_sequence import STEP_S
from affectd.inference.accelerators.accelerator import Workload
from affectd.inference.accelerators.choice import Choice, choose
from affectd.inference.accelerators.cpu import Cpu
from affectd.inference.interpreter import load_runtime
from affectd.inference.model import open_chosen
from affectd.publish.clock import clock_synced
from affectd.publish.topics import Topics
from affectd.service.board import Board
from affectd.service.installed import AS_SERVICE, OUTBOX, PASSWORD, is_there
from affectd.service.thermal_governor import STEP_DOWN_C
from affectd.store.inspection import inspect_outbox
from affectd.store.outbox import OutboxInUseError
from affectd.voice.sound_check import loudness

DEADLINE_S = 20.0
MODEL_DEADLINE_S = 600.0
"""For trying every accelerator that the box has: each trial has its own deadline."""
SOUND_S = 3.0
HOT_C = 80.0
"""What is hot for a board without a known limit."""


Probe = Callable[[Config], Finding]


def probe_all(config: Config) -> Iterator[Finding]:
    """Probe part after part, in the order of the flow."""
    yield within_deadline("camera", CaptureError, probe_camera, config)
    yield within_deadline("microphone", CaptureError, probe_microphone, config)
    yield within_deadline("detector", ModelError, probe_detector, config)
    for task in ("face", "voice"):
        probe = partial(probe_model, task)
        yield within_deadline(f"{task} model", ModelError, probe, config, deadline_s=MODEL_DEADLINE_S)
    yield within_deadline("outbox", OutboxError, probe_outbox, config)
    yield probe_identity(config)
    yield within_deadline("broker", BrokerError, probe_broker, config)
    yield probe_clock()
    yield probe_temperature()


def within_deadline(
    part: str, kind: type[AffectdError], probe: Probe, config: Config, *, deadline_s: float | None = None
) -> Finding:
    """Run a probe on a thread of its own: a driver that hangs costs the deadline, not the command."""
    deadline_s = DEADLINE_S if deadline_s is None else deadline_s
    answers: queue.SimpleQueue[Finding] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put(probe(config))
        except AffectdError as error:
            answers.put(Finding(part, "failed", str(error), exit_code=error.exit_code))
        except Exception as error:
            fault = f"a fault of affectd itself: {type(error).__name__}: {error}"
            answers.put(Finding(part, "failed", fault, "please report it", exit_code=AffectdError.exit_code))

    threading.Thread(target=answer, name=f"probe {part}", daemon=True).start()
    try:
        return answers.get(timeout=deadline_s)
    except queue.Empty:
        advice = "unplug it and plug it in again, or restart the service behind it"
        return Finding(part, "failed", f"no answer within {deadline_s:g} s", advice, kind.exit_code)


def probe_identity(config: Config) -> Finding:
    """Show the id that the box has in topics, and where it comes from."""
    who = assembly.identity(config)
    return Finding("identity", "warning" if who.advice else "ok", f"{who.id}: {who.source}", who.advice)


def probe_microphone(config: Config) -> Finding:
    """Listen for three seconds and judge the level, unless privacy is on."""
    microphone = assembly.make_microphone(config, _clip(config))
    if microphone is None:
        return Finding(
            "microphone", "off", f"microphone.source is {config.microphone.source}, or the clip has no sound"
        )
    reason = assembly.privacy_sources(config).reason()
    if reason is not None:
        return Finding("microphone", "off", "privacy is on: not opened", reason)
    chunks: list[AudioChunk] = []
    try:
        microphone.open()
        heard_s = 0.0
        with suppress(EndOfClipError):
            while heard_s < SOUND_S:
                chunks.append(microphone.read())
                heard_s += len(chunks[-1].samples) / chunks[-1].sample_rate
    finally:
        microphone.close()
    if not heard_s:
        return Finding("microphone", "warning", f"{microphone.name}: no sound")
    return judge_microphone(microphone.name, np.concatenate([chunk.samples for chunk in chunks]), chunks[0].sample_rate)


def judge_microphone(name: str, samples: NDArray[np.int16], sample_rate: int) -> Finding:
    """Judge how loud somebody speaks in (n,) samples, n > 0."""
    size = round(BLOCK_S * sample_rate)
    blocks = [loudness(samples[start : start + size]) for start in range(0, len(samples), size)]
    verdict = judge_sound(blocks)
    found = ": ".join([name, *([verdict.value] if verdict.value else []), verdict.word])
    return Finding("microphone", "ok" if verdict.good else "warning", found, verdict.advice)


def probe_detector(config: Config) -> Finding:
    """Open the face detector."""
    if config.inference.face == "off":
        return Finding("detector", "off", "inference.face is off")
    assembly.make_face_detector(config)
    return Finding("detector", "ok", config.face.detector)


def probe_model(task: str, config: Config) -> Finding:
    """Prove the model on its golden samples, check every file's checksum, and try its accelerator anew.

    The accelerator is called in a process of its own alone, as `affectd run` does before it believes one.
    """
    part = f"{task} model"
    bundle = assembly.configured_bundle(config, task)
    if bundle is None:
        return Finding(part, "off", f"inference.{task} is off")
    kind, reason = assembly.configured_variant(config, bundle)
    key, wanted = assembly.variant_setting(config, task)
    workload = Workload(bundle, kind, load_runtime(config.inference.runtime))
    model = open_chosen(workload, Choice(Cpu()))
    present = [kind for kind in bundle.variants if bundle.has_file(kind)]
    for kind in present:
        bundle.model_file(kind)
    choice = choose(assembly.wanted(config), workload, assembly.make_trials(config, anew=True))
    found = (
        f"{model.description} ({bundle.maturity}) from {bundle.folder} by {key} = {wanted}, on {model.runtime}, "
        f"{choice}; "
        f"{len(present)} checksum{'s' * (len(present) != 1)} and the golden answers are right"
    )
    if task == "face":
        preprocessing = assembly.face_preprocessing(bundle)
        height, width, _ = preprocessing.shape
        found += f"; it sees faces of {width}x{height} pixels in {preprocessing.colour}"
        if preprocessing.frames > 1:
            found += f", the last {preprocessing.frames} of each, {STEP_S:g} s apart"
    if task == "voice":
        found += f"; speech is found by {assembly.make_voice_reader(config, model).activity.name}"
    if choice.fell_back:
        return Finding(part, "warning", found, f"the CPU does the work, for the delegate failed: {choice.reason}")
    if reason:
        return Finding(part, "warning", found, f"{kind} is the best that is there, for {reason}")
    return Finding(part, "ok", found + (f"; measured: {choice.reason}" if choice.reason else ""))


def probe_outbox(config: Config) -> Finding:
    """Read the store of events, unless the daemon that runs has it; nothing of it is made or changed."""
    path = assembly.outbox_path(config)
    try:
        found = inspect_outbox(path)
    except OutboxInUseError as error:
        return Finding("outbox", "ok", str(error))
    except OutboxError as error:
        advice = AS_SERVICE if path == OUTBOX and isinstance(error.__cause__, PermissionError) else ""
        return Finding("outbox", "failed", str(error), advice, error.exit_code)
    if found is None:
        return Finding("outbox", "ok", f"{path}: not there yet; affectd run makes it, and its folder takes it")
    return Finding("outbox", "ok", f"{path}: {found.waiting} events waiting, {found.dropped} dropped so far")


def probe_broker(config: Config) -> Finding:
    """Connect and authenticate as the daemon will."""
    config = assembly.identified(config, assembly.identity(config))
    began, mqtt = time.monotonic(), config.mqtt
    topics = Topics(mqtt.base_topic, config.device.id)
    secret = password_source(mqtt)
    try:
        with Subscriber(mqtt, [topics.privacy_command]) as subscriber:
            protocol = subscriber.protocol
    except BrokerError as error:
        return Finding("broker", "failed", str(error), secret if mqtt.username else "", error.exit_code)
    took = 1000 * (time.monotonic() - began)
    secured = "TLS" if mqtt.tls else "no TLS"
    who = f"as {mqtt.username} ({secret})" if mqtt.username else "without a user name"
    return Finding("broker", "ok", f"{mqtt.host}:{mqtt.port}: {protocol}, {secured}, {who}, {took:.0f} ms")


def password_source(mqtt: MqttConfig) -> str:
    """Return where the password for the broker was read, or looked for."""
    if mqtt.password_file:
        return f"password from {mqtt.password_file}"
    if os.environ.get("CREDENTIALS_DIRECTORY"):
        return "password from the systemd credential mqtt-password, where there is one"
    return f"no password: mqtt.password_file is not set, no systemd credential was given, and {PASSWORD} {_no_secret()}"


def _no_secret() -> str:
    """Return why the installed service's password was not used."""
    if not is_there(PASSWORD):
        return "is not there"
    return "is empty, or goes with other settings" if os.access(PASSWORD, os.R_OK) else "is not for this user to read"


def probe_clock() -> Finding:
    """Check whether a time service keeps the clock."""
    if clock_synced():
        return Finding("clock", "ok", "kept by a time service")
    return Finding(
        "clock", "warning", "not kept by a time service", "start systemd-timesyncd; events say clock_synced false"
    )


def probe_temperature() -> Finding:
    """Read the board's temperature and whether it slows itself down, or soon will."""
    board = Board()
    degrees, heat = board.temperature_c(), board.heat()
    found = "this board has no thermometer" if degrees is None else f"{degrees:.0f} °C"
    if board.throttled():
        return Finding("temperature", "warning", f"{found}, slowed down", "check power supply and cooling")
    if heat is not None and heat.room_c <= STEP_DOWN_C[0]:
        advice = (
            f"cool it: from {heat.limit_c:g} °C on it slows itself down, and affectd takes fewer frames before that"
        )
        return Finding("temperature", "warning", found, advice)
    if heat is None and degrees is not None and degrees >= HOT_C:
        return Finding("temperature", "warning", found, "cool it: most boards slow themselves down from here on")
    return Finding("temperature", "off" if degrees is None else "ok", found)


def _clip(config: Config) -> Clip | None:
    """Return a clip that nobody paces, when one stands in for the camera."""
    return assembly.open_clip(config, realtime=False, loop=False)
