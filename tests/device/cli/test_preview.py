"""`affectd preview`: a picture for a browser on this box, and for nobody else."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
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
from support.waiting import until

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


def started(environ, *arguments, before=HEED_CTRL_C, **streams):
    """Start it, and give the process with the address that it prints."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    process = subprocess.Popen([*before, *COMMAND, *arguments], env=environ, text=True, **streams)
    line = process.stdout.readline()
    address = re.match(r"http://127\.0\.0\.1:(\d+)/", line)
    assert address is not None
    assert re.search(r"Ctrl-C ends, or (5 minutes|2 s) without a browser$", line)
    assert f"ssh -L {address[1]}:localhost:{address[1]} " in process.stdout.readline()
    return process, address[0]


def ended(process):
    """Return exit code and last words, once nobody listens and the camera is closed."""
    code = process.wait(30)
    return code, process.stderr.read()


@pytest.fixture
def preview(environ):
    process, address = started(environ)
    yield process, address
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


@pytest.mark.parametrize("host", ["localhost:9000", "LOCALHOST", "127.0.0.1:1", "[::1]:9000"])
def test_a_forwarded_port_is_served(preview, host):
    _, address = preview
    request = urllib.request.Request(address, headers={"Host": host})
    assert b"stays on this box" in urllib.request.urlopen(request, timeout=10).read()


@pytest.mark.parametrize("host", ["localhost.attacker.example", "localhost:80@attacker.example", "localhost:", ""])
def test_a_host_that_only_looks_like_ours_is_refused(preview, host):
    _, address = preview
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(address, headers={"Host": host}), timeout=10)
    assert refused.value.code == 403


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 0), ("SIGHUP", 0)])
def test_a_signal_ends_it_with_the_camera_closed(environ, number, code):
    with StreamServer() as camera:
        environ = {**environ, "AFFECTD_CAMERA_SOURCE": camera.url, "AFFECTD_CAMERA_TIMEOUT_S": "60"}
        process, address = started(environ)
        until(lambda: camera.sent, 30)
        process.send_signal(signal.Signals[number])
        assert ended(process) == (code, f"affectd: the preview has ended: {number}\n")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=5)


def test_a_signal_ends_it_while_the_camera_hangs(environ):
    with StreamServer() as camera:
        environ = {**environ, "AFFECTD_CAMERA_SOURCE": camera.url, "AFFECTD_CAMERA_TIMEOUT_S": "100"}
        process, _ = started(environ)
        until(lambda: camera.sent, 30)
        camera.frozen = True
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0


def test_it_ends_when_its_input_or_output_is_closed(environ):
    process, _ = started(environ, stdin=subprocess.PIPE)
    process.stdin.close()
    assert ended(process) == (0, "affectd: the preview has ended: standard input was closed at its other end\n")
    process, _ = started(environ)
    process.stdout.close()
    assert ended(process) == (0, "affectd: the preview has ended: standard output was closed at its other end\n")


def test_input_that_was_closed_from_the_beginning_is_nothing_to_go_by(environ):
    reader, writer = os.pipe()
    os.close(writer)
    process, address = started(environ, stdin=reader)
    os.close(reader)
    assert urllib.request.urlopen(address, timeout=10).status == 200
    process.terminate()
    assert ended(process) == (0, "affectd: the preview has ended: SIGTERM\n")


def test_it_ends_when_its_terminal_is_gone(environ):
    master, terminal = os.openpty()
    # No session leader, so that no SIGHUP comes: the terminal alone tells.
    process, _ = started(environ, stdin=terminal)
    os.close(terminal)
    os.close(master)
    assert ended(process) == (0, "affectd: the preview has ended: standard input was closed at its other end\n")


def test_it_ends_when_the_process_that_called_it_has(environ):
    script = ("bash", "-c", '"$@" & wait', "-")
    caller, address = started(environ, before=script)
    caller.kill()
    until(lambda: not answers(address), 30)
    caller.wait()
    assert caller.stderr.read() == "affectd: the preview has ended: the calling process has ended\n"


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def test_it_ends_by_itself_without_a_browser_and_not_with_one(environ):
    process, address = started(environ, "--unwatched", "2")
    with urllib.request.urlopen(address + "stream", timeout=30) as stream:
        began = time.monotonic()
        for _ in read_pictures(stream):
            if time.monotonic() - began > 4:
                break
        assert process.poll() is None
    assert ended(process) == (0, "affectd: the preview has ended: no browser has watched for 2 s\n")


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
    assert process.wait(30) == 5
    assert "camera and microphone stay closed" in process.stderr.read()
