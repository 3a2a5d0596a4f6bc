"""`affectd demo`: embedded broker, pipeline and subscriber together, and what it says when there is nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from affectd.cli.embedded_broker import LOOPBACK, EmbeddedBroker
from affectd.cli.subscriber import Subscriber
from affectd.config import MqttConfig
from support.media import write_clip
from support.scenes import scene


def demo(face_model, *arguments, **more):
    environ = {
        **os.environ,
        "AFFECTD_INFERENCE_MODELS": str(face_model.bundle.parent),
        "AFFECTD_INFERENCE_FACE": face_model.bundle.name,
        "AFFECTD_INFERENCE_VOICE": "off",
        # The tiny network knows nothing of faces: any opinion of it will do.
        "AFFECTD_FUSION_ENTER": "0.2",
        "AFFECTD_FUSION_LEAVE": "0.1",
        "PYTHONIOENCODING": "utf-8",
        **more,
    }
    command = [sys.executable, "-m", "affectd.cli.main", "demo", *map(str, arguments)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)


def test_a_clip_with_a_face_gives_an_event_over_mqtt(tmp_path, face_model):
    clip = write_clip(tmp_path / "a face.mp4", frames=[scene((320, 240, 150))] * 75)
    ended = demo(face_model, "--video", clip)
    assert ended.returncode == 0, ended.stderr
    assert "events received over MQTT" in ended.stdout
    assert "#1" in ended.stdout


def test_a_clip_without_a_face_ends_with_1_and_says_why(tmp_path, face_model):
    clip = write_clip(tmp_path / "empty.mp4", frames=[np.full((240, 320, 3), 90, np.uint8)] * 50)
    ended = demo(face_model, "--video", clip)
    assert ended.returncode == 1
    assert "no face seen" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("device", ["--camera", "--microphone"])
def test_a_live_demo_opens_nothing_while_privacy_is_on(device, tmp_path, face_model):
    (tmp_path / "privacy").write_text("on\n")
    ended = demo(face_model, device, AFFECTD_OUTBOX_PATH=str(tmp_path / "outbox.db"))
    assert ended.returncode == 5
    assert "privacy is on, so camera and microphone stay closed: the last command was 'on'" in ended.stderr


@pytest.mark.parametrize("content", [None, b"", b"no clip"])
def test_a_bad_clip_is_one_sentence(content, tmp_path, face_model):
    clip = tmp_path / "bad.mp4"
    if content is not None:
        clip.write_bytes(content)
    ended = demo(face_model, "--video", clip)
    assert ended.returncode == 5
    assert str(clip) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_embedded_broker_serves_old_and_new_clients():
    with EmbeddedBroker() as broker, Subscriber(MqttConfig(host=LOOPBACK, port=broker.port), ["#"]) as subscriber:
        assert subscriber.protocol == "MQTT 3.1.1"
        assert subscriber.receive(0.1) is None


@pytest.mark.parametrize(("command", "option"), [("demo", "--video"), ("bench", "--clip")])
def test_an_installation_without_the_clip_says_which_option_names_one(command, option):
    scripts = Path(__file__).parents[3] / "scripts"
    hide = ["unshare", "--mount", "bash", "-euc", 'mount -t tmpfs none "$1"; shift; exec "$@"', "-", str(scripts)]
    line = [*hide, sys.executable, "-m", "affectd.cli.main", command]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (5, "")
    assert f"no decoder; name a clip with {option} FILE, or use a checkout" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_clip_whose_name_is_no_text_plays(tmp_path, face_model):
    clip = write_clip(tmp_path / "clip.mp4", frames=[scene((320, 240, 150))] * 75)
    odd = os.fsencode(tmp_path) + b"/\xff.mp4"
    clip.rename(os.fsdecode(odd))
    ended = demo(face_model, "--video", os.fsdecode(odd))
    assert ended.returncode == 0, ended.stderr
    assert r"\xff.mp4" in ended.stdout
