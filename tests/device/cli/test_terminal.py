"""Terminals as they come: other encodings than UTF-8, none, closed, and arguments that are no text in any."""

import os
import signal
import subprocess
import sys

import pytest

from device.cli.test_listen import event
from support.broker import Listener
from support.media import write_clip
from support.scenes import scene

POSIX = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
TERMINALS = {
    "C": {"LANG": "C", "LC_ALL": "", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX": POSIX,
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
}
COMMAND = [sys.executable, "-m", "affectd.cli.main"]


def affectd(arguments, environ, **options):
    environ = {**os.environ, **environ}
    return subprocess.run(
        [*COMMAND, *arguments], env=environ, stderr=subprocess.PIPE, timeout=110, check=False, **options
    )


@pytest.mark.parametrize("terminal", TERMINALS)
def test_an_event_is_shown_with_the_characters_that_there_are(terminal, broker):
    with Listener(broker, "unused") as sender:
        sender.publish("affectd/hall/event", event(7), retain=True)
        arguments = ["listen", "--host", "localhost", "--port", str(broker.port), "--count", "1"]
        ended = affectd(arguments, TERMINALS[terminal], stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (0, b"")
    bar = "██████░░" if terminal == "utf-8" else "######--"
    assert f"happy    {bar}  75%" in ended.stdout.decode()


def test_the_demo_runs(tmp_path, face_model):
    clip = write_clip(tmp_path / "clip.mp4", frames=[scene((320, 240, 150))] * 75)
    environ = {
        **POSIX,
        "AFFECTD_INFERENCE_MODELS": str(face_model.bundle.parent),
        "AFFECTD_INFERENCE_FACE": face_model.bundle.name,
        "AFFECTD_INFERENCE_VOICE": "off",
        "AFFECTD_FUSION_ENTER": "0.2",
        "AFFECTD_FUSION_LEAVE": "0.1",
        "AFFECTD_FUSION_DWELL_S": "0.1",
    }
    ended = affectd(["demo", "--video", str(clip)], environ, stdout=subprocess.PIPE)
    assert ended.returncode == 0, ended.stderr
    assert b"##" in ended.stdout
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("terminal", "arguments", "code"),
    [
        ("POSIX", [b"run", b"--config", b"/tmp/\xff.toml"], 3),
        ("POSIX", [b"listen", b"--host", b"k\xc3\xbcche\xff", b"--port", b"1"], 3),
        ("latin-1", [b"demo", b"--video", b"/tmp/\xff.mp4"], 5),
        ("utf-8", [b"bench", b"--clip", b"/tmp/\xff.mp4"], 5),
        ("POSIX", [b"run", b"--clip", b"/tmp/\xff.mp4"], 5),
        ("latin-1", [b"config", b"check", b"/tmp/\xff\xe2\x96\x88.toml"], 3),
        ("utf-8", [b"config", b"check", b"/tmp/\xff\xe2\x96\x88.toml"], 3),
    ],
)
def test_an_argument_that_is_no_text_is_shown_in_the_sentence(terminal, arguments, code):
    ended = affectd(arguments, TERMINALS[terminal], stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stdout) == (code, b"")
    assert ended.stderr.startswith(b"affectd: ")
    assert ended.stderr.count(b"\n") == 1
    assert rb"\xff" in ended.stderr or rb"\U0000dcff" in ended.stderr


@pytest.mark.parametrize(
    "arguments", [["config", "init"], ["config", "check", "/nowhere.toml"], ["listen", "--for", "0.1"]]
)
def test_a_stream_that_the_caller_closed_is_missed_by_nobody(arguments, broker):
    def run(closed):
        script = ["bash", "-c", f'exec "$@" {closed}', "-", *COMMAND, *arguments]
        return subprocess.run(script, env=environ, capture_output=True, timeout=60, check=False)

    environ = {**os.environ, "AFFECTD_MQTT_PORT": str(broker.port)}
    expected = run("")
    for closed in (">&-", "<&-", "<&- >&-", "2>&-", "<&- >&- 2>&-"):
        ended = run(closed)
        assert ended.returncode == expected.returncode, closed
        assert ended.stdout == (b"" if ">&-" in closed.replace("2>&-", "") else expected.stdout), closed
        assert ended.stderr == (b"" if "2>&-" in closed else expected.stderr), closed


def test_a_reader_that_leaves_ends_listen_quietly(broker):
    with Listener(broker, "unused") as sender:
        sender.publish("affectd/hall/event", event(1), retain=True)
        listening = subprocess.Popen(
            [*COMMAND, "listen", "--host", "localhost", "--port", str(broker.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )
        assert b"######--" in listening.stdout.readline()
        listening.stdout.close()
        sender.publish("affectd/hall/event", event(2))
        try:
            assert listening.wait(30) == 0
        finally:
            listening.send_signal(signal.SIGKILL)
        assert listening.stderr.read() == b""
