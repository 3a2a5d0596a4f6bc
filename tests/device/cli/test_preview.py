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


@pytest.fixture
def preview(tmp_path, face_model):
    clip = write_clip(tmp_path / "clip.mp4", frames=[scene((320, 240, 150))] * 50)
    environ = {
        **os.environ,
        "AFFECTD_CAMERA_SOURCE": str(clip),
        "AFFECTD_INFERENCE_MODELS": str(face_model.bundle.parent),
        "AFFECTD_INFERENCE_FACE": face_model.bundle.name,
    }
    command = [*HEED_CTRL_C, sys.executable, "-m", "affectd.cli.main", "preview", "--port", "0"]
    process = subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    address = re.match(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
    assert address is not None
    yield process, address[0]
    process.kill()
    process.wait()
    process.stdout.close()


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
