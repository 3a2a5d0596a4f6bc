"""`affectd preview`: a picture for a browser on this box, and for nobody else."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from itertools import islice

import cv2
import numpy as np
import pytest

from support.media import write_clip
from support.processes import HEED_CTRL_C
from support.scenes import scene
from support.stream_server import StreamServer

COMMAND = [sys.executable, "-m", "affectd.cli.main", "preview", "--port", "0"]


@pytest.fixture
def environ(tmp_path, face_model):
    """Settings for a clip, with a privacy switch that is off."""
    (tmp_path / "switch").write_text("0")
    return {
        **os.environ,
        "AFFECTD_CAMERA_SOURCE": str(write_clip(tmp_path / "clip.mp4", frames=[scene((320, 240, 150))] * 50)),
        "AFFECTD_INFERENCE_MODELS": str(face_model.bundle.parent),
        "AFFECTD_INFERENCE_FACE": face_model.bundle.name,
        "AFFECTD_OUTBOX_PATH": str(tmp_path / "outbox.db"),
        "AFFECTD_PRIVACY_SWITCH_FILE": str(tmp_path / "switch"),
    }


@pytest.fixture
def preview(environ):
    process = subprocess.Popen(
        [*HEED_CTRL_C, *COMMAND],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = re.match(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
    assert address is not None
    yield process, address[0]
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def read_pictures(stream):
    """Give the stream's JPEGs, decoded, one after the other."""
    content = b""
    while True:
        start, end = content.find(b"\xff\xd8"), content.find(b"\xff\xd9\r\n--")
        if start < 0 or end < 0:
            content += stream.read1(65536)
            continue
        yield cv2.imdecode(np.frombuffer(content[start : end + 2], np.uint8), cv2.IMREAD_COLOR)
        content = content[end + 2 :]


def test_a_browser_sees_the_picture_with_banner_and_faces(preview):
    _, address = preview
    page = urllib.request.urlopen(address, timeout=10).read().decode()
    assert "stays on this box" in page
    with urllib.request.urlopen(address + "stream", timeout=10) as stream:
        # A face is reported from its second frame on.
        pictures = list(islice(read_pictures(stream), 10))
    assert all(picture.shape == (480, 640, 3) for picture in pictures)
    drawn = [np.abs(picture.astype(int) - scene((320, 240, 150))) > 60 for picture in pictures]
    assert all(change[8:24, 8:300].any() for change in drawn), "no banner"
    assert drawn[-1][150:330, 220:420].any(), "no box around the face"


def test_another_host_name_or_interface_is_refused(preview):
    _, address = preview
    foreign = urllib.request.Request(address, headers={"Host": "attacker.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(foreign, timeout=10)
    assert refused.value.code == 403
    port = int(address.rstrip("/").rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.2", port)) != 0


def test_ctrl_c_ends_it(preview):
    process, _ = preview
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("switch", "1\n", "says 1"), ("privacy", "on\n", "the last command was 'on'"), ("privacy", "", "not on or off")],
)
def test_while_privacy_is_on_the_camera_stays_closed(environ, tmp_path, name, content, reason):
    (tmp_path / name).write_text(content)
    with StreamServer() as camera:
        ended = subprocess.run(
            COMMAND,
            env={**environ, "AFFECTD_CAMERA_SOURCE": camera.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert camera.sent == 0
    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr.startswith("affectd: privacy is on, so camera and microphone stay closed: ")
    assert reason in ended.stderr
    assert str(tmp_path / name) in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_switching_privacy_on_ends_it(preview, tmp_path):
    process, _ = preview
    (tmp_path / "switch").write_text("1")
    assert process.wait(20) == 5
    assert "camera and microphone stay closed" in process.stderr.read()
