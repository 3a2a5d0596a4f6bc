"""`affectd microphones` over a real sound server with an array of six channels."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from affectd.capture.microphone.portaudio import InputDevice, named, source_name
from support.media import tone
from support.processes import HEED_CTRL_C
from support.sound_server import SoundServer

COMMAND = [*HEED_CTRL_C, sys.executable, "-m", "affectd.cli.main", "microphones", "--no-config"]


def microphones(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **environ}
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_each_channel_is_measured_and_what_to_set_is_shown(tmp_path: Path) -> None:
    levels = np.array([0, 1, 0.1, 0, 0, 0.01]) / 2
    with wave.open(str(tmp_path / "array.wav"), "wb") as file:
        file.setparams((6, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.rint(np.outer(tone(40.0), levels)).astype("<i2").tobytes())
    with SoundServer(channels=6, sample_format="s32le") as sound_server:
        sound_server.play(tmp_path / "array.wav")
        with subprocess.Popen([*COMMAND, "default", "--for", "60"], stdout=subprocess.PIPE, text=True) as listening:
            with ThreadPoolExecutor() as together:
                measuring = together.submit(microphones, "default", "--json", "--for", "1")
                showing = together.submit(microphones, "default", "--for", "1")
                closing = together.submit(microphones, "--for", "1", AFFECTD_PRIVACY_START_ON="true")
                missing = microphones("kiosk")
                measured, shown, closed = measuring.result(), showing.result(), closing.result()
            assert listening.stdout is not None
            assert "default: " in listening.stdout.readline()
            listening.send_signal(signal.SIGINT)
            assert listening.wait(30) == 130

    assert (measured.returncode, measured.stderr) == (0, "")
    found = json.loads(measured.stdout)
    assert (found["source"], found["error"]) == ("default", None)
    assert found["opened"] == {"rate": 16_000, "channels": 8}  # the server would make up 32
    by_channel = {each["channel"]: each for each in found["levels"]}
    assert max(by_channel, key=lambda number: by_channel[number]["level_db"]) == 2
    assert by_channel[2]["level_db"] - by_channel[3]["level_db"] == pytest.approx(20, abs=1)
    assert by_channel[6]["level_db"] < by_channel[3]["level_db"] - 10
    assert by_channel[1]["level_db"] == -120

    assert (shown.returncode, shown.stderr) == (0, "")
    assert '   microphone.source = "default"\n    1 ░' in shown.stdout
    assert "\n    2 ████" in shown.stdout
    assert (closed.returncode, closed.stdout) == (5, "")
    assert "privacy" in closed.stderr
    assert missing.returncode == 5
    assert missing.stderr.startswith("affectd: no microphone has 'kiosk' in its name; there are: ")
    assert "default" in missing.stderr


def test_a_card_is_named_without_its_number_unless_another_would_be_found() -> None:
    array = InputDevice(0, "ReSpeaker 4 Mic Array (UAC1.0): USB Audio (hw:1,0)", 6, 16_000)
    first = InputDevice(1, "USB PnP: Audio (hw:2,0)", 1, 48_000)
    twin = InputDevice(2, "USB PnP: Audio (hw:3,0)", 1, 48_000)
    short = InputDevice(3, "USB PnP", 1, 48_000)
    devices = [array, first, twin, short]
    assert [device.alsa_name for device in devices] == ["hw:1,0", "hw:2,0", "hw:3,0", ""]
    names = [source_name(device, devices) for device in devices]
    assert names == [
        "ReSpeaker 4 Mic Array (UAC1.0): USB Audio", "USB PnP: Audio", "USB PnP: Audio (hw:3,0)", "USB PnP"
    ]  # fmt: skip
    assert [named(devices, name) for name in names] == devices
    assert named(devices, "respeaker") == array
