"""A clip, a model or a setting that is wrong ends the program with one clear sentence and its exit code."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from affectd.errors import CaptureError, ConfigError, ModelError, OutboxError
from affectd.inference.installed import installed_models
from e2e.completeness import waiting
from e2e.program import CLIP, DEVICE, RESTLESS, Affectd, blinking_person, command, environment, toml
from support.broker import Listener, Message, Mosquitto
from support.media import tone, write_clip
from support.scenes import scene

ROOT = f"affectd/{DEVICE}"
Settings = Mapping[str, Mapping[str, Any]]
BOTH_READINGS = {"faces": True, "voice": True}


def said_at_exit(*arguments: str) -> tuple[int, str]:
    """Run `affectd run` with these arguments; give its exit code and the one sentence that it said."""
    ended = subprocess.run(
        command("run", *arguments), env=environment(), capture_output=True, text=True, timeout=30, check=False
    )
    said = [line for line in ended.stderr.splitlines() if not line.startswith("INFO: ")]  # which is TFLite's
    assert len(said) == 1, ended.stderr
    assert said[0].startswith("affectd: ")
    assert ended.stdout == ""
    return ended.returncode, said[0].removeprefix("affectd: ")


def refusal(text: str, folder: Path) -> tuple[int, str]:
    """Do so with this text as its settings."""
    settings = folder / "affectd.toml"
    settings.write_text(text)
    return said_at_exit("--config", str(settings))


def refused(settings: Settings, folder: Path) -> tuple[int, str]:
    """Do so with tables of settings; the outbox lies in the folder unless they say else."""
    return refusal(toml({"outbox": {"path": str(folder / "outbox.db")}, **settings}), folder)


def has_ended(messages: list[Message]) -> bool:
    """Whether its last message has arrived."""
    return bool(messages) and messages[-1].payload == b"offline"


# Clips.


def test_a_clip_that_is_not_there(tmp_path: Path) -> None:
    clip = tmp_path / "none.mp4"
    code, sentence = refused({"camera": {"source": str(clip)}}, tmp_path)
    assert said_at_exit("--clip", str(clip)) == (code, sentence)
    assert code == CaptureError.exit_code
    assert str(clip) in sentence


@pytest.mark.parametrize(
    ("name", "content"),
    [("empty.mp4", b""), ("text.mp4", b"Once upon a time there was a clip that was none.\n" * 40)],
)
def test_a_file_that_is_no_clip(name: str, content: bytes, tmp_path: Path) -> None:
    clip = tmp_path / name
    clip.write_bytes(content)
    code, sentence = refused({"camera": {"source": str(clip)}}, tmp_path)
    assert code == CaptureError.exit_code
    assert name in sentence


def test_a_clip_that_was_not_copied_to_its_end(tmp_path: Path) -> None:
    clip = blinking_person(tmp_path / "cut.mp4")
    os.truncate(clip, clip.stat().st_size // 2)
    code, sentence = refused({"camera": {"source": str(clip)}}, tmp_path)
    assert code == CaptureError.exit_code
    assert "is it complete" in sentence


def test_a_clip_that_breaks_off_in_the_middle_loses_no_event(broker: Mosquitto, tmp_path: Path) -> None:
    frames = [scene((320, 220, 170))] * 10 + [scene()] * 10
    clip = write_clip(tmp_path / "broken.mp4", frames=frames * 4, fps=10, options={"movflags": "faststart"})
    os.truncate(clip, clip.stat().st_size * 2 // 3)
    settings: Settings = {"camera": {"source": str(clip)}, "clip": {"realtime": False}}
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings, **RESTLESS) as daemon:
        assert daemon.wait() == CaptureError.exit_code, daemon.log
        messages = listener.wait_for(has_ended)
    seqs = [message.json["seq"] for message in messages if message.topic == f"{ROOT}/event"]
    assert len(seqs) >= 2
    assert seqs == list(range(1, len(seqs) + 1))
    assert waiting(daemon.outbox) == 0
    last_line = daemon.log.splitlines()[-1]
    assert last_line.startswith("affectd: ")
    assert "broken.mp4: cannot be decoded at second" in last_line
    assert "Traceback" not in daemon.log


def test_a_camera_that_is_no_name_of_one_is_told_what_is_allowed(tmp_path: Path) -> None:
    code, sentence = refused({"camera": {"source": "usb"}}, tmp_path)
    assert code == ConfigError.exit_code
    assert 'camera.source = "usb"' in sentence
    assert "a path below /dev/" in sentence


def test_a_clip_that_is_a_folder(tmp_path: Path) -> None:
    code, sentence = refused({"camera": {"source": str(tmp_path)}}, tmp_path)
    assert code == CaptureError.exit_code
    assert f"{tmp_path}: is a folder" in sentence


def test_a_clip_without_sound_gives_faces_alone(broker: Mosquitto, tmp_path: Path) -> None:
    clip = blinking_person(tmp_path / "silent.mp4")
    settings: Settings = {
        "camera": {"source": str(clip)},
        "clip": {"realtime": False},
        "mqtt": {"faces": True, "voice": True},
    }
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings, **RESTLESS) as daemon:
        assert daemon.wait() == 0, daemon.log
        listener.wait_for(has_ended)
    assert any(message.json["emotion"] for message in listener.on(f"{ROOT}/event"))
    assert listener.on(f"{ROOT}/faces")
    assert not listener.on(f"{ROOT}/voice")


def test_a_clip_without_a_face_or_a_voice_gives_no_emotion(broker: Mosquitto, tmp_path: Path) -> None:
    hum = tone(3.0, hz=50) // 1000
    clip = write_clip(tmp_path / "nobody.mp4", frames=[scene()] * 30, fps=10, sound=hum, sample_rate=16_000)
    settings: Settings = {
        "camera": {"source": str(clip)},
        "clip": {"realtime": False},
        "mqtt": {"faces": True, "voice": True},
    }
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings) as daemon:
        assert daemon.wait() == 0, daemon.log
        listener.wait_for(has_ended)
    assert not any(message.json["emotion"] for message in listener.on(f"{ROOT}/event"))
    assert not any(message.json["faces"] for message in listener.on(f"{ROOT}/faces"))
    assert listener.on(f"{ROOT}/state")[-1].json["emotion"] is None


# Models.


def cut_in_half(bundle: Path) -> None:
    model = int8_file(bundle)
    model.write_bytes(model.read_bytes()[: model.stat().st_size // 2])


def put_a_letter(bundle: Path) -> None:
    put(bundle, b"This is a letter, not a network.\n" * 100)


def put_the_other_network(bundle: Path) -> None:
    put(bundle, int8_file(installed_models() / "face-vgg16").read_bytes())


def put_another_checksum(bundle: Path) -> None:
    change_int8(bundle, sha256="0" * 64)


def put(bundle: Path, content: bytes) -> None:
    """Put another file in the int8 variant's place, with the checksum that belongs to it."""
    int8_file(bundle).write_bytes(content)
    change_int8(bundle, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def int8_file(bundle: Path) -> Path:
    manifest = json.loads((bundle / "manifest.json").read_text())
    return bundle / str(manifest["variants"]["int8"]["file"])


def change_int8(bundle: Path, **changes: object) -> None:
    """Change what the manifest says of the int8 variant."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["variants"]["int8"].update(changes)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("breaking", [cut_in_half, put_a_letter, put_the_other_network, put_another_checksum])
def test_a_model_that_is_no_good(breaking: Callable[[Path], None], tmp_path: Path) -> None:
    models = tmp_path / "models"
    breaking(Path(shutil.copytree(installed_models() / "voice-cnn-lstm", models / "voice-cnn-lstm")))
    settings: Settings = {
        "camera": {"source": str(CLIP)},
        "inference": {"models": str(models), "face": "off", "variant": "int8"},
    }
    code, sentence = refused(settings, tmp_path)
    assert code == ModelError.exit_code
    assert "voice-cnn-lstm" in sentence


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    code, sentence = refused({"camera": {"source": str(CLIP)}, "inference": {"face": "face-resnet"}}, tmp_path)
    assert code == ModelError.exit_code
    assert "face-resnet" in sentence


def test_a_model_for_the_other_task(tmp_path: Path) -> None:
    code, sentence = refused({"camera": {"source": str(CLIP)}, "inference": {"face": "voice-cnn-lstm"}}, tmp_path)
    assert code == ModelError.exit_code
    assert "inference.face" in sentence


# Settings.


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[inference]\nvariant = 'int4'\n", ["line 2", "inference.variant", "int4", "float16"]),
        ("[mqtt]\nprot = 1883\n", ["line 2", "mqtt.prot", "port"]),
        ("[mqt]\nport = 1883\n", ["line 1", "[mqt]", "mqtt"]),
        ("[mqtt]\nport = 188300\n", ["line 2", "mqtt.port", "188300", "65,535"]),
        ("[mqtt\nport = 1883\n", ["not valid TOML", "line 1"]),
    ],
)
def test_settings_that_are_wrong(text: str, named: list[str], tmp_path: Path) -> None:
    code, sentence = refusal(text, tmp_path)
    assert code == ConfigError.exit_code
    for part in named:
        assert part in sentence


def test_settings_that_leave_nothing_to_do(tmp_path: Path) -> None:
    code, sentence = refused({"camera": {"source": "off"}, "microphone": {"source": "off"}}, tmp_path)
    assert code == ConfigError.exit_code
    assert "nothing to do" in sentence


def test_settings_that_are_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    code, sentence = said_at_exit("--config", str(missing))
    assert code == ConfigError.exit_code
    assert str(missing) in sentence


def test_an_outbox_where_nothing_can_be_written(tmp_path: Path) -> None:
    place = tmp_path / "file" / "outbox.db"
    place.parent.write_text("a file where a folder should be")
    code, sentence = refused({"camera": {"source": str(CLIP)}, "outbox": {"path": str(place)}}, tmp_path)
    assert code == OutboxError.exit_code
    assert str(place) in sentence
    assert "outbox.path" in sentence
