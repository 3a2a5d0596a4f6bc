"""A model file that is replaced, written over or removed while the daemon runs: it goes on with what it has loaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from affectd.errors import ModelError
from affectd.inference.installed import installed_models
from affectd.inference.interpreter import installed_runtimes
from e2e.program import DEVICE, Affectd, command, environment
from support.broker import Listener, Message, Mosquitto
from support.fault_table import FaultTable
from support.media import write_clip
from support.proc import send
from support.scenes import scene
from support.speech import RATE, speech

ROOT = f"affectd/{DEVICE}"
BUNDLES = ("face-vgg16", "voice-cnn-lstm")


def int8_file(bundle: Path) -> Path:
    manifest = json.loads((bundle / "manifest.json").read_text())
    return bundle / str(manifest["variants"]["int8"]["file"])


def copies(folder: Path) -> Path:
    """Copy the bundles that came with affectd, as far as they are needed."""
    for name in BUNDLES:
        shutil.copytree(
            installed_models() / name, folder / name, ignore=shutil.ignore_patterns("training", "*float16.tflite")
        )
    return folder


def cut_off(bundle: Path) -> None:
    os.truncate(int8_file(bundle), 4096)


def cut_and_vouched_for(bundle: Path) -> None:
    """Leave half of the model, with a manifest to which that is right."""
    model = int8_file(bundle)
    os.truncate(model, model.stat().st_size // 2)
    manifest = json.loads((bundle / "manifest.json").read_text())
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    manifest["variants"]["int8"].update(bytes=model.stat().st_size, sha256=digest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def written_over(bundle: Path) -> None:
    model = int8_file(bundle)
    with model.open("r+b") as file:
        file.write(b"\xff" * model.stat().st_size)


def removed(bundle: Path) -> None:
    shutil.rmtree(bundle)


def program(folder: Path, broker: Mosquitto, runtime: str) -> Affectd:
    settings: Mapping[str, Mapping[str, Any]] = {
        "camera": {"source": str(talking_person(folder))},
        "clip": {"loop": True},
        "inference": {"models": str(folder / "models"), "variant": "int8", "runtime": runtime},
        "mqtt": {"faces": True, "voice": True},
    }
    return Affectd(folder, broker, **settings)


def talking_person(folder: Path) -> Path:
    """Make a clip of somebody who smiles into the camera and speaks."""
    sound = speech(folder, "Good morning, here I am again, and I go on and on.").astype("int16")
    frames = [scene((320, 220, 170))] * (10 * sound.size // RATE)
    return write_clip(folder / "talking.mp4", frames=frames, fps=10, sound=sound, sample_rate=RATE)


def reads(messages: list[Message], faces: int = 5, voices: int = 2) -> bool:
    """Whether so many of its readings hold what a model said."""
    seen = [m for m in messages if m.topic == f"{ROOT}/faces" and m.json["faces"]]
    heard = [m for m in messages if m.topic == f"{ROOT}/voice" and m.json["probabilities"]]
    return len(seen) >= faces and len(heard) >= voices


def said_of(messages: list[Message]) -> list[Any]:
    """Return what the face model said, one a reading."""
    return [m.json["faces"][0]["probabilities"] for m in messages if m.topic == f"{ROOT}/faces" and m.json["faces"]]


@pytest.mark.parametrize(
    ("harm", "runtime", "sentence"),
    [
        (cut_off, "litert", "4096 bytes but the manifest says"),
        (cut_off, "tflite-runtime", "4096 bytes but the manifest says"),
        (written_over, "tflite-runtime", "checksum is"),
        (removed, "auto", "not there"),
    ],
)
def test_a_model_file_harmed_while_running(
    harm: Callable[[Path], None],
    runtime: str,
    sentence: str,
    broker: Mosquitto,
    tmp_path: Path,
    fault_table: FaultTable,
) -> None:
    if runtime not in {"auto", *installed_runtimes()}:
        runtime = "auto"  # a Python for which there is one runtime only
    models = copies(tmp_path / "models")
    with Listener(broker, f"{ROOT}/#") as listener, program(tmp_path, broker, runtime) as daemon:
        listener.wait_for(reads)
        for name in BUNDLES:
            harm(models / name)
        harmed = len(listener.messages)
        after = listener.wait_for(lambda messages: reads(messages[harmed:]))[harmed:]
        # The person smiles all along: the weights are still those that were checked.
        assert all(said["happy"] > 0.5 for said in said_of(after)[2:])
        send(daemon, signal.SIGTERM)
        assert daemon.wait() == 0, daemon.log
        assert "Traceback" not in daemon.log
        daemon.start()
        assert daemon.wait() == ModelError.exit_code
        assert sentence in daemon.log.splitlines()[-1]
    fault_table.record(
        f"model files {harm.__name__.replace('_', ' ')} while running, {runtime}",
        recovered_s=None,
        remark="goes on with what it has loaded; the next start refuses them with exit code 4",
    )


@pytest.mark.parametrize("runtime", installed_runtimes())
def test_a_cut_model_file_that_its_manifest_vouches_for(broker: Mosquitto, tmp_path: Path, runtime: str) -> None:
    models = copies(tmp_path / "models")
    for name in BUNDLES:
        cut_and_vouched_for(models / name)
    daemon = program(tmp_path, broker, runtime)
    checked = subprocess.run(
        command("check", "--config", str(daemon.settings_file)),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert checked.returncode == ModelError.exit_code, checked
    for name in BUNDLES:
        file = int8_file(models / name)
        [said] = [line for line in checked.stdout.splitlines() if str(file) in line]
        assert re.search(rf"FAILED.*: cut or damaged: .* of {file.stat().st_size}; copy the file again", said)
    with daemon:
        assert daemon.wait() == ModelError.exit_code, daemon.log
    assert "Traceback" not in daemon.log + checked.stderr
    assert "cut or damaged" in daemon.log.splitlines()[-1]


def test_a_bundle_replaced_by_another_while_running(broker: Mosquitto, tmp_path: Path, fault_table: FaultTable) -> None:
    models = copies(tmp_path / "models")
    other = copies(tmp_path / "other") / "face-vgg16"
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "version": "9.9.9"}))

    def version(messages: list[Message]) -> str:
        healths = [m.json for m in messages if m.topic == f"{ROOT}/health"]
        return str(healths[-1]["models"]["face"]["version"]) if healths else ""

    with Listener(broker, f"{ROOT}/#") as listener, program(tmp_path, broker, "auto") as daemon:
        listener.wait_for(lambda messages: reads(messages) and version(messages) == manifest["version"])
        (models / "face-vgg16").rename(tmp_path / "aside")
        other.rename(models / "face-vgg16")
        replaced = len(listener.messages)
        listener.wait_for(lambda messages: reads(messages[replaced:]) and version(messages[replaced:]))
        assert version(listener.messages) == manifest["version"]
        send(daemon, signal.SIGTERM)
        assert daemon.wait() == 0, daemon.log
        restarted = len(listener.messages)
        began = time.monotonic()
        daemon.start()
        listener.wait_for(
            lambda messages: version(messages[restarted:]) == "9.9.9" and reads(messages[restarted:], 1, 0)
        )
        fault_table.record(
            "bundle replaced by another while running",
            recovered_s=time.monotonic() - began,
            remark="goes on with what it has loaded; back: a restart, until it works with the other",
        )
