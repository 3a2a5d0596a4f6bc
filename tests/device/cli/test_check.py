"""`affectd check` on real parts: a clip, a model, a broker, an outbox; and on ones that are not there."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from affectd.cli.check import probes
from affectd.config import CameraConfig, Config, FaceConfig, InferenceConfig
from affectd.errors import CaptureError
from support.broker import Mosquitto, free_port
from support.media import flash_and_beep, speak, write_clip
from support.scenes import scene
from support.stream_server import StreamServer


@pytest.fixture
def settings(tmp_path, face_model):
    """Environment in which every part but the broker is right."""
    sound = (2000 * np.sin(np.arange(32_000) / 5)).astype(np.int16)
    clip = write_clip(tmp_path / "clip.mp4", frames=[scene((320, 240, 150))] * 50, sound=sound, sample_rate=16_000)
    return {
        "AFFECTD_CAMERA_SOURCE": str(clip),
        "AFFECTD_INFERENCE_MODELS": str(face_model.bundle.parent),
        "AFFECTD_INFERENCE_FACE": face_model.bundle.name,
        "AFFECTD_INFERENCE_VOICE": "off",
        "AFFECTD_OUTBOX_PATH": str(tmp_path / "outbox.db"),
    }


def check(environ, *arguments):
    command = [sys.executable, "-m", "affectd.cli.main", "check", *arguments]
    ended = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


def states(output: str) -> dict[str, str]:
    return {finding["part"]: finding["state"] for finding in json.loads(output)}


def test_everything_right_ends_with_0(broker, settings):
    settings = {**settings, "AFFECTD_MQTT_PORT": str(broker.port)}
    code, output = check(settings, "--json")
    assert code == 0
    found = states(output)
    assert list(found) == [
        "camera", "microphone", "detector", "face model", "voice model", "outbox", "identity", "broker", "clock",
        "temperature",
    ]  # fmt: skip
    for part in ("camera", "microphone", "face model", "outbox", "broker"):
        assert found[part] == "ok"
    assert found["voice model"] == "off"
    code, table = check(settings)
    assert code == 0
    assert "640x480, a face is seen" in table
    assert "dBFS" in table
    assert "MQTT 5, no TLS" in table


def test_the_first_failing_part_gives_the_exit_code(settings):
    settings = {**settings, "AFFECTD_MQTT_PORT": str(free_port())}
    code, output = check(settings)
    assert code == 6
    assert "FAILED   broker" in output
    code, output = check({**settings, "AFFECTD_INFERENCE_FACE": "missing"}, "--json")
    assert code == 4
    assert states(output)["face model"] == states(output)["broker"] == "failed"
    code, output = check({**settings, "AFFECTD_CAMERA_SOURCE": "/dev/video77"}, "--json")
    assert code == 5
    code, output = check({**settings, "AFFECTD_OUTBOX_PATH": "/proc/outbox.db"}, "--json")
    assert code == 7


def test_a_broker_that_refuses_says_so_and_keeps_the_password(tmp_path, settings):
    (tmp_path / "password").write_text("hunter2")
    settings |= {"AFFECTD_MQTT_USERNAME": "box", "AFFECTD_MQTT_PASSWORD_FILE": str(tmp_path / "password")}
    with Mosquitto(tmp_path, user="box", password="right") as broker:
        code, output = check({**settings, "AFFECTD_MQTT_PORT": str(broker.port)})
    assert code == 6
    assert "refuses user name 'box'" in output
    assert "hunter2" not in output


def test_a_microphone_that_hears_is_told_from_a_muted_one(sound_server, settings, tmp_path):
    settings |= {"AFFECTD_CAMERA_SOURCE": "off", "AFFECTD_MICROPHONE_SOURCE": "default"}
    muted = json.loads(check(settings, "--json")[1])[1]
    assert (muted["state"], "silence" in muted["found"]) == ("warning", True)
    player = sound_server.play(speak(tmp_path / "speech.wav", "one two three four five six seven eight nine " * 3))
    heard = json.loads(check(settings, "--json")[1])[1]
    player.kill()
    assert heard["state"] == "ok"
    assert re.fullmatch(r".*: -\d+ dBFS: good", heard["found"])


@pytest.mark.parametrize("held_by", ["command", "switch", "start"])
def test_while_privacy_is_on_camera_and_microphone_stay_closed(broker, settings, tmp_path, held_by):
    if held_by == "command":
        (tmp_path / "privacy").write_text("on\n")
    elif held_by == "switch":
        (tmp_path / "switch").write_text("1")
        settings |= {"AFFECTD_PRIVACY_SWITCH_FILE": str(tmp_path / "switch")}
    else:
        settings |= {"AFFECTD_PRIVACY_START_ON": "true"}
    with StreamServer() as camera:
        settings |= {"AFFECTD_CAMERA_SOURCE": camera.url, "AFFECTD_MICROPHONE_SOURCE": "no such microphone"}
        code, output = check({**settings, "AFFECTD_MQTT_PORT": str(broker.port)}, "--json")
        assert camera.sent == 0
    assert code == 0
    for finding in json.loads(output)[:2]:
        assert (finding["state"], finding["found"]) == ("off", "privacy is on: not opened")
        assert {"command": "last command", "switch": "says 1", "start": "start_on"}[held_by] in finding["advice"]


def test_levels_are_judged():
    rng = np.random.default_rng(1)
    loud = (40_000 * np.sin(np.arange(16_000) / 5)).clip(-32768, 32767).astype(np.int16)
    overdriven = probes.judge_microphone("mic", loud, 16_000)
    assert (overdriven.state, overdriven.found) == ("warning", "mic: -2 dBFS: overdriven")
    steady = probes.judge_microphone("mic", rng.normal(0, 1000, 16_000).astype(np.int16), 16_000)
    assert (steady.state, steady.found, steady.advice) == ("ok", "mic: -30 dBFS: nothing said", "say something")
    muted = probes.judge_microphone("mic", np.zeros(48_000, np.int16), 16_000)
    assert (muted.state, muted.found) == ("warning", "mic: silence")


def test_a_covered_lens_is_a_warning(tmp_path):
    frames, _ = flash_and_beep(1.0, 0.9)
    clip = write_clip(tmp_path / "dark.mp4", frames=frames)
    finding = probes.probe_camera(Config(camera=CameraConfig(source=str(clip))))
    assert (finding.state, "black" in finding.found) == ("warning", True)


def test_a_camera_that_sends_one_even_colour_has_failed():
    with StreamServer() as camera:
        camera.even = True
        with pytest.raises(CaptureError, match="its pictures are of one even colour"):
            probes.probe_camera(Config(camera=CameraConfig(source=camera.url)))


def probed_camera(folder, picture, *, noise=4, detector="haar", **settings):
    rng = np.random.default_rng(0)
    frames = [cv2.add(picture, rng.integers(0, noise, picture.shape, np.uint8)) for _ in range(30)]
    source = str(write_clip(folder / "clip.mp4", frames=frames, fps=10))
    config = Config(camera=CameraConfig(source=source, **settings), face=FaceConfig(detector=detector))
    return probes.probe_camera(config)


def test_a_face_that_is_seen_is_said_and_an_empty_room_is_no_fault(tmp_path):
    seen = probed_camera(tmp_path, scene((320, 240, 150)))
    assert seen.state == "ok"
    assert re.fullmatch(
        r"clip clip\.mp4: 640x480, a face is seen: size 13\d px \(good\), brightness 6\d % \(good\), "
        r"contrast [89]\d % \(good\), sharpness blur 1\.\d px \(good\)",
        seen.found,
    )
    empty = probed_camera(tmp_path, scene())
    assert (empty.state, empty.found) == ("ok", "clip clip.mp4: 640x480, no face is seen: brightness 55 % (good)")


def test_a_face_that_is_far_and_dark_comes_with_what_to_do(tmp_path):
    found = probed_camera(tmp_path, cv2.convertScaleAbs(scene((320, 240, 58)), alpha=0.25), noise=1)
    assert found.state == "warning"
    assert re.search(r"a face is seen: size 5\d px \(too far\), brightness 1\d % \(too dark\)", found.found)
    assert "come closer, or lower face.min_size; turn on a lamp" in found.advice


def test_an_empty_room_in_the_dark_comes_with_what_to_do(tmp_path):
    found = probed_camera(tmp_path, cv2.convertScaleAbs(scene(), alpha=0.2), noise=1)
    assert (found.state, found.advice) == ("warning", "turn on a lamp")


@pytest.mark.parametrize(
    ("detector", "mounted", "rotate", "mirror"),
    [
        *(("haar", 180, 0, False), ("haar", 90, 0, False), ("haar", 270, 0, False), ("haar", 90, 0, True)),
        *(("haar", 270, 90, False), ("haar", 0, 270, True)),
        *(("blazeface", 180, 0, False), ("blazeface", 90, 0, False), ("blazeface", 270, 90, True)),
    ],
)
def test_a_camera_that_is_not_upright_is_noticed_and_the_advice_puts_it_right(
    tmp_path, detector, mounted, rotate, mirror
):
    picture = np.ascontiguousarray(np.rot90(scene((320, 240, 150)), mounted // 90))
    found = probed_camera(tmp_path, picture, detector=detector, rotate=rotate, mirror=mirror)
    assert found.state == "warning"
    assert "a face is seen only once the picture is turned by" in found.found
    advised = int(re.search(r"set camera\.rotate = (\d+)$", found.advice)[1])
    assert advised == mounted
    mended = probed_camera(tmp_path, picture, detector=detector, rotate=advised, mirror=mirror)
    assert mended.found.count("a face is seen:") == 1


def test_the_face_may_come_within_two_seconds(tmp_path):
    frames = [scene()] * 12 + [scene((320, 240, 150))] * 8
    source = str(write_clip(tmp_path / "clip.mp4", frames=frames, fps=10))
    assert probes.probe_camera(Config(camera=CameraConfig(source=source))).found.count("a face is seen:") == 1


def test_a_slow_camera_is_looked_at_for_long_enough(tmp_path):
    source = str(write_clip(tmp_path / "clip.mp4", frames=[scene((320, 240, 150))] * 8, fps=1))
    config = Config(camera=CameraConfig(source=source, fps=1))
    assert probes.probe_camera(config).found.count("a face is seen:") == 1


def test_a_probe_that_hangs_or_breaks_does_not_hold_up_the_others(monkeypatch):
    monkeypatch.setattr(probes, "DEADLINE_S", 0.2)
    hung = probes.within_deadline("camera", CaptureError, lambda config: time.sleep(30), Config())
    assert (hung.state, hung.exit_code) == ("failed", 5)
    assert "no answer within 0.2 s" in hung.found
    broken = probes.within_deadline("camera", CaptureError, lambda config: 1 / 0, Config())
    assert (broken.state, broken.exit_code) == ("failed", 1)
    assert "ZeroDivisionError" in broken.found


def test_a_variant_that_was_not_installed_is_no_fault(tmp_path, face_model):
    bundle = tmp_path / face_model.bundle.name
    shutil.copytree(face_model.bundle, bundle)
    [unused] = bundle.glob("*float32.tflite")
    unused.unlink()
    config = Config(inference=InferenceConfig(models=str(tmp_path), face=bundle.name, voice="off"))
    finding = probes.probe_model("face", config)
    assert (finding.state, "; 1 checksum and the golden answers are right" in finding.found) == ("ok", True)
